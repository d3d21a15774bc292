// Custom functions: a node whose gradient the user wrote.
#include <tinytorch/autograd.h>

#include <variant>

#include "core/autograd/saved_tensor.h"
#include "core/runtime/events.h"

namespace tinytorch {

// A saved output is kept without its node, or the graph would hold itself.
struct FunctionContext::Impl {
  std::vector<Tensor> given;  // until the outputs are known
  std::vector<std::variant<Saved, SavedOutput>> saved;
  uint64_t needs = 0;

  void settle(const std::vector<Tensor>& outputs) {
    for (Tensor& t : given) {
      size_t i = 0;
      while (i < outputs.size() && !(t.defined() && t.impl() == outputs[i].impl())) ++i;
      if (i < outputs.size()) {
        saved.emplace_back(std::in_place_type<SavedOutput>, t, static_cast<uint32_t>(i));
      } else {
        saved.emplace_back(std::in_place_type<Saved>, t);
      }
    }
    given.clear();
  }
};

void FunctionContext::save(std::vector<Tensor> tensors) { impl_->given = std::move(tensors); }
std::vector<Tensor> FunctionContext::saved() const {
  if (!impl_->given.empty()) return impl_->given;  // still in forward
  std::vector<Tensor> out;
  for (const auto& s : impl_->saved) std::visit([&](const auto& one) { out.push_back(one()); }, s);
  return out;
}
bool FunctionContext::needs_grad(int input) const {
  return input >= 0 && input < 64 && (impl_->needs >> input & 1);
}

std::vector<Tensor> custom_function(const std::string& name, const std::vector<Tensor>& inputs,
                                    const ForwardFunction& forward,
                                    const BackwardFunction& backward) {
  if (!forward || !backward)
    throw ValueError("[" + name + "] custom_function needs a forward and a backward function");
  auto impl = std::make_shared<FunctionContext::Impl>();
  bool wanted = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!recording(inputs[i])) continue;
    wanted = true;
    if (i < 64) impl->needs |= uint64_t{1} << i;
  }
  std::vector<Tensor> outputs;
  {
    NoGrad guard;
    FunctionContext context(impl.get());
    outputs = forward(context, inputs);
  }
  impl->settle(outputs);
  for (Tensor& out : outputs) {
    check_defined(name.c_str(), out);
    if (out.impl()->link || !out.impl()->refs.unique())
      out = out.detach();  // an input handed through keeps its own history
  }
  if (!wanted) return outputs;
  std::vector<const Tensor*> in;
  for (const Tensor& t : inputs) in.push_back(&t);
  const char* label = interned(name);
  const size_t n_out = outputs.size(), n_in = inputs.size();
  attach_list(
      outputs, label, in,
      [impl, backward, label, n_out, n_in](const Tensor* grads_out, Needs need, Tensor* grads_in) {
        impl->needs = need.bits;
        FunctionContext context(impl.get());
        std::vector<Tensor> grads =
            backward(context, std::vector<Tensor>(grads_out, grads_out + n_out));
        if (grads.size() != n_in)
          throw AutogradError(
              "[" + std::string(label) + "] backward returned " + std::to_string(grads.size()) +
              " gradients, needed: one for each of " + std::to_string(n_in) + " inputs");
        for (size_t i = 0; i < n_in; ++i)
          if (i >= 64 || need[static_cast<int>(i)]) grads_in[i] = std::move(grads[i]);
      });
  return outputs;
}

}  // namespace tinytorch
