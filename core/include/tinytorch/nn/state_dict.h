// A state dict: tensors by dotted name ("0.weight"), as modules and optimizers give and take them
// and as io stores them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <tinytorch/tensor.h>

namespace tinytorch {

using StateDict = std::map<std::string, Tensor>;

// Names that did not meet a partner when a state dict was loaded without `strict`.
struct LoadReport {
  std::vector<std::string> missing;     // wanted, not given
  std::vector<std::string> unexpected;  // given, not wanted
};

namespace detail {
// Compares names and shapes before anything is changed. Throws one error that lists all faults:
// ShapeError if only shapes differ, else ValueError. Without `strict` names may be missing or
// unexpected; shapes must agree always.
TT_API LoadReport check_state(std::string_view where, const std::map<std::string, Shape>& wanted,
                              const StateDict& given, bool strict);
}  // namespace detail

}  // namespace tinytorch
