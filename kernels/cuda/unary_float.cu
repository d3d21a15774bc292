// The floating words of the row `unary` for f32. They are most of a minute's work for the device
// compiler, so f64 has a file of its own.
#include "kernels/cuda/unary_floating.cuh"

namespace tinytorch::TT_KERNEL_NS {

template void unary_floating(KernelContext&, UnaryOp, const View&, const View&, float, float);

}  // namespace tinytorch::TT_KERNEL_NS
