// Losses as modules: each calls its op.
#include <tinytorch/nn/loss.h>

namespace tinytorch {

Tensor MSELoss::forward(const Tensor& prediction, const Tensor& target) {
  return mse_loss(prediction, target, reduction());
}
Tensor CrossEntropyLoss::forward(const Tensor& logits, const Tensor& target) {
  return cross_entropy(logits, target, reduction());
}
Tensor BCELoss::forward(const Tensor& probability, const Tensor& target) {
  return binary_cross_entropy(probability, target, reduction());
}
Tensor BCEWithLogitsLoss::forward(const Tensor& logits, const Tensor& target) {
  return binary_cross_entropy_with_logits(logits, target, reduction());
}

}  // namespace tinytorch
