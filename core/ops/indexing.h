// index_select and gather under the name of the op that is made of them, so that an error names
// what the user called.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

Tensor index_select_as(const char* op, const Tensor& a, int dim, const Tensor& index);
Tensor gather_as(const char* op, const Tensor& a, int dim, const Tensor& index);

}  // namespace tinytorch
