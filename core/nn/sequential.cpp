// Sequential: the pairs that become one fused op are found when a module is added, so that forward
// only follows the plan.
#include <tinytorch/nn/sequential.h>

#include <optional>
#include <typeinfo>

#include <tinytorch/error.h>
#include <tinytorch/nn/activation.h>
#include <tinytorch/nn/linear.h>

namespace tinytorch {

Sequential::Sequential() = default;
Sequential::Sequential(Sequential&&) noexcept = default;
Sequential& Sequential::operator=(Sequential&&) noexcept = default;
Sequential::~Sequential() = default;

// Exact classes only: a derived class may compute something else.
static Activation activation_of(const Module& module) {
  const std::type_info& type = typeid(module);
  if (type == typeid(ReLU)) return Activation::relu;
  if (type == typeid(Tanh)) return Activation::tanh;
  if (type == typeid(Sigmoid)) return Activation::sigmoid;
  return Activation::none;
}

void Sequential::plan(Module& added) {
  Linear* linear = typeid(added) == typeid(Linear) ? static_cast<Linear*>(&added) : nullptr;
  const Activation activation = activation_of(added);
  if (!steps_.empty() && steps_.back().linear) steps_.back().activation = activation;
  steps_.push_back({&added, linear, linear ? Activation::none : activation});
}

Tensor Sequential::forward(const Tensor& x) {
  if (steps_.empty()) return x;
  Tensor out;
  const Tensor* in = &x;  // a copied handle would cost an atomic increment and keep x alive
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const bool fuse = step.linear && step.activation != Activation::none &&
                      !step.module->has_hooks() && !steps_[i + 1].module->has_hooks();
    if (!fuse) {
      out = (*step.module)(*in);
    } else {
      std::optional<ModuleScope> scope;
      if (naming_modules()) scope.emplace(step.module->name());
      out = step.linear->forward(*in, step.activation);
      ++i;
    }
    in = &out;
  }
  return out;
}

Module& Sequential::operator[](int64_t i) const {
  const auto count = static_cast<int64_t>(size());
  if (i < -count || i >= count) {
    throw IndexError("[Sequential] index " + std::to_string(i) + " of " + std::to_string(count) +
                     " modules");
  }
  return *children()[static_cast<size_t>(i < 0 ? i + count : i)].second;
}

void Sequential::throw_cast(const Module& module, int64_t i) {
  throw ValueError("[Sequential] module " + std::to_string(i) + " is a " + module.type_name() +
                   ", another class was asked for");
}

}  // namespace tinytorch
