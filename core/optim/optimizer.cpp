// Optimizer: groups, cohorts and the step. A cohort is what one fused call can update: parameters
// of a group on one device, of one dtype, with equal step counts. As a rule a group is one cohort;
// it is split when only some of its parameters have gradients.
#include <tinytorch/optim/optimizer.h>

#include <cmath>
#include <unordered_set>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/graph.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/profiler.h>

namespace tinytorch {

Optimizer::Optimizer() = default;
Optimizer::~Optimizer() = default;
Optimizer::Optimizer(Optimizer&&) noexcept = default;
Optimizer& Optimizer::operator=(Optimizer&&) noexcept = default;

// ---- groups

void Optimizer::fail(const std::string& message) const {
  throw ValueError("[" + std::string(type_name()) + "] " + message);
}

void Optimizer::check_range(bool ok, const char* option, double value, const char* wanted) const {
  if (!ok) fail(std::string(option) + " is " + std::to_string(value) + ", must be " + wanted);
}

void Optimizer::check_parameter(const Tensor& p, size_t position) const {
  const std::string name = "parameter " + std::to_string(position);
  if (!p.defined()) fail(name + " is undefined");
  if (!p.is_leaf()) {
    fail(name + " " + p.shape().str() + " is a result of " + p.grad_op() +
         ", only leaves can be optimized");
  }
  if (p.dtype() != Dtype::f32 && p.dtype() != Dtype::f64) {
    throw DtypeError("[" + std::string(type_name()) + "] " + name + " has dtype " +
                     name_of(p.dtype()) + ", needed is f32 or f64");
  }
}

void Optimizer::add_group(std::vector<Tensor> parameters, double learning_rate) {
  check_range(std::isfinite(learning_rate) && learning_rate >= 0, "learning_rate", learning_rate,
              "finite and not negative");
  if (parameters.empty()) fail("the list of parameters is empty");
  std::unordered_set<const TensorImpl*> seen;
  for (const Tensor& p : this->parameters()) seen.insert(p.impl());
  Group group{learning_rate, {}};
  int index = parameter_count_;
  for (size_t i = 0; i < parameters.size(); ++i) {
    check_parameter(parameters[i], i);
    if (!seen.insert(parameters[i].impl()).second) {
      fail("parameter " + std::to_string(i) + " " + parameters[i].shape().str() +
           " is listed twice");
    }
    Cohort& cohort = cohort_for(group, parameters[i]);
    cohort.index.push_back(index++);
    cohort.parameters.push_back(std::move(parameters[i]));
  }
  groups_.push_back(std::move(group));
  parameter_count_ = index;
}

// The cohort of `group` that has not made a step yet and to which the parameter can be added.
Optimizer::Cohort& Optimizer::cohort_for(Group& group, const Tensor& parameter) {
  for (Cohort& cohort : group.cohorts) {
    const Tensor& first = cohort.parameters.front();
    if (!cohort.hyper.defined() && first.device() == parameter.device() &&
        first.dtype() == parameter.dtype())
      return cohort;
  }
  return group.cohorts.emplace_back();
}

std::vector<Tensor> Optimizer::parameters() const {
  std::vector<Tensor> all(static_cast<size_t>(parameter_count_));
  for (const Group& group : groups_)
    for (const Cohort& cohort : group.cohorts)
      for (size_t i = 0; i < cohort.index.size(); ++i)
        all[static_cast<size_t>(cohort.index[i])] = cohort.parameters[i];
  return all;
}

void Optimizer::zero_grad() {
  for (Group& group : groups_)
    for (Cohort& cohort : group.cohorts)
      for (Tensor& p : cohort.parameters) p.zero_grad();
}

// ---- scalars that change between steps

Tensor Optimizer::make_hyper(const Tensor& like, double learning_rate, double step) const {
  CategoryGuard category(Category::optimizer_state);
  static_assert(kHyperLearningRate == 0 && kHyperStep == 1 && kHyperGradScale == 2);
  return tensor<double>({learning_rate, step, grad_scale_}, {}, {.device = like.device()});
}

// Written when it changes and not in step(): a captured step must see the change, too.
void Optimizer::fill_hyper(const Group& group, int slot, double value) const {
  NoGrad no_grad;
  for (const Cohort& cohort : group.cohorts)
    if (cohort.hyper.defined()) cohort.hyper.select(0, slot).fill_(value);
}

double Optimizer::learning_rate(int group) const {
  if (group < 0 || group >= group_count()) {
    throw IndexError("[" + std::string(type_name()) + "] group " + std::to_string(group) + " of " +
                     std::to_string(group_count()));
  }
  return groups_[static_cast<size_t>(group)].learning_rate;
}

void Optimizer::set_learning_rate(double rate, int group) {
  check_range(std::isfinite(rate) && rate >= 0, "learning_rate", rate, "finite and not negative");
  if (learning_rate(group) == rate) return;
  Group& changed = groups_[static_cast<size_t>(group)];
  fill_hyper(changed, kHyperLearningRate, rate);
  changed.learning_rate = rate;
}

void Optimizer::set_learning_rate(double rate) {
  for (int i = 0; i < group_count(); ++i) set_learning_rate(rate, i);
}

void Optimizer::set_grad_scale(double scale) {
  check_range(std::isfinite(scale), "grad_scale", scale, "finite");
  if (grad_scale_ == scale) return;
  for (const Group& group : groups_) fill_hyper(group, kHyperGradScale, scale);
  grad_scale_ = scale;
}

// ---- the step

// Collects the gradients that exist. -> how many
int Optimizer::gather(Cohort& cohort) {
  cohort.gradients.clear();
  for (const Tensor& p : cohort.parameters) {
    if (Tensor g = p.grad(); g.defined()) cohort.gradients.push_back(std::move(g));
  }
  return static_cast<int>(cohort.gradients.size());
}

// Takes the parameters without gradient out of the cohort: from now on their step counts differ.
Optimizer::Cohort Optimizer::split_idle(Cohort& cohort) {
  CategoryGuard category(Category::optimizer_state);
  Cohort active, idle;
  active.hyper = cohort.hyper;
  const CapturePause once;
  if (cohort.hyper.defined()) idle.hyper = cohort.hyper.clone();
  active.gradients = cohort.gradients;
  for (size_t i = 0; i < cohort.parameters.size(); ++i) {
    Cohort& to = cohort.parameters[i].grad().defined() ? active : idle;
    to.parameters.push_back(cohort.parameters[i]);
    to.index.push_back(cohort.index[i]);
    for (int s = 0; s < kMaxSlots; ++s)
      if (!cohort.state[s].empty()) to.state[s].push_back(cohort.state[s][i]);
  }
  std::swap(cohort, active);
  return idle;
}

// Makes the state of a cohort at its first step.
void Optimizer::prepare(int group, Cohort& cohort) const {
  CategoryGuard category(Category::optimizer_state);
  const CapturePause once;
  const Tensor& first = cohort.parameters.front();
  Tensor hyper = make_hyper(first, learning_rate(group), 0);
  std::vector<Tensor> state[kMaxSlots];
  for (int s = 0; s < slot_count(group); ++s)
    for (const Tensor& p : cohort.parameters)
      state[s].push_back(zeros(p.shape(), {.dtype = p.dtype(), .device = p.device()}));
  for (int s = 0; s < kMaxSlots; ++s) cohort.state[s] = std::move(state[s]);
  cohort.hyper = std::move(hyper);
}

void Optimizer::step() {
  NoGrad no_grad;
  PhaseGuard phase(Phase::optimizer);
  struct Forget {  // gradients are kept alive during the step only
    std::vector<Group>& groups;
    ~Forget() {
      for (Group& group : groups)
        for (Cohort& cohort : group.cohorts) cohort.gradients.clear();
    }
  } forget{groups_};

  // Everything that may fail for want of memory comes before the first change.
  for (int g = 0; g < group_count(); ++g) {
    std::vector<Cohort>& cohorts = groups_[static_cast<size_t>(g)].cohorts;
    for (size_t i = 0; i < cohorts.size(); ++i) {
      const auto count = static_cast<size_t>(gather(cohorts[i]));
      if (count == 0) continue;
      if (count < cohorts[i].parameters.size()) {
        cohorts.reserve(cohorts.size() + 1);  // once split, nothing may fail
        cohorts.push_back(split_idle(cohorts[i]));
      }
      if (TT_UNLIKELY(!cohorts[i].hyper.defined())) prepare(g, cohorts[i]);
    }
  }
  for (int g = 0; g < group_count(); ++g) {
    for (const Cohort& cohort : groups_[static_cast<size_t>(g)].cohorts)
      if (!cohort.gradients.empty()) apply(g, cohort);
  }
}

}  // namespace tinytorch
