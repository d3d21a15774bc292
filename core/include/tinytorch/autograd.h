// Automatic differentiation in reverse mode. Ops on tensors that want a gradient record a graph;
// backward() and grad() walk it. One graph belongs to one thread at a time.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include <tinytorch/tensor.h>

namespace tinytorch {

struct GradOptions {
  bool retain_graph = false;  // the graph can be walked again
  bool create_graph = false;  // gradients have a graph themselves (implies retain_graph)
  bool allow_unused =
      false;  // inputs without influence get an undefined gradient instead of AutogradError
};

// Gradients of sum(outputs_i * grad_outputs_i) with respect to `inputs` (leaves or results);
// nobody's grad() changes. An undefined or missing grad_output stands for ones and needs a single
// element.
TT_API std::vector<Tensor> grad(const std::vector<Tensor>& outputs,
                                const std::vector<Tensor>& inputs,
                                const std::vector<Tensor>& grad_outputs = {},
                                GradOptions options = {});
TT_API void backward(const std::vector<Tensor>& outputs,
                     const std::vector<Tensor>& grad_outputs = {}, GradOptions options = {});

TT_API bool grad_enabled() noexcept;
TT_API bool set_grad_enabled(bool on) noexcept;  // of this thread; returns what it was

class TT_API GradGuard {
 public:
  explicit GradGuard(bool on) noexcept : before_(set_grad_enabled(on)) {}
  ~GradGuard() { set_grad_enabled(before_); }
  GradGuard(const GradGuard&) = delete;
  GradGuard& operator=(const GradGuard&) = delete;

 private:
  bool before_;
};
class NoGrad : public GradGuard {
 public:
  NoGrad() noexcept : GradGuard(false) {}
};
class EnableGrad : public GradGuard {
 public:
  EnableGrad() noexcept : GradGuard(true) {}
};

// NoGrad, and tensors made inside can never take part in a graph later (AutogradError says so),
// which saves their bookkeeping.
class TT_API InferenceMode {
 public:
  InferenceMode() noexcept;
  ~InferenceMode();
  InferenceMode(const InferenceMode&) = delete;
  InferenceMode& operator=(const InferenceMode&) = delete;

 private:
  bool before_grad_, before_;
};

// While it lives, every op on this thread checks what it made: AutogradError names the op whose
// output, or whose gradient, first has NaN or Inf. Waits for the device after every op: for finding
// faults.
class TT_API AnomalyMode {
 public:
  AnomalyMode();
  ~AnomalyMode();
  AnomalyMode(const AnomalyMode&) = delete;
  AnomalyMode& operator=(const AnomalyMode&) = delete;

 private:
  bool before_;
};

// ---- custom functions

// What a custom function keeps from forward for backward. Saved tensors are checked for changes
// made in place.
class TT_API FunctionContext {
 public:
  void save(std::vector<Tensor> tensors);
  std::vector<Tensor> saved() const;
  bool needs_grad(int input) const;

  struct Impl;
  explicit FunctionContext(Impl* impl) : impl_(impl) {}

 private:
  Impl* impl_;
};
using ForwardFunction =
    std::function<std::vector<Tensor>(FunctionContext&, const std::vector<Tensor>& inputs)>;
// Gets one gradient per output (undefined where none arrived), returns one per input (undefined
// where none is wanted).
using BackwardFunction =
    std::function<std::vector<Tensor>(FunctionContext&, const std::vector<Tensor>& grad_outputs)>;

// Runs `forward` without recording and records one node whose gradient is `backward`. With
// create_graph the ops inside `backward` are recorded, so that a formula of ordinary ops has a
// second derivative.
TT_API std::vector<Tensor> custom_function(const std::string& name,
                                           const std::vector<Tensor>& inputs,
                                           const ForwardFunction& forward,
                                           const BackwardFunction& backward);

// ---- checks

struct GradCheckOptions {
  double step = 1e-6;  // central differences
  double absolute = 1e-6, relative = 1e-5;
  bool raise = true;  // throw AutogradError with the worst element instead of returning false
};
// Compares the gradients of f with central differences, in f64, for every element of every floating
// input that requires a gradient. f returns one or more tensors; non-floating outputs are ignored.
TT_API bool gradcheck(const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& f,
                      const std::vector<Tensor>& inputs, GradCheckOptions options = {});
// The same for the gradient function: double backward.
TT_API bool gradgradcheck(const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& f,
                          const std::vector<Tensor>& inputs, GradCheckOptions options = {});

}  // namespace tinytorch
