// Compares the results of an op case with the oracle's, by the tolerance that the case states.
#pragma once

#include <string>

#include "tests/op_cases/op_cases.h"

namespace tinytorch::testing {

// The results of a case on the reference backend in f64 (or in the case's own dtypes), and
// sum|terms| where its tolerance needs them.
struct Expected {
  op_cases::Tensors results, terms;
};
Expected expected_of(const op_cases::OpCase&);

// Empty if all results agree, else what differs first. `host` is set where plain loops are compared
// with.
std::string difference(const op_cases::OpCase&, const op_cases::Tensors& got, const Expected&,
                       const std::vector<op_cases::HostArray>* host = nullptr);

// Runs a case in which every input that may have a gradient is a leaf that wants one; returns
// results, then gradients of a weighted sum of the floating results. `wide`: in f64.
op_cases::Tensors with_gradients(const op_cases::OpCase&, const Device&, bool wide);

// Ops in the order of the table, each once.
std::vector<std::string> case_ops();
std::vector<const op_cases::OpCase*> cases_of(const std::string& op);

}  // namespace tinytorch::testing
