// Stochastic gradient descent, with momentum (Sutskever et al. 2013) and Nesterov's variant, as
// PyTorch computes them.
#pragma once

#include <tinytorch/ops/fused.h>
#include <tinytorch/optim/optimizer.h>

namespace tinytorch {

struct SgdOptions {
  double learning_rate = 1e-3;
  double momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;  // needs momentum > 0 and no dampening
  bool maximize = false;
};

// g += weight_decay p; m = momentum m + (1 - dampening) g, at a parameter's first step m = g; p -=
// learning_rate m, or with nesterov p -= learning_rate (g + momentum m). ValueError for options out
// of range.
class TT_API SGD : public Optimizer {
 public:
  SGD(std::vector<Tensor> parameters, double learning_rate);
  SGD(std::vector<Tensor> parameters, const SgdOptions& options);
  explicit SGD(std::vector<ParameterGroup<SgdOptions>> groups);
  void add_param_group(std::vector<Tensor> parameters, const SgdOptions& options);

 private:
  const char* type_name() const override;
  int slot_count(int group) const override;
  const char* slot_name(int slot) const override;
  void apply(int group, const Cohort& cohort) override;
  Options options(int group) const override;
  void set_options(int group, const Options& options) override;
  void check(const SgdStep& step) const;

  std::vector<SgdStep> steps_;  // of each group
};

}  // namespace tinytorch
