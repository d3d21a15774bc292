// Softmax and log-softmax, and their derivative as an op.
#include <tinytorch/ops/softmax.h>

#include <tinytorch/ops/reduce.h>

#include "core/ops/fold.h"

namespace tinytorch {

namespace {

// From the gradient g of the output y; see the row in kernels.def.
Tensor softmax_grad(const Tensor& gradient, const Tensor& y, int dim, bool log) {
  const Tensor g = gradient.contiguous();
  const Folded f = fold("softmax", y, dim);
  Tensor out = make_like(y);
  launch<rows::softmax_grad>(log ? "log_softmax_grad" : "softmax_grad", device_of(y),
                             view_of(seen_as(out, f.shape())), use(seen_as(g, f.shape())),
                             use(seen_as(y, f.shape())), log);
  if (!recording(g, y)) return out;
  return attach(out, log ? "log_softmax_grad" : "softmax_grad", {g, y},
                [g = Saved(g), y = Saved(y), dim, log](const Tensor& h, Needs need) {
                  Tensor hg, hy;
                  if (!log) {  // out = y (g - s), s = sum g y
                    if (need[0]) hg = softmax_grad(h, y(), dim, false);
                    if (need[1])
                      hy = sub(mul(h, sub(g(), sum(mul(g(), y()), {dim}, true))),
                               mul(g(), sum(mul(h, y()), {dim}, true)));
                  } else {  // out = g - p sum g, p = exp(y)
                    const Tensor p = exp(y());
                    if (need[0]) hg = sub(h, sum(mul(h, p), {dim}, true));
                    if (need[1]) hy = neg(mul(mul(h, p), sum(g(), {dim}, true)));
                  }
                  return Grads{hg, hy};
                });
}

Tensor softmax_of(const char* name, const Tensor& t, int dim, bool log) {
  check_defined(name, t);
  check_floating(name, t);
  const Tensor a = t.contiguous();
  const Folded f = fold(name, a, dim);
  Tensor out = make_like(a);
  if (view_of(a).numel)
    launch<rows::softmax>(name, device_of(a), view_of(seen_as(out, f.shape())),
                          use(seen_as(a, f.shape())), log);
  if (!recording(a)) return out;
  return attach(out, name, {a}, [y = SavedOutput(out), d = f.dim, log](const Tensor& g) {
    return Grads{softmax_grad(g, y(), d, log)};
  });
}

}  // namespace

Tensor softmax(const Tensor& a, int dim) { return softmax_of("softmax", a, dim, false); }
Tensor log_softmax(const Tensor& a, int dim) { return softmax_of("log_softmax", a, dim, true); }
Tensor Tensor::softmax(int dim) const { return tinytorch::softmax(*this, dim); }
Tensor Tensor::log_softmax(int dim) const { return tinytorch::log_softmax(*this, dim); }

}  // namespace tinytorch
