// What changes a whole tree of modules: mode, device and dtype, and loading of a state dict.
// Everything that can fail happens before the first change.
#include <tinytorch/nn/module.h>

#include <unordered_map>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>

namespace tinytorch {

Module& Module::train(bool on) {
  return apply([on](Module& m) { m.training_ = on; });
}

Module& Module::requires_grad_(bool on) {
  visit("", [on](const std::string&, Slot& slot) {
    if (slot.parameter) slot.tensor.requires_grad_(on);
  });
  return *this;
}

void Module::zero_grad() {
  visit("", [](const std::string&, Slot& slot) {
    if (slot.parameter) slot.tensor.zero_grad();
  });
}

Module& Module::to(const Device& device) {
  return convert([&device](const Tensor& t) { return t.to(device); });
}

Module& Module::to(Dtype dtype) {
  if (!is_floating(dtype)) {
    throw DtypeError("[Module::to] dtype " + std::string(name_of(dtype)) +
                     " was given, parameters need a floating one");
  }
  return convert([dtype](const Tensor& t) { return is_floating(t.dtype()) ? t.to(dtype) : t; });
}

// A tensor shared by several slots is converted once and stays shared.
Module& Module::convert(const std::function<Tensor(const Tensor&)>& f) {
  NoGrad no_grad;
  std::unordered_map<const TensorImpl*, Tensor> converted;
  std::vector<std::pair<Slot*, Tensor>> changes;
  visit("", [&](const std::string&, Slot& slot) {
    const Tensor& old = slot.tensor;
    auto [at, first] = converted.try_emplace(old.impl());
    if (first) {
      CategoryGuard category(slot.parameter ? Category::parameter : Category::other);
      Tensor now = f(old.detach());
      if (now.shares_storage(old)) {
        now = old;
      } else if (old.requires_grad()) {
        now.requires_grad_(true);
        CategoryGuard of_gradient(Category::gradient);
        if (const Tensor grad = old.grad(); grad.defined()) now.set_grad(f(grad.detach()));
      }
      at->second = std::move(now);
    }
    changes.emplace_back(&slot, at->second);
  });
  for (auto& [slot, tensor] : changes) slot->tensor = std::move(tensor);
  return *this;
}

StateDict Module::state_dict() const {
  StateDict state;
  visit("",
        [&](const std::string& name, Slot& slot) { state.emplace(name, slot.tensor.detach()); });
  return state;
}

LoadReport Module::load_state_dict(const StateDict& state, bool strict) {
  std::map<std::string, Shape> wanted;
  visit("",
        [&](const std::string& name, Slot& slot) { wanted.emplace(name, slot.tensor.shape()); });
  LoadReport report = detail::check_state("load_state_dict", wanted, state, strict);
  NoGrad no_grad;
  visit("", [&](const std::string& name, Slot& slot) {
    if (const auto given = state.find(name); given != state.end()) slot.tensor.copy_(given->second);
  });
  return report;
}

}  // namespace tinytorch
