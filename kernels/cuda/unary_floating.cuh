// The floating words of the row `unary`, instantiated by unary_float.cu and unary_double.cu.
#pragma once

#include "kernels/cuda/unary.cuh"

namespace tinytorch::TT_KERNEL_NS {

template <class T>
void unary_floating(KernelContext& context, UnaryOp op, const View& out, const View& in, T first,
                    T second) {
  switch (op) {
#define TT_WORDS_N(name)
#define TT_WORDS_P(name)
#define TT_WORDS_B(name)
#define TT_WORDS_F(name) \
  case UnaryOp::name:    \
    return run_elementwise(context, UnaryCall<unary_##name, T>(first, second), out, in);
#define TT_UNARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
    default:
      return;
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
