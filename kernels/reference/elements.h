// A visit to every element of views of one shape. The walk over their rows is compiled once for a
// number of views, and not again for each op and element type, of which there are hundreds.
#pragma once

#include "kernels/common/indexer.h"

namespace tinytorch::TT_KERNEL_NS {

template <int N>
using RowVisit = void (*)(void* f, int64_t position, int64_t count, const int64_t (&offsets)[N],
                          const int64_t (&strides)[N]);

template <int N>
[[gnu::noinline]] void visit_rows(const View* const (&views)[N], RowVisit<N> visit, void* f) {
  int64_t position = 0;
  for_each_row(views, 0, views[0]->numel,
               [&](int64_t count, const int64_t(&offsets)[N], const int64_t(&strides)[N]) {
                 visit(f, position, count, offsets, strides);
                 position += count;
               });
}

// f(position, const int64_t (&offsets)[N]) for every element, in row-major order.
template <int N, class F>
void for_each_element(const View* const (&views)[N], F f) {
  const RowVisit<N> visit = [](void* g, int64_t position, int64_t count, const int64_t(&offsets)[N],
                               const int64_t(&strides)[N]) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t at[N];
      for (int v = 0; v < N; ++v) at[v] = offsets[v] + i * strides[v];
      (*static_cast<F*>(g))(position + i, at);
    }
  };
  visit_rows(views, visit, &f);
}

}  // namespace tinytorch::TT_KERNEL_NS
