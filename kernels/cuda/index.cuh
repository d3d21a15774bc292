// What the rows that follow indices share: division that is cheap where 32 bits suffice (the
// pooling rows use it too), and the check of an index.
#pragma once

#include "kernels/cuda/device/device.cuh"

namespace tinytorch::TT_KERNEL_NS {

// a / b for a >= 0, b > 0: a 64-bit division costs several times as much as one of 32 bits.
__device__ inline int64_t quotient(int64_t a, int64_t b) {
  if ((static_cast<uint64_t>(a | b) >> 32) != 0) return a / b;
  return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
}
__device__ inline int32_t quotient(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) / static_cast<uint32_t>(b));
}

__device__ inline bool in_range(int64_t index, int64_t limit) {
  return static_cast<uint64_t>(index) < static_cast<uint64_t>(limit);
}
__device__ inline void report_index(const ErrorSink& sink, int64_t position, int64_t value,
                                    int64_t limit) {
  report_value_error(sink, ValueErrorKind::index_out_of_range, position, value, limit);
}

// Reports the bad ones of `count` indices and moves nothing: for calls that have nothing to move.
// index.cu
void check_indices(KernelContext& context, const View& index, int64_t limit);

}  // namespace tinytorch::TT_KERNEL_NS
