// Gradient clipping with ordinary ops: the norm and the factor made of it never leave the device.
#include <tinytorch/optim/clip.h>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/matmul.h>
#include <tinytorch/ops/reduce.h>
#include <tinytorch/ops/view.h>
#include <tinytorch/profiler.h>

namespace tinytorch {

static std::vector<Tensor> gradients_of(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> gradients;
  for (const Tensor& p : parameters)
    if (Tensor g = p.grad(); g.defined()) gradients.push_back(std::move(g));
  return gradients;
}

// As a product of the gradient with itself: no temporary of its size.
static Tensor squared_norm(const Tensor& gradient) {
  const Tensor flat =
      (is_storage_only(gradient.dtype()) ? gradient.to(Dtype::f32) : gradient).flatten();
  return matmul(flat, flat);
}

Tensor clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm) {
  if (!(max_norm >= 0)) {
    throw ValueError("[clip_grad_norm_] max_norm is " + std::to_string(max_norm) +
                     ", must not be negative");
  }
  NoGrad no_grad;
  PhaseGuard phase(Phase::optimizer);
  std::vector<Tensor> gradients = gradients_of(parameters);
  if (gradients.empty()) return zeros({});
  const Device device = gradients.front().device();
  std::vector<Tensor> squares;
  for (const Tensor& g : gradients) squares.push_back(squared_norm(g).to(device));
  const Tensor norm = sqrt(sum(stack(squares)));
  // 1e-6 as in PyTorch: no division by zero, and the result stays below max_norm.
  const Tensor factor = clamp(rdiv(add(norm, 1e-6), max_norm), 0, 1);
  for (Tensor& g : gradients) g.mul_(factor.to(g.device()).to(g.dtype()));
  return norm;
}

void clip_grad_value_(const std::vector<Tensor>& parameters, double limit) {
  if (!(limit >= 0)) {
    throw ValueError("[clip_grad_value_] limit is " + std::to_string(limit) +
                     ", must not be negative");
  }
  NoGrad no_grad;
  PhaseGuard phase(Phase::optimizer);
  for (Tensor& g : gradients_of(parameters)) g.clamp_(-limit, limit);
}

}  // namespace tinytorch
