// Attention: weighted means of values, the weights from the agreement of queries with keys.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

struct AttentionOptions {
  bool causal = false;            // query i sees keys 0 to i only
  std::optional<double> scale{};  // of the products; default 1 / sqrt(D)
};
// softmax(scale q k^T) v of q [..., T, D], k [..., S, D] and v [..., S, E] -> [..., T, E]; leading
// dims broadcast. One dtype, f32 or f64. Vaswani et al. 2017. ValueError unless scale is finite.
TT_API Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                           const AttentionOptions& options = {});

}  // namespace tinytorch
