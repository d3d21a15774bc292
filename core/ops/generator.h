// Inside of a generator: its state lives in device memory.
#pragma once

#include <tinytorch/random.h>
#include <tinytorch/tensor.h>

#include "core/runtime/fork.h"

namespace tinytorch {

struct Generator::Impl {
  ForkSafeMutex<std::mutex> mutex{AtFork::reset};  // one launch at a time
  Device device;
  Tensor state;  // i64 [2]: seed, offset
};

}  // namespace tinytorch
