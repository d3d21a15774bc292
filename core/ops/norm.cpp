// Batch normalisation: a fused kernel where the backend has one, else composed. Under create_graph
// the gradient is always composed, of ops that have gradients themselves.
#include <tinytorch/ops/norm.h>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/reduce.h>

#include "core/ops/fold.h"

namespace tinytorch {

namespace {

const Shape kOverBatch{0, 2};  // of x [N, C, S]

Tensor per_channel(const Tensor& t) { return t.reshape({1, -1, 1}); }

// w (x - mean) / std + b on x [N, C, S]; mean and variance [C].
Tensor scaled(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& weight,
              const Tensor& bias, double eps) {
  Tensor out = div(sub(x, per_channel(mean)), per_channel(sqrt(add(variance, eps))));
  if (weight.defined()) out = mul(out, per_channel(weight));
  return bias.defined() ? add(out, per_channel(bias)) : out;
}

// The gradients of the training form, of ops: with h = (x - mean) / std,
// gx = w / std (g - mean(g) - h mean(g h)), gw = sum(g h), gb = sum(g).
Grads composed_gradients(const Tensor& g, const Tensor& x, const Tensor& weight, double eps,
                         Needs need) {
  const Tensor centered = sub(x, mean(x, kOverBatch, true));
  const Tensor inverse = rdiv(sqrt(add(mean(square(centered), kOverBatch, true), eps)), 1.0);
  const Tensor h = mul(centered, inverse);
  Tensor gx;
  if (need[0]) {
    gx = mul(inverse,
             sub(sub(g, mean(g, kOverBatch, true)), mul(h, mean(mul(g, h), kOverBatch, true))));
    if (weight.defined()) gx = mul(gx, per_channel(weight));
  }
  return Grads{gx, need[1] ? sum(mul(g, h), kOverBatch) : Tensor(),
               need[2] ? sum(g, kOverBatch) : Tensor()};
}

struct Normalised {
  Tensor out, mean, variance;  // biased variance, [C]
};

Normalised composed(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const Tensor m = mean(x, kOverBatch), v = var(x, kOverBatch, false);
  return {scaled(x, m, v, weight, bias, eps), m.detach(), v.detach()};
}

Normalised fused(const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  DeviceState* d = device_of(x);
  Tensor out = make_like(x);
  const Shape channels{view_of(x).shape[1]};
  Tensor m = make(d, view_of(x).dtype, channels), inverse = make(d, view_of(x).dtype, channels);
  launch<rows::batch_norm>("batch_norm", d, view_of(out), view_of(m), view_of(inverse), use(x),
                           use_optional(w), use_optional(b), BatchNormParams{eps});
  const Tensor variance = sub(rdiv(square(inverse), 1.0), eps);
  if (!recording(x, w, b)) return {out, m, variance};
  Tensor result =
      attach(out, "batch_norm", {x, w, b},
             [x = Saved(x), w = Saved(w), m = Saved(m), inverse = Saved(inverse), eps](
                 const Tensor& gradient, Needs need) {
               if (grad_enabled()) return composed_gradients(gradient, x(), w(), eps, need);
               const Tensor g = gradient.contiguous();
               Tensor gx, gw, gb;
               if (need[0]) gx = make_like(x());
               if (need[1]) gw = make_like(m());
               if (need[2]) gb = make_like(m());
               launch<rows::batch_norm_grad>("batch_norm_grad", device_of(g), use_optional(gx),
                                             use_optional(gw), use_optional(gb), use(g), use(x()),
                                             use(m()), use(inverse()), use_optional(w()));
               return Grads{gx, gw, gb};
             });
  return {result, m, variance};
}

void update_running(Tensor running, const Tensor& batch, double momentum, double correction) {
  if (!running.defined()) return;
  NoGrad guard;
  running.mul_(1 - momentum).add_(batch, momentum * correction);
}

void check_channels(const char* what, const Tensor& t, const Tensor& x) {
  if (!t.defined()) return;
  check_device("batch_norm", x, t);
  if (!(shape_of(t) == Shape{view_of(x).shape[1]}) || view_of(t).dtype != view_of(x).dtype)
    throw ShapeError("[batch_norm] " + std::string(what) + " " + show(view_of(t)) + " for input " +
                     show(view_of(x)) + ", needed: [C] of the input's dtype");
}

}  // namespace

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, const BatchNormOptions& o) {
  check_defined("batch_norm", input);
  check_floating("batch_norm", input);
  if (view_of(input).rank < 2)
    throw ShapeError("[batch_norm] " + show(view_of(input)) + ", needed: [N, C, ...]");
  check_channels("running_mean", running_mean, input);
  check_channels("running_var", running_var, input);
  check_channels("weight", weight, input);
  check_channels("bias", bias, input);
  if (!(o.eps >= 0))
    throw ValueError("[batch_norm] eps " + std::to_string(o.eps) + ", needed: at least 0");
  const Shape before = shape_of(input);
  const int64_t channels = before[1], count = channels ? view_of(input).numel / channels : 0;
  const Tensor x =
      input.contiguous().reshape({before[0], channels, before[0] ? count / before[0] : 1});
  if (!o.training) {
    if (!running_mean.defined() || !running_var.defined())
      throw ValueError(
          "[batch_norm] evaluation without running statistics, needed: running_mean and "
          "running_var");
    return scaled(x, running_mean, running_var, weight, bias, o.eps).reshape(before);
  }
  if (count < 2)
    throw ShapeError("[batch_norm] " + show(view_of(input)) +
                     " in training, needed: more than one value per channel");
  const Tensor w = weight.defined() ? weight.contiguous() : weight,
               b = bias.defined() ? bias.contiguous() : bias;
  const Normalised n =
      has_kernel<rows::batch_norm>(device_of(x)) && has_kernel<rows::batch_norm_grad>(device_of(x))
          ? fused(x, w, b, o.eps)
          : composed(x, w, b, o.eps);
  update_running(running_mean, n.mean, o.momentum, 1);
  update_running(running_var, n.variance, o.momentum,
                 static_cast<double>(count) / static_cast<double>(count - 1));
  return n.out.reshape(before);
}

}  // namespace tinytorch
