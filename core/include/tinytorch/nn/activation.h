// Layers without parameters: activations, softmax and Flatten. Output and input have equal shapes,
// Flatten's apart.
#pragma once

#include <tinytorch/nn/module.h>

namespace tinytorch {

class TT_API ReLU : public Module {
 public:
  Tensor forward(const Tensor& x) override;
};
class TT_API Sigmoid : public Module {
 public:
  Tensor forward(const Tensor& x) override;
};
class TT_API Tanh : public Module {
 public:
  Tensor forward(const Tensor& x) override;
};
// x Phi(x) with the error function (Hendrycks and Gimpel 2016).
class TT_API GELU : public Module {
 public:
  Tensor forward(const Tensor& x) override;
};

// exp(x) / sum exp(x) along `dim`; negative dims count from the end.
class TT_API Softmax : public Module {
 public:
  explicit Softmax(int dim = -1) : dim_(dim) {}
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 private:
  int dim_;
};
class TT_API LogSoftmax : public Module {
 public:
  explicit LogSoftmax(int dim = -1) : dim_(dim) {}
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 private:
  int dim_;
};

// Joins dims start_dim to end_dim: [N, C, H, W] -> [N, C H W].
class TT_API Flatten : public Module {
 public:
  explicit Flatten(int start_dim = 1, int end_dim = -1) : start_(start_dim), end_(end_dim) {}
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 private:
  int start_, end_;
};

}  // namespace tinytorch
