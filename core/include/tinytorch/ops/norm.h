// Normalisation.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

struct BatchNormOptions {
  bool training =
      true;  // batch statistics, and running ones are updated; else the running ones are used
  double momentum = 0.1;  // running = (1 - momentum) running + momentum batch (unbiased variance)
  double eps = 1e-5;
};
// x [N, C, ...]; weight, bias, running_mean, running_var [C], each may be undefined. Ioffe and
// Szegedy 2015.
TT_API Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                         const Tensor& weight = {}, const Tensor& bias = {},
                         const BatchNormOptions& options = {});

// (x - mean) / sqrt(var + eps) * weight + bias over the last dims of x, which are
// `normalized_shape` (at least one dim); biased variance. weight and bias have that shape, each may
// be undefined. Ba, Kiros and Hinton 2016.
TT_API Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {},
                         const Tensor& bias = {}, double eps = 1e-5);

}  // namespace tinytorch
