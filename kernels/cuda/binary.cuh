// The words of the row `binary` as functors, shared by the files that instantiate them:
// binary_plain has the row and the numeric words, binary_float the floating ones, binary_compare
// comparisons and words over bool.
#pragma once

#include "kernels/cuda/elementwise.cuh"

namespace tinytorch::TT_KERNEL_NS {

template <class Word, class T>
struct BinaryCall : Elements<1, decltype(Word::fast(T(), T())), T, T> {
  __device__ auto operator()(int64_t, T a, T b, None) const { return Word::fast(a, b); }
};

void binary_floating(KernelContext& context, BinaryOp op, const View& out, const View& a,
                     const View& b);
void binary_compare(KernelContext& context, BinaryOp op, const View& out, const View& a,
                    const View& b);

}  // namespace tinytorch::TT_KERNEL_NS
