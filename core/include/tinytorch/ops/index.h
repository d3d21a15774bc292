// Indexing with tensors of indices (i64). An index out of range is an IndexError that names
// position and value.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

TT_API Tensor index_select(const Tensor& a, int dim,
                           const Tensor& index);                      // index [m]: dim becomes m
TT_API Tensor gather(const Tensor& a, int dim, const Tensor& index);  // out has index's shape
// base with src added at index along dim; the sum is in the order of the index.
TT_API Tensor index_add(const Tensor& base, int dim, const Tensor& index, const Tensor& src);
TT_API Tensor scatter_add(const Tensor& base, int dim, const Tensor& index, const Tensor& src);
TT_API Tensor embedding(const Tensor& weight,
                        const Tensor& index);  // weight [V, D], index of any shape -> [..., D]
TT_API Tensor one_hot(const Tensor& index, int64_t classes,
                      Dtype dtype = Dtype::f32);  // [...] -> [..., classes]

}  // namespace tinytorch
