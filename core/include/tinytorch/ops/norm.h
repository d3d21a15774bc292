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

}  // namespace tinytorch
