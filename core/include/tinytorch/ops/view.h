// Joining and splitting; views of one tensor are methods of Tensor. Views have gradients like every
// op.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

TT_API Tensor cat(const std::vector<Tensor>& tensors, int dim = 0);    // dtypes promote
TT_API Tensor stack(const std::vector<Tensor>& tensors, int dim = 0);  // a new dim
TT_API std::vector<Tensor> split(const Tensor& a, int64_t size,
                                 int dim = 0);  // views; the last may be smaller
TT_API std::vector<Tensor> split(const Tensor& a, const std::vector<int64_t>& sizes, int dim = 0);
TT_API Tensor flatten(const Tensor& a, int start_dim = 0, int end_dim = -1);
TT_API Tensor reshape(const Tensor& a, const Shape& shape);
TT_API Tensor transpose(const Tensor& a, int dim0, int dim1);
TT_API Tensor permute(const Tensor& a, const Shape& dims);
TT_API Tensor expand(const Tensor& a, const Shape& shape);

}  // namespace tinytorch
