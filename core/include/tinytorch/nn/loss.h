// Losses as modules of two inputs: CrossEntropyLoss loss; loss(logits, classes).backward();
#pragma once

#include <tinytorch/nn/module.h>
#include <tinytorch/ops/loss.h>

namespace tinytorch {

// Reduction::mean and sum give a tensor of rank 0, none one loss per element (cross-entropy: per
// row).
class TT_API Loss : public Module {
 public:
  explicit Loss(Reduction reduction) : reduction_(reduction) {}
  virtual Tensor forward(const Tensor& prediction, const Tensor& target) = 0;
  Tensor operator()(const Tensor& prediction, const Tensor& target) {
    return forward(prediction, target);
  }
  Reduction reduction() const { return reduction_; }

 private:
  using Module::forward;
  Reduction reduction_;
};

// (prediction - target)^2; equal shapes.
class TT_API MSELoss : public Loss {
 public:
  explicit MSELoss(Reduction reduction = Reduction::mean) : Loss(reduction) {}
  Tensor forward(const Tensor& prediction, const Tensor& target) override;
};
// logits [N, C]; target classes (i64) [N] or probabilities [N, C].
class TT_API CrossEntropyLoss : public Loss {
 public:
  explicit CrossEntropyLoss(Reduction reduction = Reduction::mean) : Loss(reduction) {}
  Tensor forward(const Tensor& logits, const Tensor& target) override;
};
// probabilities in [0, 1] and targets of equal shape.
class TT_API BCELoss : public Loss {
 public:
  explicit BCELoss(Reduction reduction = Reduction::mean) : Loss(reduction) {}
  Tensor forward(const Tensor& probability, const Tensor& target) override;
};
// The same of sigmoid(logits), without overflow.
class TT_API BCEWithLogitsLoss : public Loss {
 public:
  explicit BCEWithLogitsLoss(Reduction reduction = Reduction::mean) : Loss(reduction) {}
  Tensor forward(const Tensor& logits, const Tensor& target) override;
};

using MeanSquaredError = MSELoss;
using BinaryCrossEntropyLoss = BCELoss;

}  // namespace tinytorch
