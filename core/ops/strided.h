// Merging and sorting the dims of several views of one shape, so that `any` kernels see as few dims
// as possible.
#pragma once

#include <array>

#include "core/tensor/tensor_impl.h"

namespace tinytorch {

// v as seen with a larger shape: stride 0 where it is repeated.
View broadcast_view(const View& v, const Shape& shape);

// Brings views of equal shape to the smallest rank: dims of size 1 go, neighbours merge where every
// view allows it, and the largest strides of the first view come first.
void merge_dims(View* views, int count);

// The views given to a kernel: merged copies.
template <int N>
struct Merged {
  std::array<View, N> v;
  template <class... T>
  explicit Merged(const T&... views) : v{views...} {
    merge_dims(v.data(), N);
  }
  const View& operator[](size_t i) const { return v[i]; }
};

}  // namespace tinytorch
