// Dtype promotion, PyTorch's rules:
// https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
#include <tinytorch/ops/elementwise.h>

#include "core/tensor/tensor_impl.h"

namespace tinytorch {

namespace {

enum Kind { kBool, kInteger, kFloating };
Kind kind_of(Dtype d) { return d == Dtype::bool_ ? kBool : is_floating(d) ? kFloating : kInteger; }

// Tensors with dims outrank tensors without where they are of the same kind or a higher one.
Dtype by_rank(Dtype dims, Dtype no_dims) {
  return kind_of(no_dims) <= kind_of(dims) ? dims : promote(dims, no_dims);
}

}  // namespace

Dtype promote(Dtype a, Dtype b) {
  if (a == b) return a;
  const Kind x = kind_of(a), y = kind_of(b);
  if (x != y) return x > y ? a : b;
  if (x == kFloating) {
    if (a == Dtype::f64 || b == Dtype::f64) return Dtype::f64;
    return Dtype::f32;  // f32 with a half, or bf16 with f16
  }
  if (a == Dtype::i64 || b == Dtype::i64) return Dtype::i64;
  return Dtype::i32;  // i32 with u8
}

Dtype result_type(const Tensor& a, const Tensor& b) {
  check_defined("result_type", a);
  check_defined("result_type", b);
  const View &u = view_of(a), &w = view_of(b);
  if ((u.rank == 0) == (w.rank == 0)) return promote(u.dtype, w.dtype);
  return u.rank ? by_rank(u.dtype, w.dtype) : by_rank(w.dtype, u.dtype);
}

Dtype result_type(const Tensor& a, Scalar b) {
  check_defined("result_type", a);
  const Dtype d = view_of(a).dtype;
  const Kind k = b.kind() == Scalar::Kind::boolean   ? kBool
                 : b.kind() == Scalar::Kind::integer ? kInteger
                                                     : kFloating;
  if (k <= kind_of(d)) return d;
  return k == kInteger ? Dtype::i64 : Dtype::f32;
}

}  // namespace tinytorch
