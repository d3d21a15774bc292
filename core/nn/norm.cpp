// BatchNorm, LayerNorm and Dropout.
#include <tinytorch/nn/norm.h>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/ops/norm.h>
#include <tinytorch/ops/random.h>

#include "core/nn/repr.h"

namespace tinytorch {

// Undefined where the layer has none.
static Tensor values(bool wanted, const Shape& shape, double value, Category category) {
  if (!wanted) return {};
  CategoryGuard guard(category);
  return full(shape, value, {.dtype = Dtype::f32});
}

// A vector of one value per channel.
static Tensor channel_values(bool wanted, int64_t channels, double value, Category category) {
  if (channels <= 0)
    throw ValueError("[BatchNorm] " + std::to_string(channels) + " channels, must be positive");
  return values(wanted, {channels}, value, category);
}

static Tensor counter(bool wanted) {
  CategoryGuard guard(Category::other);
  return wanted ? zeros({}, {.dtype = Dtype::i64}) : Tensor();
}

BatchNorm::BatchNorm(int64_t channels, const BatchNormLayerOptions& o, int min_rank, int max_rank)
    : channels_(channels),
      options_(o),
      min_rank_(min_rank),
      max_rank_(max_rank),
      weight(
          register_parameter("weight", channel_values(o.affine, channels, 1, Category::parameter))),
      bias(register_parameter("bias", channel_values(o.affine, channels, 0, Category::parameter))),
      running_mean(register_buffer(
          "running_mean", channel_values(o.track_running_stats, channels, 0, Category::other))),
      running_var(register_buffer(
          "running_var", channel_values(o.track_running_stats, channels, 1, Category::other))),
      num_batches_tracked(register_buffer("num_batches_tracked", counter(o.track_running_stats))) {}

BatchNorm1d::BatchNorm1d(int64_t channels, const BatchNormLayerOptions& options)
    : BatchNorm(channels, options, 2, 3) {}
BatchNorm2d::BatchNorm2d(int64_t channels, const BatchNormLayerOptions& options)
    : BatchNorm(channels, options, 4, 4) {}

Tensor BatchNorm::forward(const Tensor& x) {
  if (x.rank() < min_rank_ || x.rank() > max_rank_) {
    throw ShapeError("[" + type_name() + "] input " + x.shape().str() + " has rank " +
                     std::to_string(x.rank()) + ", needed is " + std::to_string(min_rank_) +
                     (max_rank_ > min_rank_ ? " or " + std::to_string(max_rank_) : ""));
  }
  const bool by_batch = is_training() || !options_.track_running_stats;
  const bool update = is_training() && options_.track_running_stats;
  Tensor out =
      batch_norm(x, running_mean, running_var, weight, bias,
                 {.training = by_batch, .momentum = options_.momentum, .eps = options_.eps});
  if (update) {
    NoGrad no_grad;
    num_batches_tracked.add_(1);
  }
  return out;
}

std::string BatchNorm::extra_repr() const {
  return std::to_string(channels_) + ", eps=" + repr(options_.eps) +
         ", momentum=" + repr(options_.momentum) + ", affine=" + repr(options_.affine) +
         ", track_running_stats=" + repr(options_.track_running_stats);
}

static const Shape& checked(const Shape& shape) {
  bool positive = !shape.empty();
  for (const int64_t n : shape) positive = positive && n > 0;
  if (!positive)
    throw ValueError("[LayerNorm] normalized_shape " + shape.str() +
                     ", must have at least one dim, all positive");
  return shape;
}

LayerNorm::LayerNorm(const Shape& normalized_shape, const LayerNormOptions& o)
    : shape_(checked(normalized_shape)),
      options_(o),
      weight(register_parameter("weight",
                                values(o.elementwise_affine, shape_, 1, Category::parameter))),
      bias(register_parameter(
          "bias", values(o.elementwise_affine && o.bias, shape_, 0, Category::parameter))) {}

Tensor LayerNorm::forward(const Tensor& x) {
  return layer_norm(x, shape_, weight, bias, options_.eps);
}

std::string LayerNorm::extra_repr() const {
  std::string sizes;
  for (const int64_t n : shape_) sizes += (sizes.empty() ? "" : ", ") + std::to_string(n);
  if (shape_.rank() == 1) sizes += ",";
  return "(" + sizes + "), eps=" + repr(options_.eps) +
         ", elementwise_affine=" + repr(options_.elementwise_affine) +
         ", bias=" + repr(bias.defined());
}

Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0 && p <= 1))
    throw ValueError("[Dropout] p is " + std::to_string(p) + ", must be in [0, 1]");
}

Tensor Dropout::forward(const Tensor& x) { return dropout(x, p_, is_training()); }

std::string Dropout::extra_repr() const { return "p=" + repr(p_) + ", inplace=False"; }

}  // namespace tinytorch
