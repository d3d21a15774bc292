// Optimizer: what SGD and Adam share: parameter groups, state, the scalars that change between
// steps, saving and loading. A step is one fused op per group; it neither waits for the device nor
// allocates once its state exists.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tinytorch/nn/state_dict.h>
#include <tinytorch/tensor.h>

namespace tinytorch {

// Parameters are leaves of dtype f32 or f64, on any devices; each is listed once. A parameter
// without gradient is left alone: its state and its step count stay as they were. State is made at
// a parameter's first step.
//
// The tensors are those given: Module::to makes new ones, so move the model first and make the
// optimizer then.
class TT_API Optimizer {
 public:
  virtual ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  Optimizer(Optimizer&&) noexcept;
  Optimizer& operator=(Optimizer&&) noexcept;

  // Changes every parameter that has a gradient, in place; the gradients stay.
  void step();
  void zero_grad();  // clears the gradients of all parameters

  int group_count() const { return static_cast<int>(groups_.size()); }
  double learning_rate(int group = 0) const;  // IndexError
  void set_learning_rate(double rate);        // of all groups; ValueError unless finite and >= 0
  void set_learning_rate(double rate, int group);
  // Gradients are multiplied by `scale` inside step() (1 / k after k accumulated batches, or 1 /
  // the scale of a loss). Not part of the state dict. ValueError unless finite.
  void set_grad_scale(double scale);
  std::vector<Tensor> parameters() const;  // of all groups, in the order given

  // "groups.0.learning_rate" and the other options as f64 scalars; "state.3.step" (f64) and the
  // tensors of parameter 3
  // ("state.3.exp_avg"), which share storage with the optimizer. Parameters count over all groups.
  StateDict state_dict() const;
  // The optimizer must have as many groups and parameters, of the same shapes. One error lists
  // every missing, unexpected and mismatched name (ValueError, or ShapeError if only shapes
  // differ); then nothing has changed. Waits for the device.
  void load_state_dict(const StateDict& state);

 protected:
  static constexpr int kMaxSlots = 2;
  // Parameters of one group that share device, dtype and number of steps: one fused call.
  struct Cohort {
    std::vector<Tensor> parameters, gradients;
    std::vector<Tensor> state[kMaxSlots];  // empty before the first step
    std::vector<int> index;                // of each in parameters()
    Tensor hyper;                          // undefined before the first step
  };
  using Options =
      std::vector<std::pair<const char*, double>>;  // by name; without the learning rate

  Optimizer();
  void add_group(std::vector<Tensor> parameters, double learning_rate);
  [[noreturn]] void fail(const std::string& message) const;  // ValueError with the class's name
  void check_range(bool ok, const char* option, double value, const char* wanted) const;

  virtual const char* type_name() const = 0;
  virtual int slot_count(int group) const = 0;              // state tensors per parameter
  virtual const char* slot_name(int slot) const = 0;        // "exp_avg"
  virtual void apply(int group, const Cohort& cohort) = 0;  // the fused step
  virtual Options options(int group) const = 0;
  virtual void set_options(int group,
                           const Options& options) = 0;  // same names and order; ValueError

 private:
  struct Group {
    double learning_rate;
    std::vector<Cohort> cohorts;
  };

  static int gather(Cohort& cohort);
  static Cohort split_idle(Cohort& cohort);
  void prepare(int group, Cohort& cohort) const;
  Tensor make_hyper(const Tensor& like, double learning_rate, double step) const;
  void fill_hyper(const Group& group, int slot, double value) const;
  void check_parameter(const Tensor& p, size_t position) const;
  void check_loaded(const StateDict& state) const;
  std::vector<Group> loaded_groups(const StateDict& state) const;
  bool copy_loaded(const std::vector<Group>& loaded);
  Cohort& started_cohort(Group& group, const std::vector<double>& steps, const Tensor& parameter,
                         double step) const;
  static Cohort& cohort_for(Group& group, const Tensor& parameter);

  std::vector<Group> groups_;
  int parameter_count_ = 0;
  double grad_scale_ = 1;
};

template <class Options>
struct ParameterGroup {
  std::vector<Tensor> parameters;
  Options options;
};

}  // namespace tinytorch
