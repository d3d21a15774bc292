// Initial values. Random ones are drawn as a new tensor and copied in, so that bf16 and f16 get
// rounded f32 values.
#include <tinytorch/nn/init.h>

#include <cmath>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/ops/random.h>

namespace tinytorch::init {

static void check_floating(const char* name, const Tensor& t) {
  if (is_floating(t.dtype())) return;
  throw DtypeError("[init::" + std::string(name) + "] dtype " + name_of(t.dtype()) +
                   " was given, a floating one is needed");
}

static RandomOptions options_for(const Tensor& t, std::optional<Generator> generator) {
  return {.dtype = t.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32,
          .device = t.device(),
          .generator = std::move(generator)};
}

Fans fans(const Tensor& weight) {
  const Shape shape = weight.shape();
  if (shape.rank() < 2) {
    throw ShapeError("[init] a weight of shape " + shape.str() +
                     " has no fan: rank 2 or more is needed");
  }
  int64_t field = 1;
  for (int i = 2; i < shape.rank(); ++i) field *= shape[i];
  return {shape[1] * field, shape[0] * field};
}

double gain(Nonlinearity nonlinearity, double a) {
  switch (nonlinearity) {
    case Nonlinearity::tanh:
      return 5.0 / 3;
    case Nonlinearity::relu:
      return std::sqrt(2.0);
    case Nonlinearity::leaky_relu:
      return std::sqrt(2 / (1 + a * a));
    default:
      return 1;
  }
}

Tensor uniform_(Tensor t, double low, double high, std::optional<Generator> generator) {
  check_floating("uniform_", t);
  if (!(low <= high)) throw ValueError("[init::uniform_] low must not be greater than high");
  NoGrad no_grad;
  return t.copy_(uniform(t.shape(), low, high, options_for(t, std::move(generator))));
}

Tensor normal_(Tensor t, double mean, double std, std::optional<Generator> generator) {
  check_floating("normal_", t);
  if (!(std >= 0)) throw ValueError("[init::normal_] the standard deviation must not be negative");
  NoGrad no_grad;
  return t.copy_(normal(t.shape(), mean, std, options_for(t, std::move(generator))));
}

Tensor constant_(Tensor t, double value) {
  check_floating("constant_", t);
  NoGrad no_grad;
  return t.fill_(value);
}
Tensor zeros_(Tensor t) { return constant_(std::move(t), 0); }
Tensor ones_(Tensor t) { return constant_(std::move(t), 1); }

// Standard deviation after He et al.; 0 for a weight without elements.
static double kaiming_std(const Tensor& t, const KaimingOptions& o) {
  const Fans f = fans(t);
  const int64_t fan = o.mode == FanMode::fan_in ? f.in : f.out;
  return fan > 0 ? gain(o.nonlinearity, o.a) / std::sqrt(static_cast<double>(fan)) : 0;
}

Tensor kaiming_uniform_(Tensor t, const KaimingOptions& o) {
  const double bound = std::sqrt(3.0) * kaiming_std(t, o);
  return uniform_(std::move(t), -bound, bound, o.generator);
}
Tensor kaiming_normal_(Tensor t, const KaimingOptions& o) {
  const double std = kaiming_std(t, o);
  return normal_(std::move(t), 0, std, o.generator);
}

static double xavier_std(const Tensor& t, double gain) {
  const Fans f = fans(t);
  const int64_t sum = f.in + f.out;
  return sum > 0 ? gain * std::sqrt(2.0 / static_cast<double>(sum)) : 0;
}

Tensor xavier_uniform_(Tensor t, double gain, std::optional<Generator> generator) {
  const double bound = std::sqrt(3.0) * xavier_std(t, gain);
  return uniform_(std::move(t), -bound, bound, std::move(generator));
}
Tensor xavier_normal_(Tensor t, double gain, std::optional<Generator> generator) {
  const double std = xavier_std(t, gain);
  return normal_(std::move(t), 0, std, std::move(generator));
}

}  // namespace tinytorch::init
