// The product of two dense matrices, each as stored or transposed: [M, N] = op(a) [M, K] op(b) [K,
// N]. Differentiable; checks only K.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

Tensor mm(const Tensor& a, bool ta, const Tensor& b, bool tb);

}  // namespace tinytorch
