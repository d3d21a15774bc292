// Losses: fused kernels where the backend has them, else composed. Under create_graph gradients are
// composed of ops that have gradients themselves.
#include <tinytorch/ops/loss.h>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/index.h>
#include <tinytorch/ops/reduce.h>
#include <tinytorch/ops/softmax.h>

#include "core/ops/indexing.h"
#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

[[noreturn]] TT_COLD void throw_shapes(const char* op, const Tensor& a, const Tensor& b,
                                       const char* needed) {
  throw ShapeError("[" + std::string(op) + "] " + show(view_of(a)) + " and target " +
                   show(view_of(b)) + ", needed: " + needed);
}
void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  check_defined(op, a);
  check_defined(op, b);
  check_device(op, a, b);
  check_floating(op, a);
}
void check_same(const char* op, const Tensor& a, const Tensor& b) {
  check_pair(op, a, b);
  if (!same_shape(view_of(a), view_of(b))) throw_shapes(op, a, b, "equal shapes");
  if (view_of(a).dtype != view_of(b).dtype)
    throw DtypeError("[" + std::string(op) + "] " + show(view_of(a)) + " and target " +
                     show(view_of(b)) + ", needed: one dtype");
}
Tensor reduce(const Tensor& losses, Reduction r) {
  return r == Reduction::none ? losses : r == Reduction::mean ? mean(losses) : sum(losses);
}

// ---- cross-entropy

Tensor cross_entropy_composed(const Tensor& logits, const Tensor& target, Reduction r) {
  const Tensor picked =
      gather_as("cross_entropy", log_softmax(logits, 1), 1, target.unsqueeze(1)).squeeze(1);
  return neg(reduce(picked, r));
}

// (softmax - one_hot) g, of ops.
Tensor cross_entropy_gradient(const Tensor& g, const Tensor& logits, const Tensor& target,
                              Reduction r) {
  const Tensor p =
      sub(softmax(logits, 1), one_hot(target, view_of(logits).shape[1], logits.dtype()));
  const Tensor scale = r == Reduction::none ? g.unsqueeze(1) : g;
  const Tensor out = mul(p, scale);
  return r == Reduction::mean ? mul(out, 1.0 / static_cast<double>(view_of(logits).shape[0])) : out;
}

Tensor cross_entropy_fused(const Tensor& logits, const Tensor& target, Reduction r) {
  DeviceState* d = device_of(logits);
  const Shape rows{view_of(logits).shape[0]};
  Tensor out = make(d, view_of(logits).dtype, r == Reduction::none ? rows : Shape{});
  Tensor log_sum_exp = make(d, view_of(logits).dtype, rows);
  launch<rows::cross_entropy>("cross_entropy", d, view_of(out), view_of(log_sum_exp), use(logits),
                              use(target), LossParams{r});
  if (!recording(logits)) return out;
  return attach(
      out, "cross_entropy", {logits},
      [x = Saved(logits), l = Saved(log_sum_exp), t = Saved(target), r](const Tensor& gradient) {
        if (grad_enabled()) return Grads{cross_entropy_gradient(gradient, x(), t(), r)};
        const Tensor g = gradient.contiguous();
        Tensor gx = make_like(x());
        launch<rows::cross_entropy_grad>("cross_entropy_grad", device_of(g), view_of(gx), use(g),
                                         use(x()), use(l()), use(t()), LossParams{r});
        return Grads{gx};
      });
}

// ---- squared error

