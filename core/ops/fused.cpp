// Optimizer steps over all parameters of a group: one fused launch where the backend has it, else
// composed of ops that read the changing scalars (learning rate, step) from device memory just the
// same.
#include <tinytorch/ops/fused.h>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>

#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

// Addresses of views for a launch; small groups need no allocation.
class Views {
 public:
  explicit Views(const std::vector<Tensor>& tensors) {
    if (tensors.size() > kInline) many_.resize(tensors.size());
    at_ = many_.empty() ? few_ : many_.data();
    for (const Tensor& t : tensors) at_[count_++] = &use(t);
  }
  Views(const Views&) = delete;
  Views& operator=(const Views&) = delete;
  ViewList list() const { return {count_, at_}; }

 private:
  static constexpr size_t kInline = 16;
  const View* few_[kInline];
  std::vector<const View*> many_;
  const View** at_;
  int count_ = 0;
};

void check_lists(const char* op, const std::vector<Tensor>& params,
                 const std::vector<Tensor>& others, const char* what, bool written) {
  if (params.size() != others.size())
    throw ShapeError("[" + std::string(op) + "] " + std::to_string(params.size()) +
                     " parameters and " + std::to_string(others.size()) + " " + what +
                     ", needed: one each");
  for (size_t i = 0; i < params.size(); ++i) {
    check_defined(op, params[i]);
    check_defined(op, others[i]);
    check_device(op, params[0], params[i]);
    check_device(op, params[i], others[i]);
    const View &p = view_of(params[i]), &o = view_of(others[i]);
    if (TT_UNLIKELY(!same_shape(p, o) || p.dtype != o.dtype || !p.contiguous ||
                    (written && !o.contiguous) || p.dtype > Dtype::f64))
      throw ShapeError("[" + std::string(op) + "] parameter " + show(p) + " and " + what + " " +
                       show(o) + ", needed: equal, f32 or f64, contiguous what is written");
  }
}
bool all_dense(const std::vector<Tensor>& tensors) {
  for (const Tensor& t : tensors)
    if (!view_of(t).contiguous) return false;
  return true;
}
std::vector<Tensor> dense_copies(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) out.push_back(dense(t));
  return out;
}
void bump(const std::vector<Tensor>& tensors) {
  for (const Tensor& t : tensors) ++t.impl()->storage->version;
}
void check_hyper(const char* op, const Tensor& hyper, const std::vector<Tensor>& params) {
  check_defined(op, hyper);
  if (!params.empty()) check_device(op, params[0], hyper);
  if (view_of(hyper).dtype != Dtype::f64 || view_of(hyper).numel != kHyperCount ||
      !view_of(hyper).contiguous)
    throw ShapeError("[" + std::string(op) + "] hyper " + show(view_of(hyper)) + ", needed: f64 [" +
                     std::to_string(kHyperCount) + "]");
}
Tensor slot(const Tensor& hyper, int i) { return hyper.select(0, i); }

// The gradient as the rule wants it: scaled, turned for maximising, with weight decay.
Tensor effective(const Tensor& p, const Tensor& g, const Tensor& hyper, bool maximize,
                 double weight_decay) {
  Tensor d = mul(g, slot(hyper, kHyperGradScale).to(g.dtype()));
  if (maximize) d = neg(d);
  return weight_decay != 0 ? add(d, mul(p, weight_decay)) : d;
}

}  // namespace

void sgd_step_(const std::vector<Tensor>& params, const std::vector<Tensor>& grads,
               const std::vector<Tensor>& momenta, const Tensor& hyper, const SgdStep& o) {
  check_lists("sgd_step", params, grads, "gradients", false);
  if (o.momentum != 0) check_lists("sgd_step", params, momenta, "momenta", true);
  check_hyper("sgd_step", hyper, params);
  if (params.empty()) return;
  if (!all_dense(grads)) return sgd_step_(params, dense_copies(grads), momenta, hyper, o);
  bump(params);
  bump(momenta);
  ++hyper.impl()->storage->version;
  DeviceState* d = device_of(params[0]);
  if (has_kernel<rows::sgd_step>(d)) {
    const Views p(params), g(grads), m(momenta);
    launch<rows::sgd_step>(
        "sgd_step", d, p.list(), g.list(), m.list(), use(hyper),
        SgdParams{o.momentum, o.dampening, o.weight_decay, o.nesterov, o.maximize});
    return;
  }
  NoGrad guard;
  const Tensor first = eq(slot(hyper, kHyperStep), 0.0);
  for (size_t i = 0; i < params.size(); ++i) {
    Tensor p = params[i], step = effective(p, grads[i], hyper, o.maximize, o.weight_decay);
    if (o.momentum != 0) {
      Tensor m = momenta[i];
      m.copy_(where(first, step, add(mul(m, o.momentum), mul(step, 1 - o.dampening))));
      step = o.nesterov ? add(step, mul(m, o.momentum)) : m;
    }
    p.sub_(mul(step, slot(hyper, kHyperLearningRate).to(p.dtype())));
  }
  Tensor(slot(hyper, kHyperStep)).add_(1.0);
}

void adam_step_(const std::vector<Tensor>& params, const std::vector<Tensor>& grads,
                const std::vector<Tensor>& first, const std::vector<Tensor>& second,
                const Tensor& hyper, const AdamStep& o) {
  check_lists("adam_step", params, grads, "gradients", false);
  check_lists("adam_step", params, first, "first moments", true);
  check_lists("adam_step", params, second, "second moments", true);
  check_hyper("adam_step", hyper, params);
  if (params.empty()) return;
  if (!all_dense(grads)) return adam_step_(params, dense_copies(grads), first, second, hyper, o);
  bump(params);
  bump(first);
  bump(second);
  ++hyper.impl()->storage->version;
  DeviceState* d = device_of(params[0]);
  if (has_kernel<rows::adam_step>(d)) {
    const Views p(params), g(grads), m(first), v(second);
    launch<rows::adam_step>(
        "adam_step", d, p.list(), g.list(), m.list(), v.list(), use(hyper),
        AdamParams{o.beta1, o.beta2, o.eps, o.weight_decay, o.decoupled, o.maximize});
    return;
  }
  NoGrad guard;
  Tensor count = slot(hyper, kHyperStep);
  count.add_(1.0);
  const TensorOptions f64{.dtype = Dtype::f64, .device = hyper.device()};
  const Tensor lr = slot(hyper, kHyperLearningRate);
  const Tensor correction1 = rsub(pow(full({}, o.beta1, f64), count), 1.0),
               correction2 = rsub(pow(full({}, o.beta2, f64), count), 1.0);
  for (size_t i = 0; i < params.size(); ++i) {
    Tensor p = params[i], m = first[i], v = second[i];
    const Tensor g = effective(p, grads[i], hyper, o.maximize, o.decoupled ? 0 : o.weight_decay);
    if (o.decoupled && o.weight_decay != 0) p.sub_(mul(p, mul(lr, o.weight_decay).to(p.dtype())));
    m.mul_(o.beta1).add_(g, 1 - o.beta1);
    v.mul_(o.beta2).add_(square(g), 1 - o.beta2);
    const Tensor denominator = add(div(sqrt(v), sqrt(correction2).to(p.dtype())), o.eps);
    p.sub_(mul(div(m, denominator), div(lr, correction1).to(p.dtype())));
  }
}

}  // namespace tinytorch
