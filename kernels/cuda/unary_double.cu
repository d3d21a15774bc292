// The floating words of the row `unary` for f64.
#include "kernels/cuda/unary_floating.cuh"

namespace tinytorch::TT_KERNEL_NS {

template void unary_floating(KernelContext&, UnaryOp, const View&, const View&, double, double);

}  // namespace tinytorch::TT_KERNEL_NS
