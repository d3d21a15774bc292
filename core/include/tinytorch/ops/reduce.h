// Reductions. `dims` may be negative and empty means all; reduced dims go, or stay with size 1 if
// keepdim.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

TT_API Tensor sum(const Tensor& a);  // integers and bool give i64
TT_API Tensor sum(const Tensor& a, const Shape& dims, bool keepdim = false);
TT_API Tensor mean(const Tensor& a);  // floating only
TT_API Tensor mean(const Tensor& a, const Shape& dims, bool keepdim = false);
TT_API Tensor var(const Tensor& a, const Shape& dims, bool unbiased = true, bool keepdim = false);
// Largest and smallest elements; NaN wins; equal elements share the gradient. ShapeError if a
// reduced dim has size 0.
TT_API Tensor amax(const Tensor& a, const Shape& dims, bool keepdim = false);
TT_API Tensor amin(const Tensor& a, const Shape& dims, bool keepdim = false);
TT_API Tensor max(const Tensor& a);
TT_API Tensor min(const Tensor& a);
// With the indices (i64) of the first of equals, to which the gradient goes.
TT_API ValuesAndIndices max(const Tensor& a, int dim, bool keepdim = false);
TT_API ValuesAndIndices min(const Tensor& a, int dim, bool keepdim = false);
TT_API Tensor argmax(const Tensor& a);  // index into the flattened tensor
TT_API Tensor argmax(const Tensor& a, int dim, bool keepdim = false);
TT_API Tensor argmin(const Tensor& a);
TT_API Tensor argmin(const Tensor& a, int dim, bool keepdim = false);
TT_API bool all(const Tensor& a);  // of a bool tensor; waits for the device
TT_API bool any(const Tensor& a);
// Sums over the dims that broadcasting added or stretched.
TT_API Tensor sum_to(const Tensor& a, const Shape& shape);

}  // namespace tinytorch
