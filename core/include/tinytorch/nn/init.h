// Filling tensors with initial values, in place and without history. Random ones are the same bits
// on every device.
#pragma once

#include <optional>

#include <tinytorch/random.h>
#include <tinytorch/tensor.h>

namespace tinytorch::init {

enum class Nonlinearity : uint8_t { linear, sigmoid, tanh, relu, leaky_relu };
enum class FanMode : uint8_t { fan_in, fan_out };

struct Fans {
  int64_t in, out;
};
// Of a weight [out, in, ...]: in and out times the product of the other dims. ShapeError for rank
// below 2.
TT_API Fans fans(const Tensor& weight);
// Factor that keeps the scale of activations; `a` is the negative slope of leaky_relu.
TT_API double gain(Nonlinearity nonlinearity, double a = 0.01);

struct KaimingOptions {
  double a = 0;  // negative slope of leaky_relu
  FanMode mode = FanMode::fan_in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
  std::optional<Generator> generator{};  // default: the thread's of the tensor's device
};

// Each returns its tensor, which must be floating.
TT_API Tensor uniform_(Tensor t, double low = 0, double high = 1,
                       std::optional<Generator> generator = {});
TT_API Tensor normal_(Tensor t, double mean = 0, double std = 1,
                      std::optional<Generator> generator = {});
TT_API Tensor constant_(Tensor t, double value);
TT_API Tensor zeros_(Tensor t);
TT_API Tensor ones_(Tensor t);
// He et al. 2015: variance gain^2 / fan.
TT_API Tensor kaiming_uniform_(Tensor t, const KaimingOptions& options = {});
TT_API Tensor kaiming_normal_(Tensor t, const KaimingOptions& options = {});
// Glorot and Bengio 2010: variance 2 gain^2 / (fan_in + fan_out).
TT_API Tensor xavier_uniform_(Tensor t, double gain = 1, std::optional<Generator> generator = {});
TT_API Tensor xavier_normal_(Tensor t, double gain = 1, std::optional<Generator> generator = {});

}  // namespace tinytorch::init
