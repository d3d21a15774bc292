// Sequential: modules one after the other. A Linear followed by ReLU, Tanh or Sigmoid runs as one
// fused op.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <tinytorch/nn/module.h>

namespace tinytorch {

class Linear;

// Sequential net{Linear(2, 8), Tanh(), Linear(8, 1), Sigmoid()};
//
// Children are named "0", "1", ... Without children it returns its input. The pair Linear and ReLU,
// Tanh or Sigmoid becomes linear(x, weight, bias, activation) while neither of the two has a
// forward hook: the values are the same up to rounding, and the profiler sees the pair under the
// name of the Linear. Classes derived from these four are never fused.
class TT_API Sequential : public Module {
 public:
  Sequential();
  template <std::derived_from<Module>... M>
  requires(sizeof...(M) > 0) explicit Sequential(M... modules) {
    (push_back(std::move(modules)), ...);
  }
  Sequential(Sequential&&) noexcept;
  Sequential& operator=(Sequential&&) noexcept;
  ~Sequential() override;

  template <std::derived_from<Module> M>
  M& push_back(M module) {
    return push_back(std::make_shared<M>(std::move(module)));
  }
  template <std::derived_from<Module> M>
  M& push_back(std::shared_ptr<M> module) {
    M& added = register_module(std::to_string(children().size()), std::move(module));
    plan(added);
    return added;
  }
  size_t size() const { return children().size(); }
  Module& operator[](int64_t i) const;  // negative counts from the end; IndexError
  template <std::derived_from<Module> M>
  M& at(int64_t i) const {  // as the class it is; ValueError if it is another
    return cast<M>((*this)[i], i);
  }

  Tensor forward(const Tensor& x) override;

 private:
  struct Step {
    Module* module;
    Linear* linear;         // if it is one
    Activation activation;  // of a Linear: what follows; of an activation: itself
  };

  void plan(Module& added);
  [[noreturn]] static void throw_cast(const Module& module, int64_t i);
  template <class M>
  static M& cast(Module& module, int64_t i) {
    M* m = dynamic_cast<M*>(&module);
    if (!m) throw_cast(module, i);
    return *m;
  }

  std::vector<Step> steps_;
};

}  // namespace tinytorch
