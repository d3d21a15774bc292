// The state dict of an optimizer: options by group, steps and state tensors by parameter. Loading
// builds new groups beside the old ones and swaps them in when everything has worked.
#include <tinytorch/optim/optimizer.h>

#include <cmath>
#include <optional>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/profiler.h>

namespace tinytorch {

static std::string group_key(int group, const char* option) {
  return "groups." + std::to_string(group) + "." + option;
}
static std::string state_key(int parameter, const char* slot) {
  return "state." + std::to_string(parameter) + "." + slot;
}
static Tensor on_host(double value) {
  return scalar_tensor(value, {.dtype = Dtype::f64, .device = Device("cpu")});
}

StateDict Optimizer::state_dict() const {
  StateDict state;
  for (int g = 0; g < group_count(); ++g) {
    state[group_key(g, "learning_rate")] = on_host(learning_rate(g));
    for (const auto& [name, value] : options(g)) state[group_key(g, name)] = on_host(value);
    for (const Cohort& cohort : groups_[static_cast<size_t>(g)].cohorts) {
      if (!cohort.hyper.defined()) continue;
      const Tensor step = cohort.hyper.select(0, kHyperStep).clone();
      for (size_t i = 0; i < cohort.index.size(); ++i) {
        state[state_key(cohort.index[i], "step")] = step;
        for (int s = 0; s < slot_count(g); ++s)
          state[state_key(cohort.index[i], slot_name(s))] = cohort.state[s][i];
      }
    }
  }
  return state;
}

// A parameter has either all of its entries or, before its first step, none. Which slots there are
// follows from the loaded options, which set_options has put in place already.
void Optimizer::check_loaded(const StateDict& state) const {
  std::map<std::string, Shape> wanted;
  for (int g = 0; g < group_count(); ++g) {
    wanted[group_key(g, "learning_rate")] = Shape();
    for (const auto& [name, value] : options(g)) wanted[group_key(g, name)] = Shape();
    for (const Cohort& cohort : groups_[static_cast<size_t>(g)].cohorts) {
      for (size_t i = 0; i < cohort.index.size(); ++i) {
        const std::string step = state_key(cohort.index[i], "step");
        if (!state.contains(step)) continue;
        wanted[step] = Shape();
        for (int s = 0; s < slot_count(g); ++s)
          wanted[state_key(cohort.index[i], slot_name(s))] = cohort.parameters[i].shape();
      }
    }
  }
  detail::check_state(std::string(type_name()) + "::load_state_dict", wanted, state, true);
}

static std::optional<double> number(const StateDict& state, const std::string& key) {
  const auto at = state.find(key);
  if (at == state.end() || !at->second.defined() || at->second.numel() != 1) return {};
  return at->second.item<double>();
}

void Optimizer::load_state_dict(const StateDict& state) {
  std::vector<Options> before;
  for (int g = 0; g < group_count(); ++g) before.push_back(options(g));
  try {
    for (int g = 0; g < group_count(); ++g) {
      Options loaded = options(g);
      for (auto& [name, value] : loaded)  // a missing one is reported by check_loaded
        value = number(state, group_key(g, name)).value_or(value);
      set_options(g, loaded);
    }
    check_loaded(state);
    std::vector<Group> loaded = loaded_groups(state);
    if (!copy_loaded(loaded)) groups_ = std::move(loaded);
  } catch (...) {
    for (int g = 0; g < group_count(); ++g) set_options(g, before[static_cast<size_t>(g)]);
    throw;
  }
}

// Puts the values of groups of the same form into the tensors that are there, to which captured
// steps refer. -> had they the same form?
bool Optimizer::copy_loaded(const std::vector<Group>& loaded) {
  NoGrad no_grad;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const std::vector<Cohort>&now = groups_[g].cohorts, &then = loaded[g].cohorts;
    if (now.size() != then.size()) return false;
    for (size_t c = 0; c < now.size(); ++c) {
      if (now[c].index != then[c].index || now[c].hyper.defined() != then[c].hyper.defined())
        return false;
      for (int s = 0; s < kMaxSlots; ++s)
        if (now[c].state[s].size() != then[c].state[s].size()) return false;
    }
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].learning_rate = loaded[g].learning_rate;
    for (size_t c = 0; c < groups_[g].cohorts.size(); ++c) {
      Cohort& to = groups_[g].cohorts[c];
      const Cohort& from = loaded[g].cohorts[c];
      if (!to.hyper.defined()) continue;
      to.hyper.copy_(from.hyper);
      for (int s = 0; s < kMaxSlots; ++s)
        for (size_t i = 0; i < to.state[s].size(); ++i) to.state[s][i].copy_(from.state[s][i]);
    }
  }
  return true;
}

std::vector<Optimizer::Group> Optimizer::loaded_groups(const StateDict& state) const {
  NoGrad no_grad;
  CategoryGuard category(Category::optimizer_state);
  std::vector<Group> groups;
  for (int g = 0; g < group_count(); ++g) {
    const Group& old = groups_[static_cast<size_t>(g)];
    const double rate = number(state, group_key(g, "learning_rate")).value_or(old.learning_rate);
    check_range(std::isfinite(rate) && rate >= 0, "learning_rate", rate, "finite and not negative");
    Group group{rate, {}};
    std::vector<double> steps;  // of each new cohort
    for (const Cohort& cohort : old.cohorts) {
      for (size_t i = 0; i < cohort.index.size(); ++i) {
        const int index = cohort.index[i];
        const Tensor& p = cohort.parameters[i];
        const std::optional<double> step = number(state, state_key(index, "step"));
        Cohort& to = step ? started_cohort(group, steps, p, *step) : cohort_for(group, p);
        steps.resize(group.cohorts.size(), step.value_or(0));
        for (int s = 0; step && s < slot_count(g); ++s) {
          to.state[s].push_back(empty(p.shape(), {.dtype = p.dtype(), .device = p.device()}));
          to.state[s].back().copy_(state.at(state_key(index, slot_name(s))));
        }
        to.parameters.push_back(p);
        to.index.push_back(index);
      }
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

// The cohort of the parameter's device and dtype that has made `step` steps; a new one if it is the
// first of these.
Optimizer::Cohort& Optimizer::started_cohort(Group& group, const std::vector<double>& steps,
                                             const Tensor& parameter, double step) const {
  check_range(step >= 0 && step == std::floor(step), "step", step, "a whole number");
  for (size_t i = 0; i < group.cohorts.size(); ++i) {
    Cohort& cohort = group.cohorts[i];
    const Tensor& first = cohort.parameters.front();
    if (cohort.hyper.defined() && steps[i] == step && first.device() == parameter.device() &&
        first.dtype() == parameter.dtype())
      return cohort;
  }
  Cohort& cohort = group.cohorts.emplace_back();
  cohort.hyper = make_hyper(parameter, group.learning_rate, step);
  return cohort;
}

}  // namespace tinytorch
