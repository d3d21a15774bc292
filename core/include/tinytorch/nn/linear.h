// Layers with a weight matrix: Linear and Embedding. Made on the thread's default device, in f32.
#pragma once

#include <tinytorch/nn/module.h>

namespace tinytorch {

// x [..., in_features] -> x weight^T + bias [..., out_features].
// weight [out, in] and bias [out] start uniform in +-1 / sqrt(in). ValueError for negative sizes.
class TT_API Linear : public Module {
 public:
  Linear(int64_t in_features, int64_t out_features, bool bias = true);
  Linear(Linear&&) noexcept = default;

  Tensor forward(const Tensor& x) override;
  Tensor forward(const Tensor& x, Activation activation);  // in one op
  void reset_parameters();
  int64_t in_features() const { return in_; }
  int64_t out_features() const { return out_; }
  std::string extra_repr() const override;

 private:
  int64_t in_, out_;

 public:
  Tensor& weight;
  Tensor& bias;  // undefined without bias
};

// index (i64) of any shape -> rows of weight [count, dim] in [..., dim]. weight starts standard
// normal. IndexError for an index outside [0, count).
class TT_API Embedding : public Module {
 public:
  Embedding(int64_t count, int64_t dim);
  Embedding(Embedding&&) noexcept = default;

  Tensor forward(const Tensor& index) override;
  void reset_parameters();
  std::string extra_repr() const override;

 private:
  int64_t count_, dim_;

 public:
  Tensor& weight;
};

}  // namespace tinytorch
