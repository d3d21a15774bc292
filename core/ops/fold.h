// A tensor seen around one of its dims as [outer, n, inner], which is what index, softmax and
// arg_reduce kernels take.
#pragma once

#include "core/ops/pointwise.h"

namespace tinytorch {

struct Folded {
  int dim;
  int64_t outer = 1, n = 1, inner = 1;
  Shape shape() const { return {outer, n, inner}; }
};
inline Folded fold(const char* op, const Tensor& a, int dim) {
  const View& v = view_of(a);
  Folded f{wrap_dim(op, dim, v)};
  for (int i = 0; i < v.rank; ++i) (i < f.dim ? f.outer : i == f.dim ? f.n : f.inner) *= v.shape[i];
  return f;
}
// A dense tensor seen with another shape of the same number of elements; no history.
inline Tensor seen_as(const Tensor& dense_tensor, const Shape& shape) {
  Shape strides = shape;
  int64_t n = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = n;
    n *= shape[i];
  }
  return alias(dense_tensor, shape, strides, 0);
}

}  // namespace tinytorch
