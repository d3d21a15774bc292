// The rows `where`, by element size, since nothing is computed, and `masked_scale`.
#include "kernels/cuda/elementwise.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

template <class U>
struct Choice : Elements<1, U, uint8_t, U, U> {
  __device__ U operator()(int64_t, uint8_t choice, U a, U b) const { return choice ? a : b; }
};

template <class T>
struct MaskedScale : Elements<2, T, T, uint8_t> {
  T factor;
  explicit MaskedScale(double scale) : factor(static_cast<T>(scale)) {}
  __device__ T operator()(int64_t, T x, uint8_t keep, None) const {
    return keep ? x * factor : T(0);
  }
};

}  // namespace

void where(KernelContext& context, const View& out, const View& cond, const View& a,
           const View& b) {
  with_size(out.dtype, [&](auto tag) {
    run_elementwise(context, Choice<typename decltype(tag)::Type>(), out, cond, a, b);
  });
}

void masked_scale(KernelContext& context, const View& out, const View& x, const View& mask,
                  double scale) {
  with_float(out.dtype, [&](auto tag) {
    run_elementwise(context, MaskedScale<typename decltype(tag)::Type>(scale), out, x, mask);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
