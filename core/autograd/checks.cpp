// gradcheck: analytic gradients against central differences. The inputs are nudged in place under
// NoGrad, one element at a time, so f must be a function of its arguments alone.
#include <cmath>

#include <tinytorch/autograd.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/reduce.h>

#include "core/autograd/node.h"

namespace tinytorch {

namespace {

using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

std::vector<Tensor> floating(std::vector<Tensor> outputs) {
  std::erase_if(outputs, [](const Tensor& t) { return !is_floating(t.dtype()); });
  return outputs;
}

// Fixed weights make one number of all outputs, so that one backward pass covers them: w_i = 0.5 +
// (i * 0.618... mod 1).
Tensor weights_like(const Tensor& t) {
  std::vector<double> w(static_cast<size_t>(t.numel()));
  for (size_t i = 0; i < w.size(); ++i)
    w[i] = 0.5 + std::fmod(0.6180339887498949 * static_cast<double>(i + 1), 1.0);
  return tensor(w, t.shape(), {.device = t.device()}).to(t.dtype());
}

double weighted(const Function& f, const std::vector<Tensor>& inputs,
                const std::vector<Tensor>& weights) {
  NoGrad guard;
  const std::vector<Tensor> outputs = floating(f(inputs));
  double total = 0;
  for (size_t i = 0; i < outputs.size(); ++i)
    total += sum(mul(outputs[i], weights[i])).item<double>();
  return total;
}

std::vector<Tensor> as_leaves(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> leaves;
  for (const Tensor& t : inputs) {
    if (!t.defined()) {
      leaves.push_back(t);
      continue;
    }
    Tensor leaf = is_floating(t.dtype()) ? t.detach().to(Dtype::f64).clone() : t.detach().clone();
    if (t.requires_grad()) leaf.requires_grad_();
    leaves.push_back(leaf);
  }
  return leaves;
}

// d weighted / d element, by a step to either side.
double numeric(const Function& f, std::vector<Tensor>& inputs, size_t which, int64_t element,
               const std::vector<Tensor>& weights, double step) {
  NoGrad guard;
  Tensor cell = inputs[which].detach().view({-1}).narrow(0, element, 1);
  const double at = cell.item<double>();
  cell.fill_(at + step);
  const double above = weighted(f, inputs, weights);
  cell.fill_(at - step);
  const double below = weighted(f, inputs, weights);
  cell.fill_(at);
  return (above - below) / (2 * step);
}

}  // namespace

bool gradcheck(const Function& f, const std::vector<Tensor>& inputs, GradCheckOptions options) {
  std::vector<Tensor> leaves = as_leaves(inputs);
  std::vector<Tensor> wanted;
  std::vector<size_t> place;
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (!leaves[i].defined() || !leaves[i].requires_grad()) continue;
    wanted.push_back(leaves[i]);
    place.push_back(i);
  }
  if (wanted.empty()) throw AutogradError("[gradcheck] no input requires a gradient");
  EnableGrad guard;
  const std::vector<Tensor> outputs = floating(f(leaves));
  std::vector<Tensor> weights, used, used_weights;
  for (const Tensor& o : outputs) {
    weights.push_back(weights_like(o));
    if (!o.requires_grad()) continue;
    used.push_back(o);
    used_weights.push_back(weights.back());
  }
  if (used.empty())
    throw AutogradError("[gradcheck] no output depends on an input that requires a gradient");
  const std::vector<Tensor> analytic = grad(used, wanted, used_weights, {.allow_unused = true});
  double worst = 0;  // by how much a bound is exceeded
  std::string message;
  for (size_t k = 0; k < wanted.size(); ++k) {
    const std::vector<double> have =
        analytic[k].defined() ? analytic[k].to_vector<double>()
                              : std::vector<double>(static_cast<size_t>(wanted[k].numel()), 0.0);
    for (int64_t e = 0; e < wanted[k].numel(); ++e) {
      const double expected = numeric(f, leaves, place[k], e, weights, options.step);
      const double got = have[static_cast<size_t>(e)];
      const double excess =
          std::abs(got - expected) - (options.absolute + options.relative * std::abs(expected));
      if (excess <= worst) continue;
      if (!options.raise) return false;
      worst = std::isnan(excess) ? std::numeric_limits<double>::infinity() : excess;
      message = "[gradcheck] input " + std::to_string(place[k]) + ", element " + std::to_string(e) +
                ": gradient " + std::to_string(got) + ", by differences " +
                std::to_string(expected);
    }
  }
  if (!message.empty()) throw AutogradError(message);
  return true;
}

bool gradgradcheck(const Function& f, const std::vector<Tensor>& inputs, GradCheckOptions options) {
  std::vector<size_t> wanted;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined() && inputs[i].requires_grad()) wanted.push_back(i);
  // The gradient as a function of the inputs and of the gradients of the outputs, which are inputs
  // here.
  std::vector<Tensor> extended = inputs;
  {
    NoGrad guard;
    for (const Tensor& o : floating(f(as_leaves(inputs)))) {
      Tensor g = weights_like(o).to(Dtype::f64);
      extended.push_back(g.requires_grad_());
    }
  }
  const size_t n = inputs.size();
  const Function gradient = [&](const std::vector<Tensor>& all) {
    EnableGrad guard;
    std::vector<Tensor> in(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
    for (size_t i : wanted)
      if (!in[i].requires_grad()) in[i] = in[i].detach().requires_grad_();
    std::vector<Tensor> leaves, outputs, grads;
    for (size_t i : wanted) leaves.push_back(in[i]);
    const std::vector<Tensor> all_outputs = floating(f(in));
    for (size_t i = 0; i < all_outputs.size(); ++i) {
      if (!all_outputs[i].requires_grad()) continue;
      outputs.push_back(all_outputs[i]);
      grads.push_back(all[n + i]);
    }
    std::vector<Tensor> out =
        tinytorch::grad(outputs, leaves, grads, {.create_graph = true, .allow_unused = true});
    std::erase_if(out, [](const Tensor& t) { return !t.defined(); });
    return out;
  };
  return gradcheck(gradient, extended, options);
}

}  // namespace tinytorch
