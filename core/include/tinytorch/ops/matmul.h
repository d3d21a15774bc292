// Matrix products.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

// NumPy's rules: [K] x [K] -> [], [M, K] x [K, N] -> [M, N], leading dims broadcast, 1-D operands
// are promoted. f32 or f64.
TT_API Tensor matmul(const Tensor& a, const Tensor& b);
// x [..., K], weight [N, K], bias [N] or undefined -> act(x weight^T + bias) [..., N].
TT_API Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                     Activation activation = Activation::none);

}  // namespace tinytorch
