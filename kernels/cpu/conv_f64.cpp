// Convolutions of f64; conv_impl.h has the code.
#include "kernels/cpu/conv_impl.h"

namespace tinytorch::TT_KERNEL_NS {

template void conv_forward(KernelContext&, const ConvShape&, const double*, const double*,
                           const double*, double*);
template void conv_input_gradient(KernelContext&, const ConvShape&, const double*, const double*,
                                  double*);
template void conv_weight_gradient(KernelContext&, const ConvShape&, const double*, const double*,
                                   double*);

}  // namespace tinytorch::TT_KERNEL_NS
