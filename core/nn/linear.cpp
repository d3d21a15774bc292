// Linear and Embedding.
#include <tinytorch/nn/linear.h>

#include <cmath>

#include <tinytorch/error.h>
#include <tinytorch/nn/init.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/ops/index.h>
#include <tinytorch/ops/matmul.h>

#include "core/nn/repr.h"

namespace tinytorch {

static Tensor make_parameter(const char* layer, const Shape& shape) {
  for (const int64_t n : shape)
    if (n < 0) throw ValueError("[" + std::string(layer) + "] a size is negative: " + shape.str());
  CategoryGuard category(Category::parameter);
  return empty(shape, {.dtype = Dtype::f32});
}

Linear::Linear(int64_t in_features, int64_t out_features, bool with_bias)
    : in_(in_features),
      out_(out_features),
      weight(register_parameter("weight", make_parameter("Linear", {out_, in_}))),
      bias(register_parameter("bias", with_bias ? make_parameter("Linear", {out_}) : Tensor())) {
  reset_parameters();
}

void Linear::reset_parameters() {
  init::kaiming_uniform_(weight, {.a = std::sqrt(5.0)});
  if (!bias.defined()) return;
  const double bound = in_ > 0 ? 1 / std::sqrt(static_cast<double>(in_)) : 0;
  init::uniform_(bias, -bound, bound);
}

Tensor Linear::forward(const Tensor& x) { return linear(x, weight, bias); }
Tensor Linear::forward(const Tensor& x, Activation activation) {
  return linear(x, weight, bias, activation);
}

std::string Linear::extra_repr() const {
  return "in_features=" + std::to_string(in_) + ", out_features=" + std::to_string(out_) +
         ", bias=" + repr(bias.defined());
}

Embedding::Embedding(int64_t count, int64_t dim)
    : count_(count),
      dim_(dim),
      weight(register_parameter("weight", make_parameter("Embedding", {count, dim}))) {
  reset_parameters();
}

void Embedding::reset_parameters() { init::normal_(weight); }

Tensor Embedding::forward(const Tensor& index) { return embedding(weight, index); }

std::string Embedding::extra_repr() const {
  return std::to_string(count_) + ", " + std::to_string(dim_);
}

}  // namespace tinytorch
