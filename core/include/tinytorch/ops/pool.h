// 2-D pooling of x [N, C, H, W].
#pragma once

#include <array>

#include <tinytorch/tensor.h>

namespace tinytorch {

struct Pool2dOptions {
  std::optional<std::array<int64_t, 2>> stride{};  // default: the kernel
  std::array<int64_t, 2> padding{0, 0}, dilation{1, 1};
  bool count_include_pad = true;  // average pooling divides by the full window
};
// OH = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1; padding at most half the kernel.
TT_API Tensor max_pool2d(const Tensor& x, std::array<int64_t, 2> kernel,
                         const Pool2dOptions& options = {});
// With indices (i64): h W + w of each maximum inside its plane.
TT_API ValuesAndIndices max_pool2d_with_indices(const Tensor& x, std::array<int64_t, 2> kernel,
                                                const Pool2dOptions& options = {});
TT_API Tensor avg_pool2d(const Tensor& x, std::array<int64_t, 2> kernel,
                         const Pool2dOptions& options = {});  // no dilation
// Averages of size[0] x size[1] windows that cover x evenly, whatever its size: output i of n looks
// at [floor(i H / n), ceil((i + 1) H / n)), so windows may overlap by one element or more.
TT_API Tensor adaptive_avg_pool2d(const Tensor& x, std::array<int64_t, 2> size);

}  // namespace tinytorch
