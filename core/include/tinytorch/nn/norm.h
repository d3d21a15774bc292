// Layers that behave differently in training: BatchNorm1d, BatchNorm2d and Dropout.
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
