// Normalisation, and what else behaves differently in training: BatchNorm1d, BatchNorm2d, LayerNorm
// (the same in both modes) and Dropout.
#pragma once

#include <tinytorch/nn/module.h>

namespace tinytorch {

struct BatchNormLayerOptions {
  double eps = 1e-5;
  double momentum = 0.1;            // running = (1 - momentum) running + momentum batch
  bool affine = true;               // with weight (starts at 1) and bias (0)
  bool track_running_stats = true;  // without: batch statistics in eval mode too
};

// Normalises each channel over all other dims (Ioffe and Szegedy 2015): by the batch's statistics
// in training, which also updates running_mean and running_var (unbiased), by the running ones in
// eval mode.
class TT_API BatchNorm : public Module {
 public:
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 protected:
  BatchNorm(int64_t channels, const BatchNormLayerOptions& options, int min_rank, int max_rank);
  BatchNorm(BatchNorm&&) noexcept = default;

 private:
  int64_t channels_;
  BatchNormLayerOptions options_;
  int min_rank_, max_rank_;

 public:
  Tensor& weight;               // [C]; undefined without affine
  Tensor& bias;                 // [C]; undefined without affine
  Tensor& running_mean;         // [C]; undefined without track_running_stats
  Tensor& running_var;          // [C]; undefined without track_running_stats
  Tensor& num_batches_tracked;  // i64 []; undefined without track_running_stats
};

// x [N, C] or [N, C, L]; ShapeError for another rank.
class TT_API BatchNorm1d : public BatchNorm {
 public:
  explicit BatchNorm1d(int64_t channels, const BatchNormLayerOptions& options = {});
};
// x [N, C, H, W]; ShapeError for another rank.
class TT_API BatchNorm2d : public BatchNorm {
 public:
  explicit BatchNorm2d(int64_t channels, const BatchNormLayerOptions& options = {});
};

struct LayerNormOptions {
  double eps = 1e-5;
  bool elementwise_affine = true;  // with weight (starts at 1) and, if `bias`, bias (0)
  bool bias = true;
};

// Normalises the last dims of x, which are `normalized_shape`, for each index of the others (Ba,
// Kiros and Hinton 2016); the same in training and in eval mode. ValueError unless there is a dim
// and all are positive.
class TT_API LayerNorm : public Module {
 public:
  explicit LayerNorm(const Shape& normalized_shape, const LayerNormOptions& options = {});
  LayerNorm(LayerNorm&&) noexcept = default;

  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 private:
  Shape shape_;
  LayerNormOptions options_;

 public:
  Tensor& weight;  // [normalized_shape]; undefined without elementwise_affine
  Tensor& bias;    // [normalized_shape]; undefined without elementwise_affine or bias
};

// In training each element is zeroed with probability p and the others are divided by 1 - p; in
// eval mode x itself. ValueError unless 0 <= p <= 1.
class TT_API Dropout : public Module {
 public:
  explicit Dropout(double p = 0.5);
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 private:
  double p_;
};

}  // namespace tinytorch
