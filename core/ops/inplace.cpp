// The few ops in place. Each bumps the storage's version, which formulas that saved the tensor will
// notice.
#include <tinytorch/ops/create.h>

#include "core/ops/pointwise.h"
#include "core/tensor/transfer.h"

namespace tinytorch {

Tensor& Tensor::fill_(Scalar value) {
  check_in_place("fill_", *this);
  fill_into("fill_", *this, value);
  return *this;
}
Tensor& Tensor::zero_() {
  check_in_place("zero_", *this);
  fill_into("zero_", *this, 0);
  return *this;
}

Tensor& Tensor::copy_(const Tensor& source) {
  check_defined("copy_", source);
  check_in_place("copy_", *this, source);
  if (device_of(*this) == device_of(source)) {
    copy_into(*this, source);
  } else {  // cast and lay out on the source's side, move the bytes, spread on ours
    const Tensor from = dense(source.detach().to(dtype()));
    Tensor here = make(device_of(*this), dtype(), shape_of(from));
    copy_bytes(here, from);
    copy_into(*this, here);
  }
  return *this;
}

Tensor& Tensor::add_(const Tensor& other, Scalar alpha) {
  check_in_place("add_", *this, other);
  binary_into("add_", BinaryOp::add, *this,
              alpha.to_double() == 1 ? other : tinytorch::mul(other, alpha));
  return *this;
}
Tensor& Tensor::sub_(const Tensor& other) {
  check_in_place("sub_", *this, other);
  binary_into("sub_", BinaryOp::sub, *this, other);
  return *this;
}
Tensor& Tensor::mul_(const Tensor& other) {
  check_in_place("mul_", *this, other);
  binary_into("mul_", BinaryOp::mul, *this, other);
  return *this;
}
Tensor& Tensor::div_(const Tensor& other) {
  check_defined("div_", *this);
  check_floating("div_", *this);
  check_in_place("div_", *this, other);
  binary_into("div_", BinaryOp::div, *this, other);
  return *this;
}

namespace {
void check_scalar(const char* op, const Tensor& t, Scalar s) {
  check_defined(op, t);
  check_computes(op, t);
  if (view_of(t).dtype == Dtype::bool_ || (s.is_floating() && !is_floating(view_of(t).dtype)))
    throw_dtype(op, view_of(t), "a dtype that can hold the result");
}
}  // namespace

Tensor& Tensor::add_(Scalar other) {
  check_scalar("add_", *this, other);
  check_in_place("add_", *this);
  unary_into("add_", UnaryOp::add_scalar, *this, {other.value(), {}});
  return *this;
}
Tensor& Tensor::mul_(Scalar other) {
  check_scalar("mul_", *this, other);
  check_in_place("mul_", *this);
  unary_into("mul_", UnaryOp::mul_scalar, *this, {other.value(), {}});
  return *this;
}
Tensor& Tensor::sub_(Scalar other) {
  check_scalar("sub_", *this, other);
  check_in_place("sub_", *this);
  unary_into("sub_", UnaryOp::add_scalar, *this, {negated(other, dtype()).value(), {}});
  return *this;
}
Tensor& Tensor::div_(Scalar other) {
  check_defined("div_", *this);
  check_floating("div_", *this);
  check_in_place("div_", *this);
  binary_into("div_", BinaryOp::div, *this, scalar_tensor(other, {.device = device()}));
  return *this;
}
Tensor& Tensor::clamp_(double min, double max) {
  check_scalar("clamp_", *this, 0);
  if (!(min <= max))
    throw ValueError("[clamp_] min " + std::to_string(min) + " and max " + std::to_string(max) +
                     ", needed: min <= max");
  check_in_place("clamp_", *this);
  unary_into("clamp_", UnaryOp::clamp, *this, {Scalar(min).value(), Scalar(max).value()});
  return *this;
}

}  // namespace tinytorch
