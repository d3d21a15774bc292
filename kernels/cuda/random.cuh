// The state of random numbers on the device: seed and offset are read by kernels and moved on in
// stream order, so that the host never needs them and a replayed graph draws new numbers.
#pragma once

#include "kernels/common/philox.h"
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

struct RandomState {
  int64_t seed, offset;  // in blocks
};

__device__ inline PhiloxBlock words_at(const RandomState* state, int64_t block) {
  return philox_block(static_cast<uint64_t>(state->seed),
                      static_cast<uint64_t>(state->offset) + static_cast<uint64_t>(block));
}
__device__ inline void advance(RandomState* state, int64_t blocks) {
  state->offset =
      static_cast<int64_t>(static_cast<uint64_t>(state->offset) + static_cast<uint64_t>(blocks));
}

}  // namespace tinytorch::TT_KERNEL_NS
