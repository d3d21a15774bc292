// Inside of a generator: its state lives in device memory.
#pragma once

#include <mutex>

#include <tinytorch/random.h>
#include <tinytorch/tensor.h>

namespace tinytorch {

struct Generator::Impl {
  std::mutex mutex;  // one launch at a time
  Device device;
  Tensor state;  // i64 [2]: seed, offset
};

}  // namespace tinytorch
