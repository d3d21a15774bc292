// 2-D convolution (cross-correlation, as everywhere in deep learning). The CPU uses im2col
// (Chellapilla et al. 2006).
#pragma once

#include <array>

#include <tinytorch/tensor.h>

namespace tinytorch {

struct Conv2dOptions {
  std::array<int64_t, 2> stride{1, 1}, padding{0, 0}, dilation{1, 1};  // height, width
  int64_t groups = 1;
};
// x [N, C, H, W], weight [O, C / groups, kh, kw], bias [O] or undefined -> [N, O, OH, OW],
// OH = (H + 2 padding - dilation (kh - 1) - 1) / stride + 1.
TT_API Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                     const Conv2dOptions& options = {});
// Its gradients as ops: with respect to the input [N, C, H, W] and the weight.
TT_API Tensor conv2d_grad_input(const Tensor& g, const Tensor& weight, const Shape& input_shape,
                                const Conv2dOptions& options = {});
TT_API Tensor conv2d_grad_weight(const Tensor& g, const Tensor& x, const Shape& weight_shape,
                                 const Conv2dOptions& options = {});

}  // namespace tinytorch
