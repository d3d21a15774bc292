// The floating words of the row `binary`.
#include "kernels/cuda/binary.cuh"

namespace tinytorch::TT_KERNEL_NS {

void binary_floating(KernelContext& context, BinaryOp op, const View& out, const View& a,
                     const View& b) {
  with_float(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    switch (op) {
#define TT_WORDS_N(name)
#define TT_WORDS_C(name)
#define TT_WORDS_B(name)
#define TT_WORDS_F(name) \
  case BinaryOp::name:   \
    return run_elementwise(context, BinaryCall<binary_##name, T>(), out, a, b);
#define TT_BINARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY
      default:
        return;
    }
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
