// Losses. Reduction::mean divides by the number of losses.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

// logits [N, C]; target either classes (i64) [N], or probabilities [N, C] of the logits' dtype.
// IndexError for a class outside [0, C).
TT_API Tensor cross_entropy(const Tensor& logits, const Tensor& target,
                            Reduction reduction = Reduction::mean);
// p in [0, 1]; logarithms are cut at -100. Same shapes.
TT_API Tensor binary_cross_entropy(const Tensor& p, const Tensor& target,
                                   Reduction reduction = Reduction::mean);
TT_API Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                               Reduction reduction = Reduction::mean);
TT_API Tensor mse_loss(const Tensor& prediction, const Tensor& target,
                       Reduction reduction = Reduction::mean);

}  // namespace tinytorch
