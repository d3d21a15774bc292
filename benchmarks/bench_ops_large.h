// The workloads large/...: single ops on tensors that the caches do not hold, and convolutions of
// known nets. Each states the bytes that it must move at least, or the arithmetic that it must do.
#pragma once

#include <vector>

#include "benchmarks/driver.h"

namespace bench {

std::vector<Workload> large_ops();    // elementwise, rows, reductions, copies, pooling, optimizers
std::vector<Workload> large_convs();  // forward and both gradients

}  // namespace bench
