// Convolutions of f32; conv_impl.h has the code.
#include "kernels/cpu/conv_impl.h"

namespace tinytorch::TT_KERNEL_NS {

template void conv_forward(KernelContext&, const ConvShape&, const float*, const float*,
                           const float*, float*);
template void conv_input_gradient(KernelContext&, const ConvShape&, const float*, const float*,
                                  float*);
template void conv_weight_gradient(KernelContext&, const ConvShape&, const float*, const float*,
                                   float*);

}  // namespace tinytorch::TT_KERNEL_NS
