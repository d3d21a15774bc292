// Adam and AdamW: their options; the arithmetic is the fused op adam_step_.
#include <tinytorch/optim/adam.h>

#include <cmath>

#include <tinytorch/error.h>

namespace tinytorch {

AdamBase::AdamBase() = default;

void AdamBase::add(std::vector<Tensor> parameters, const AdamOptions& o, bool decoupled) {
  const AdamStep step{o.betas[0], o.betas[1], o.eps, o.weight_decay, decoupled, o.maximize};
  check(step);
  steps_.push_back(step);
  try {
    add_group(std::move(parameters), o.learning_rate);
  } catch (...) {
    steps_.pop_back();
    throw;
  }
}

void AdamBase::check(const AdamStep& s) const {
  check_range(s.beta1 >= 0 && s.beta1 < 1, "betas[0]", s.beta1, "in [0, 1)");
  check_range(s.beta2 >= 0 && s.beta2 < 1, "betas[1]", s.beta2, "in [0, 1)");
  check_range(std::isfinite(s.eps) && s.eps >= 0, "eps", s.eps, "finite and not negative");
  check_range(std::isfinite(s.weight_decay) && s.weight_decay >= 0, "weight_decay", s.weight_decay,
              "finite and not negative");
}

int AdamBase::slot_count(int) const { return 2; }
const char* AdamBase::slot_name(int slot) const { return slot == 0 ? "exp_avg" : "exp_avg_sq"; }

void AdamBase::apply(int group, const Cohort& c) {
  adam_step_(c.parameters, c.gradients, c.state[0], c.state[1], c.hyper,
             steps_[static_cast<size_t>(group)]);
}

AdamBase::Options AdamBase::options(int group) const {
  const AdamStep& s = steps_[static_cast<size_t>(group)];
  return {{"beta1", s.beta1},
          {"beta2", s.beta2},
          {"eps", s.eps},
          {"weight_decay", s.weight_decay},
          {"maximize", s.maximize}};
}

void AdamBase::set_options(int group, const Options& o) {
  AdamStep& current = steps_[static_cast<size_t>(group)];
  const AdamStep step{o[0].second, o[1].second,       o[2].second,
                      o[3].second, current.decoupled, o[4].second != 0};
  check(step);
  current = step;
}

// ---- Adam

Adam::Adam(std::vector<Tensor> parameters, double learning_rate)
    : Adam(std::move(parameters), AdamOptions{.learning_rate = learning_rate}) {}
Adam::Adam(std::vector<Tensor> parameters, const AdamOptions& options) {
  add_param_group(std::move(parameters), options);
}
Adam::Adam(std::vector<ParameterGroup<AdamOptions>> groups) {
  if (groups.empty()) fail("the list of groups is empty");
  for (auto& group : groups) add_param_group(std::move(group.parameters), group.options);
}
void Adam::add_param_group(std::vector<Tensor> parameters, const AdamOptions& options) {
  add(std::move(parameters), options, false);
}
const char* Adam::type_name() const { return "Adam"; }

// ---- AdamW

AdamW::AdamW(std::vector<Tensor> parameters, double learning_rate)
    : AdamW(std::move(parameters), AdamWOptions{.learning_rate = learning_rate}) {}
AdamW::AdamW(std::vector<Tensor> parameters, const AdamWOptions& options) {
  add_param_group(std::move(parameters), options);
}
AdamW::AdamW(std::vector<ParameterGroup<AdamWOptions>> groups) {
  if (groups.empty()) fail("the list of groups is empty");
  for (auto& group : groups) add_param_group(std::move(group.parameters), group.options);
}
void AdamW::add_param_group(std::vector<Tensor> parameters, const AdamWOptions& o) {
  add(std::move(parameters), {o.learning_rate, o.betas, o.eps, o.weight_decay, o.maximize}, true);
}
const char* AdamW::type_name() const { return "AdamW"; }

}  // namespace tinytorch
