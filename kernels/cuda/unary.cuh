// The words of the row `unary` as functors, shared by the files that instantiate them: unary_plain
// has the row, unary_float and unary_double the floating words, whose formulas are long enough for
// a kernel each.
#pragma once

#include "kernels/cuda/elementwise.cuh"

namespace tinytorch::TT_KERNEL_NS {

template <class Word, class T>
struct UnaryCall : Elements<1, decltype(Word::template fast<T>(T())), T> {
  T first, second;  // the word's constants
  TT_HD UnaryCall(T a, T b) : first(a), second(b) {}
  __device__ auto operator()(int64_t, T x, None, None) const {
    return Word::template fast<T>(x, first, second);
  }
};

// The floating words; unary_float.cu and unary_double.cu have one T each.
template <class T>
void unary_floating(KernelContext& context, UnaryOp op, const View& out, const View& in, T first,
                    T second);
extern template void unary_floating(KernelContext&, UnaryOp, const View&, const View&, float,
                                    float);
extern template void unary_floating(KernelContext&, UnaryOp, const View&, const View&, double,
                                    double);

}  // namespace tinytorch::TT_KERNEL_NS