Tensor mse_fused(const Tensor& p, const Tensor& t, Reduction r) {
  Tensor out = make(device_of(p), view_of(p).dtype, Shape{});
  launch<rows::mse>("mse_loss", device_of(p), view_of(out), use(p), use(t), LossParams{r});
  if (!recording(p, t)) return out;
  return attach(
      out, "mse_loss", {p, t}, [p = Saved(p), t = Saved(t), r](const Tensor& g, Needs need) {
        Tensor d;
        if (grad_enabled()) {
          d = mul(mul(sub(p(), t()),
                      r == Reduction::mean ? 2.0 / static_cast<double>(p().numel()) : 2.0),
                  g);
        } else {
          d = make_like(p());
          launch<rows::mse_grad>("mse_grad", device_of(g), view_of(d), use(g), use(p()), use(t()),
                                 LossParams{r});
        }
        Tensor e = need[1] ? neg(d) : Tensor();
        return Grads{need[0] ? std::move(d) : Tensor(), std::move(e)};
      });
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& target, Reduction r) {
  check_pair("cross_entropy", logits, target);
  check_choice("cross_entropy", "reduction", r, Reduction::sum);
  if (view_of(logits).rank != 2) throw_shapes("cross_entropy", logits, target, "logits [N, C]");
  if (view_of(logits).shape[1] == 0)
    throw_shapes("cross_entropy", logits, target, "at least one class");
  if (is_floating(view_of(target).dtype)) {
    check_same("cross_entropy", logits, target);
    return neg(reduce(sum(mul(target, log_softmax(logits, 1)), {1}), r));
  }
  if (view_of(target).dtype == Dtype::bool_)
    throw_dtype("cross_entropy", view_of(target), "classes (i64) or probabilities");
  if (view_of(target).rank != 1 || view_of(target).shape[0] != view_of(logits).shape[0])
    throw_shapes("cross_entropy", logits, target, "classes [N] or probabilities [N, C]");
  const Tensor x = logits.contiguous(), t = target.to(Dtype::i64).contiguous();
  DeviceState* d = device_of(x);
  const bool fused = view_of(x).numel > 0 && has_kernel<rows::cross_entropy>(d) &&
                     has_kernel<rows::cross_entropy_grad>(d);
  return fused ? cross_entropy_fused(x, t, r) : cross_entropy_composed(x, t, r);
}

Tensor mse_loss(const Tensor& prediction, const Tensor& target, Reduction r) {
  check_same("mse_loss", prediction, target);
  check_choice("mse_loss", "reduction", r, Reduction::sum);
  DeviceState* d = device_of(prediction);
  if (r != Reduction::none && view_of(prediction).numel > 0 && has_kernel<rows::mse>(d) &&
      has_kernel<rows::mse_grad>(d))
    return mse_fused(prediction.contiguous(), target.contiguous(), r);
  return reduce(square(sub(prediction, target)), r);
}

Tensor binary_cross_entropy(const Tensor& p, const Tensor& target, Reduction r) {
  check_same("binary_cross_entropy", p, target);
  check_choice("binary_cross_entropy", "reduction", r, Reduction::sum);
  const auto at_least = [](const Tensor& x, double bound) {
    return maximum(x, full({}, bound, {.dtype = x.dtype(), .device = x.device()}));
  };
  // As in PyTorch: log is cut at -100, so that p = 0 gives no infinite loss, and p (1 - p) at
  // 1e-12.
  const auto safe_log = [at_least](const Tensor& x) { return at_least(log(x), -100); };
  Tensor losses;
  {
    NoGrad guard;
    losses = neg(add(mul(target, safe_log(p)), mul(rsub(target, 1.0), safe_log(rsub(p, 1.0)))));
  }
  if (!recording(p, target)) return reduce(losses, r);
  losses = attach(losses, "binary_cross_entropy", {p, target},
                  [p = Saved(p), target = Saved(used_by(p, target)), at_least, safe_log](
                      const Tensor& g, Needs need) {
                    const Tensor q = rsub(p(), 1.0);
                    Tensor gp, gt;
                    if (need[0]) gp = mul(g, div(sub(p(), target()), at_least(mul(p(), q), 1e-12)));
                    if (need[1]) gt = mul(g, sub(safe_log(q), safe_log(p())));
                    return Grads{gp, gt};
                  });
  return reduce(losses, r);
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target, Reduction r) {
  check_same("binary_cross_entropy_with_logits", logits, target);
  check_choice("binary_cross_entropy_with_logits", "reduction", r, Reduction::sum);
  return reduce(sub(softplus(logits), mul(logits, target)), r);  // log(1 + e^x) - x t
}

}  // namespace tinytorch
