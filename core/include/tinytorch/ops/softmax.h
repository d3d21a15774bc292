// Softmax and its logarithm along a dim, without overflow.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

TT_API Tensor softmax(const Tensor& a, int dim);
TT_API Tensor log_softmax(const Tensor& a, int dim);

}  // namespace tinytorch
