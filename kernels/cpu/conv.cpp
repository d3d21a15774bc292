// Rows conv2d, conv2d_grad_input and conv2d_grad_weight: from views to shapes, and the cases
// without any work.
#include "kernels/cpu/conv.h"

#include "kernels/cpu/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {

ConvShape shape_of(const View& x, const View& w, const View& out, const Conv2dParams& p) {
  ConvShape s{x.shape[0], p.groups, w.shape[1], w.shape[0] / p.groups, {}, {}, {}, {}, {}, {}};
  for (int axis = 0; axis < 2; ++axis) {
    s.in[axis] = x.shape[2 + axis];
    s.out[axis] = out.shape[2 + axis];
    s.kernel[axis] = w.shape[2 + axis];
    s.stride[axis] = p.stride[axis];
    s.padding[axis] = p.padding[axis];
    s.dilation[axis] = p.dilation[axis];
  }
  return s;
}

// What remains of a convolution over nothing: the bias of each channel, or zero.
template <class T>
void fill_channels(const View& out, const T* bias) {
  const int64_t channels = out.shape[1], pixels = out.shape[2] * out.shape[3];
  T* to = out.as<T>();
  for (int64_t plane = 0; plane < out.shape[0] * channels; ++plane) {
    for (int64_t i = 0; i < pixels; ++i) *to++ = bias ? bias[plane % channels] : T{};
  }
}

template <class T>
void forward_of(KernelContext& context, const View& out, const View& x, const View& w,
                const View* b, const Conv2dParams& p) {
  const T* bias = b ? b->as<T>() : nullptr;
  if (x.numel == 0 || w.numel == 0) return fill_channels(out, bias);
  conv_forward(context, shape_of(x, w, out, p), x.as<T>(), w.as<T>(), bias, out.as<T>());
}

template <class T>
void fill_zero(const View& out) {
  T* to = out.as<T>();
  for (int64_t i = 0; i < out.numel; ++i) to[i] = T{};
}

template <class T>
void input_gradient_of(KernelContext& context, const View& gx, const View& g, const View& w,
                       const Conv2dParams& p) {
  if (g.numel == 0 || w.numel == 0) return fill_zero<T>(gx);
  conv_input_gradient(context, shape_of(gx, w, g, p), g.as<T>(), w.as<T>(), gx.as<T>());
}

template <class T>
void weight_gradient_of(KernelContext& context, const View& gw, const View& g, const View& x,
                        const Conv2dParams& p) {
  if (g.numel == 0 || x.numel == 0) return fill_zero<T>(gw);
  conv_weight_gradient(context, shape_of(x, gw, g, p), g.as<T>(), x.as<T>(), gw.as<T>());
}

}  // namespace

void conv2d(KernelContext& context, const View& out, const View& x, const View& w, const View* b,
            const Conv2dParams& p) {
  if (out.numel == 0) return;
  out.dtype == Dtype::f32 ? forward_of<float>(context, out, x, w, b, p)
                          : forward_of<double>(context, out, x, w, b, p);
}

void conv2d_grad_input(KernelContext& context, const View& gx, const View& g, const View& w,
                       const Conv2dParams& p) {
  if (gx.numel == 0) return;
  gx.dtype == Dtype::f32 ? input_gradient_of<float>(context, gx, g, w, p)
                         : input_gradient_of<double>(context, gx, g, w, p);
}

void conv2d_grad_weight(KernelContext& context, const View& gw, const View& g, const View& x,
                        const Conv2dParams& p) {
  if (gw.numel == 0) return;
  gw.dtype == Dtype::f32 ? weight_gradient_of<float>(context, gw, g, x, p)
                         : weight_gradient_of<double>(context, gw, g, x, p);
}

}  // namespace tinytorch::TT_KERNEL_NS
