// The convolutions of one element type, behind rows conv2d, conv2d_grad_input and
// conv2d_grad_weight.
#pragma once

#include "backends/cpu/rt.h"
#include "kernels/cpu/vec.h"

namespace tinytorch::TT_KERNEL_NS {

// Channels count those of one group. Index 0 is the vertical axis.
struct ConvShape {
  int64_t images, groups, in_channels, out_channels;
  int64_t in[2], out[2], kernel[2], stride[2], padding[2], dilation[2];
};

template <class T>
void conv_forward(KernelContext& context, const ConvShape& s, const T* x, const T* w, const T* bias,
                  T* out);
template <class T>
void conv_input_gradient(KernelContext& context, const ConvShape& s, const T* g, const T* w, T* gx);
template <class T>
void conv_weight_gradient(KernelContext& context, const ConvShape& s, const T* g, const T* x,
                          T* gw);

}  // namespace tinytorch::TT_KERNEL_NS
