// SGD: its options; the arithmetic is the fused op sgd_step_.
#include <tinytorch/optim/sgd.h>

#include <cmath>

#include <tinytorch/error.h>

namespace tinytorch {

SGD::SGD(std::vector<Tensor> parameters, double learning_rate)
    : SGD(std::move(parameters), SgdOptions{.learning_rate = learning_rate}) {}

SGD::SGD(std::vector<Tensor> parameters, const SgdOptions& options) {
  add_param_group(std::move(parameters), options);
}

SGD::SGD(std::vector<ParameterGroup<SgdOptions>> groups) {
  if (groups.empty()) fail("the list of groups is empty");
  for (auto& group : groups) add_param_group(std::move(group.parameters), group.options);
}

void SGD::add_param_group(std::vector<Tensor> parameters, const SgdOptions& o) {
  const SgdStep step{o.momentum, o.dampening, o.weight_decay, o.nesterov, o.maximize};
  check(step);
  steps_.push_back(step);
  try {
    add_group(std::move(parameters), o.learning_rate);
  } catch (...) {
    steps_.pop_back();
    throw;
  }
}

void SGD::check(const SgdStep& s) const {
  check_range(std::isfinite(s.momentum) && s.momentum >= 0, "momentum", s.momentum,
              "finite and not negative");
  check_range(std::isfinite(s.dampening), "dampening", s.dampening, "finite");
  check_range(std::isfinite(s.weight_decay) && s.weight_decay >= 0, "weight_decay", s.weight_decay,
              "finite and not negative");
  if (s.nesterov && (s.momentum <= 0 || s.dampening != 0))
    fail("nesterov needs momentum greater than 0 and dampening 0");
}

const char* SGD::type_name() const { return "SGD"; }
int SGD::slot_count(int group) const {
  return steps_[static_cast<size_t>(group)].momentum != 0 ? 1 : 0;
}
const char* SGD::slot_name(int) const { return "momentum_buffer"; }

void SGD::apply(int group, const Cohort& c) {
  sgd_step_(c.parameters, c.gradients, c.state[0], c.hyper, steps_[static_cast<size_t>(group)]);
}

SGD::Options SGD::options(int group) const {
  const SgdStep& s = steps_[static_cast<size_t>(group)];
  return {{"momentum", s.momentum},
          {"dampening", s.dampening},
          {"weight_decay", s.weight_decay},
          {"nesterov", s.nesterov},
          {"maximize", s.maximize}};
}

void SGD::set_options(int group, const Options& o) {
  const SgdStep step{o[0].second, o[1].second, o[2].second, o[3].second != 0, o[4].second != 0};
  check(step);
  steps_[static_cast<size_t>(group)] = step;
}

}  // namespace tinytorch
