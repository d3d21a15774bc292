// Batch and layer normalisation: a fused kernel where the backend has one, else composed. Under
// create_graph the gradient is always composed, of ops that have gradients themselves.
#include <tinytorch/ops/norm.h>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/reduce.h>

#include "core/ops/fold.h"

namespace tinytorch {

namespace {

// How x is seen: one mean over `own` for each index of the other dims; one weight over `shared`.
// Weight and bias have the size of dim 1.
struct Axes {
  Shape own, shared;
  Shape affine;  // how weight and bias stretch over x
};
const Axes kBatch{{0, 2}, {0, 2}, {1, -1, 1}};  // of x [N, C, S]
const Axes kLayer{{1}, {0}, {1, -1}};           // of x [M, N]

// w (x - mean) / std + b; mean and variance stretch over x.
Tensor scaled(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& weight,
              const Tensor& bias, const Axes& axes, double eps) {
  Tensor out = div(sub(x, mean), sqrt(add(variance, eps)));
  if (weight.defined()) out = mul(out, weight.reshape(axes.affine));
  return bias.defined() ? add(out, bias.reshape(axes.affine)) : out;
}

// The gradients through the statistics, of ops: with h = (x - mean) / std and t = g w,
// gx = (t - mean(t) - h mean(t h)) / std, gw = sum(g h), gb = sum(g).
Grads composed_gradients(const Tensor& g, const Tensor& x, const Tensor& weight, const Axes& axes,
                         double eps, Needs need) {
  const Tensor centered = sub(x, mean(x, axes.own, true));
  const Tensor inverse = rdiv(sqrt(add(mean(square(centered), axes.own, true), eps)), 1.0);
  const Tensor h = mul(centered, inverse);
  Tensor gx;
  if (need[0]) {
    const Tensor t = weight.defined() ? mul(g, weight.reshape(axes.affine)) : g;
    gx =
        mul(inverse, sub(sub(t, mean(t, axes.own, true)), mul(h, mean(mul(t, h), axes.own, true))));
  }
  return Grads{gx, need[1] ? sum(mul(g, h), axes.shared) : Tensor(),
               need[2] ? sum(g, axes.shared) : Tensor()};
}

struct Normalised {
  Tensor out, mean, variance;  // biased variance
};

Normalised composed(const Tensor& x, const Tensor& weight, const Tensor& bias, const Axes& axes,
                    double eps) {
  const Tensor m = mean(x, axes.own, true), v = var(x, axes.own, false, true);
  return {scaled(x, m, v, weight, bias, axes, eps), m.detach(), v.detach()};
}

struct BatchRows {
  using Forward = rows::batch_norm;
  using Backward = rows::batch_norm_grad;
  using Params = BatchNormParams;
  static constexpr const char *kName = "batch_norm", *kGradName = "batch_norm_grad";
  static constexpr int kStatistics = 1;  // mean and inverse_std have the size of this dim
  static const Axes& axes() { return kBatch; }
};
struct LayerRows {
  using Forward = rows::layer_norm;
  using Backward = rows::layer_norm_grad;
  using Params = LayerNormParams;
  static constexpr const char *kName = "layer_norm", *kGradName = "layer_norm_grad";
  static constexpr int kStatistics = 0;
  static const Axes& axes() { return kLayer; }
};

template <class R>
bool has_rows(const Tensor& x) {
  return has_kernel<typename R::Forward>(device_of(x)) &&
         has_kernel<typename R::Backward>(device_of(x));
}

struct Fused {
  Tensor out, mean, inverse;
};

template <class R>
Fused fused(const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  DeviceState* d = device_of(x);
  const Dtype dtype = view_of(x).dtype;
  Tensor out = make_like(x);
  const Shape statistics{view_of(x).shape[R::kStatistics]};
  Tensor m = make(d, dtype, statistics), inverse = make(d, dtype, statistics);
  launch<typename R::Forward>(R::kName, d, view_of(out), view_of(m), view_of(inverse), use(x),
                              use_optional(w), use_optional(b), typename R::Params{eps});
  if (!recording(x, w, b)) return {out, m, inverse};
  Tensor result =
      attach(out, R::kName, {x, w, b},
             [x = Saved(x), w = Saved(w), m = Saved(m), inverse = Saved(inverse), eps](
                 const Tensor& gradient, Needs need) {
               if (grad_enabled())
                 return composed_gradients(gradient, x(), w(), R::axes(), eps, need);
               const Tensor g = gradient.contiguous();
               const Shape affine{view_of(x()).shape[1]};
               Tensor gx, gw, gb;
               if (need[0]) gx = make_like(x());
               if (need[1]) gw = make(device_of(g), view_of(g).dtype, affine);
               if (need[2]) gb = make(device_of(g), view_of(g).dtype, affine);
               launch<typename R::Backward>(R::kGradName, device_of(g), use_optional(gx),
                                            use_optional(gw), use_optional(gb), use(g), use(x()),
                                            use(m()), use(inverse()), use_optional(w()));
               return Grads{gx, gw, gb};
             });
  return {result, m, inverse};
}

Tensor contiguous(const Tensor& t) { return t.defined() ? t.contiguous() : t; }

Normalised fused_batch(const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  const Fused f = fused<BatchRows>(x, contiguous(w), contiguous(b), eps);
  return {f.out, f.mean, sub(rdiv(square(f.inverse), 1.0), eps)};
}

void update_running(Tensor running, const Tensor& batch, double momentum, double correction) {
  if (!running.defined()) return;
  NoGrad guard;
  running.mul_(1 - momentum).add_(batch.reshape({-1}), momentum * correction);
}

// `t`, if there is one, has the shape `needed`, which the message calls `name`.
void check_like(const char* op, const char* what, const Tensor& t, const Tensor& x,
                const Shape& needed, const std::string& name) {
  if (!t.defined()) return;
  check_device(op, x, t);
  if (!(shape_of(t) == needed) || view_of(t).dtype != view_of(x).dtype)
    throw ShapeError("[" + std::string(op) + "] " + what + " " + show(view_of(t)) + " for input " +
                     show(view_of(x)) + ", needed: " + name + " of the input's dtype");
}
void check_channels(const char* what, const Tensor& t, const Tensor& x) {
  check_like("batch_norm", what, t, x, {view_of(x).shape[1]}, "[C]");
}
void check_eps(const char* op, double eps) {
  if (!(eps >= 0))
    throw ValueError("[" + std::string(op) + "] eps " + std::to_string(eps) +
                     ", needed: at least 0");
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
  check_eps("batch_norm", o.eps);
  const Shape before = shape_of(input);
  const int64_t channels = before[1], count = channels ? view_of(input).numel / channels : 0;
  const Tensor x =
      input.contiguous().reshape({before[0], channels, before[0] ? count / before[0] : 1});
  if (!o.training) {
    if (!running_mean.defined() || !running_var.defined())
      throw ValueError(
          "[batch_norm] evaluation without running statistics, needed: running_mean and "
          "running_var");
    return scaled(x, running_mean.reshape(kBatch.affine), running_var.reshape(kBatch.affine),
                  weight, bias, kBatch, o.eps)
        .reshape(before);
  }
  if (count < 2)
    throw ShapeError("[batch_norm] " + show(view_of(input)) +
                     " in training, needed: more than one value per channel");
  const Normalised n = has_rows<BatchRows>(x) ? fused_batch(x, weight, bias, o.eps)
                                              : composed(x, weight, bias, kBatch, o.eps);
  update_running(running_mean, n.mean, o.momentum, 1);
  update_running(running_var, n.variance, o.momentum,
                 static_cast<double>(count) / static_cast<double>(count - 1));
  return n.out.reshape(before);
}

Tensor layer_norm(const Tensor& input, const Shape& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
  check_defined("layer_norm", input);
  check_floating("layer_norm", input);
  const Shape before = shape_of(input);
  const int kept = before.rank() - normalized_shape.rank();
  if (normalized_shape.empty() || kept < 0 ||
      !(Shape(normalized_shape.rank(), before.data() + kept) == normalized_shape))
    throw ShapeError("[layer_norm] " + show(view_of(input)) + ", normalized_shape " +
                     normalized_shape.str() + ", needed: the last dims of the input, at least one");
  check_like("layer_norm", "weight", weight, input, normalized_shape, normalized_shape.str());
  check_like("layer_norm", "bias", bias, input, normalized_shape, normalized_shape.str());
  check_eps("layer_norm", eps);
  const int64_t n = normalized_shape.numel();
  const Tensor x = input.contiguous().reshape({Shape(kept, before.data()).numel(), n});
  const Tensor w = weight.defined() ? weight.contiguous().reshape({n}) : weight,
               b = bias.defined() ? bias.contiguous().reshape({n}) : bias;
  const Tensor out = view_of(x).numel && has_rows<LayerRows>(x)
                         ? fused<LayerRows>(x, w, b, eps).out
                         : composed(x, w, b, kLayer, eps).out;
  return out.reshape(before);
}

}  // namespace tinytorch
