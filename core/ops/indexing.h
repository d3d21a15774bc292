// Indexing for the other ops.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

// index_select and gather under the name of the op that is made of them, so that an error names
// what the user called.
Tensor index_select_as(const char* op, const Tensor& a, int dim, const Tensor& index);
Tensor gather_as(const char* op, const Tensor& a, int dim, const Tensor& index);

// Their gradients: index_add and scatter_add onto zeros of `shape`, along the dim d >= 0. The index
// is i64 and dense, as the forward op kept it.
Tensor index_add_to_zeros(const Shape& shape, int d, const Tensor& index, const Tensor& source);
Tensor scatter_add_to_zeros(const Shape& shape, int d, const Tensor& index, const Tensor& source);

}  // namespace tinytorch
