// Iteration over Views of one shape with any strides, in row-major order. Offsets and strides count
// elements. Core has merged and sorted the dims of non-contiguous views, so the innermost dim is
// the one worth a loop.
#pragma once

#include <tinytorch/backend/view.h>

#include "kernels/common/host_device.h"

namespace tinytorch::TT_KERNEL_NS {

// Element offset of the row-major position `linear`.
TT_HD int64_t offset_of(const View& v, int64_t linear) {
  if (v.contiguous) return linear;
  int64_t offset = 0;
  for (int d = v.rank - 1; d >= 0; --d) {
    offset += linear % v.shape[d] * v.strides[d];
    linear /= v.shape[d];
  }
  return offset;
}

// Splits the row-major positions [begin, end) of N views of one shape into pieces of innermost rows
// and calls f(count, const int64_t (&offsets)[N], const int64_t (&strides)[N]) for each: element i
// of a piece is at offsets[v] + i strides[v]. A rank of 0 is one row of one element. Contiguous
// views together form a single row.
template <int N, class F>
TT_INLINE void for_each_row(const View* const (&views)[N], int64_t begin, int64_t end, F&& f) {
  if (begin >= end) return;
  int64_t offsets[N], strides[N];
  bool contiguous = true;
  for (int v = 0; v < N; ++v) contiguous = contiguous && views[v]->contiguous;
  const int rank = views[0]->rank;
  if (contiguous || rank == 0) {
    for (int v = 0; v < N; ++v) offsets[v] = begin, strides[v] = 1;
    f(end - begin, offsets, strides);
    return;
  }
  const Dims& shape = views[0]->shape;
  int64_t at[kMaxRank], rest = begin;
  for (int d = rank - 1; d >= 0; --d) {
    at[d] = rest % shape[d];
    rest /= shape[d];
  }
  for (int v = 0; v < N; ++v) {
    offsets[v] = 0;
    for (int d = 0; d < rank; ++d) offsets[v] += at[d] * views[v]->strides[d];
    strides[v] = views[v]->strides[rank - 1];
  }
  for (int64_t left = end - begin;;) {
    const int64_t room = shape[rank - 1] - at[rank - 1], count = room < left ? room : left;
    f(count, offsets, strides);
    left -= count;
    if (left == 0) return;
    // To the start of the next row: at least one dim outside the innermost steps on.
    for (int v = 0; v < N; ++v) offsets[v] -= at[rank - 1] * strides[v];
    at[rank - 1] = 0;
    for (int d = rank - 2; d >= 0; --d) {
      for (int v = 0; v < N; ++v) offsets[v] += views[v]->strides[d];
      if (++at[d] < shape[d]) break;
      for (int v = 0; v < N; ++v) offsets[v] -= shape[d] * views[v]->strides[d];
      at[d] = 0;
    }
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
