// Random tensors and dropout. A kernel reads seed and offset from the generator's state in device
// memory and moves the offset on, so the host never needs to know it.
#include <tinytorch/ops/random.h>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>

#include "core/ops/generator.h"
#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

struct Source {
  Generator generator;
  DeviceState* device;
};
Source source_of(const char* op, const RandomOptions& o) {
  const Device device = o.device ? *o.device : o.generator ? o.generator->device() : Device();
  Generator g = o.generator ? *o.generator : default_generator(device);
  if (!(g.device() == device))
    throw DeviceError("[" + std::string(op) + "] generator on " + g.device().name() +
                      ", tensor on " + device.name() + ", needed: one device");
  return {g, device.state()};
}

Tensor draw(const char* op, RandomOp what, const Shape& shape, Dtype dtype, const RandomParams& p,
            const RandomOptions& o) {
  check_sizes(op, shape);
  const Source s = source_of(op, o);
  Tensor out = make(s.device, dtype, shape);
  {
    std::lock_guard lock(s.generator.impl()->mutex);
    launch<rows::random>(op, s.device, what, view_of(out), use(s.generator.impl()->state), p);
  }
  if (o.requires_grad) out.requires_grad_();
  return out;
}

Dtype real(const char* op, const RandomOptions& o) {
  const Dtype d = o.dtype.value_or(Dtype::f32);
  if (d != Dtype::f32 && d != Dtype::f64)
    throw DtypeError("[" + std::string(op) + "] dtype " + name_of(d) + ", needed: f32 or f64");
  return d;
}
void check_probability(const char* op, double p) {
  if (!(p >= 0 && p <= 1))
    throw ValueError("[" + std::string(op) + "] probability " + std::to_string(p) +
                     ", needed: in [0, 1]");
}

// mask ? scale x : 0
Tensor masked_scale(const Tensor& input, const Tensor& mask, double scale) {
  const Tensor x = input.contiguous();
  Tensor out;
  if (has_kernel<rows::masked_scale>(device_of(x))) {
    out = make_like(x);
    launch<rows::masked_scale>("dropout", device_of(x), view_of(out), use(x), use(mask), scale);
  } else {
    NoGrad guard;
    out = where(mask, mul(x, scale), zeros_like(x));
  }
  if (!recording(x)) return out;
  return attach(out, "dropout", {x}, [m = Saved(mask), scale](const Tensor& g) {
    return Grads{masked_scale(g, m(), scale)};
  });
}

}  // namespace

namespace {
Tensor uniform_as(const char* op, const Shape& shape, double low, double high,
                  const RandomOptions& o) {
  return draw(op, RandomOp::uniform, shape, real(op, o), {low, high, 0, 0}, o);
}
Tensor normal_as(const char* op, const Shape& shape, double mean, double std,
                 const RandomOptions& o) {
  return draw(op, RandomOp::normal, shape, real(op, o), {mean, std, 0, 0}, o);
}
}  // namespace

Tensor uniform(const Shape& shape, double low, double high, const RandomOptions& o) {
  if (!(low <= high))
    throw ValueError("[uniform] from " + std::to_string(low) + " to " + std::to_string(high) +
                     ", needed: low <= high");
  return uniform_as("uniform", shape, low, high, o);
}
Tensor rand(const Shape& shape, const RandomOptions& o) {
  return uniform_as("rand", shape, 0, 1, o);
}
Tensor normal(const Shape& shape, double mean, double std, const RandomOptions& o) {
  if (!(std >= 0))
    throw ValueError("[normal] standard deviation " + std::to_string(std) + ", needed: at least 0");
  return normal_as("normal", shape, mean, std, o);
}
Tensor randn(const Shape& shape, const RandomOptions& o) {
  return normal_as("randn", shape, 0, 1, o);
}
Tensor bernoulli(const Shape& shape, double p, const RandomOptions& o) {
  check_probability("bernoulli", p);
  return draw("bernoulli", RandomOp::bernoulli, shape, o.dtype.value_or(Dtype::f32), {p, 0, 0, 0},
              o);
}
Tensor randint(int64_t low, int64_t high, const Shape& shape, const RandomOptions& o) {
  int64_t span = 0;
  if (low >= high || __builtin_sub_overflow(high, low, &span))
    throw ValueError("[randint] from " + std::to_string(low) + " to " + std::to_string(high) +
                     ", needed: low < high, at most 2^63 apart");
  return draw("randint", RandomOp::randint, shape, o.dtype.value_or(Dtype::i64), {0, 0, low, high},
              o);
}
Tensor randperm(int64_t n, const RandomOptions& o) {
  if (n < 0) throw ValueError("[randperm] " + std::to_string(n) + " elements, needed: at least 0");
  check_sizes("randperm", {n});
  const Source s = source_of("randperm", o);
  Tensor out = make(s.device, Dtype::i64, Shape{n});
  {
    std::lock_guard lock(s.generator.impl()->mutex);
    launch<rows::randperm>("randperm", s.device, view_of(out), use(s.generator.impl()->state));
  }
  return o.dtype ? out.to(*o.dtype) : out;
}

Tensor dropout(const Tensor& x, double p, bool training, std::optional<Generator> generator) {
  check_defined("dropout", x);
  check_floating("dropout", x);
  check_probability("dropout", p);
  if (!training || p == 0) return x;
  if (p == 1) return mul(x, 0.0);
  const Tensor keep =
      bernoulli(shape_of(x), 1 - p,
                {.dtype = Dtype::bool_, .device = x.device(), .generator = std::move(generator)});
  return masked_scale(x, keep, 1 / (1 - p));
}

}  // namespace tinytorch
