// Sums, maxima and sums of exponentials of dense rows, for softmax and the losses.
#pragma once

#include "kernels/common/math.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/reduce_ops.h"

namespace tinytorch::TT_KERNEL_NS {

constexpr int64_t kRowTask = 16 << 10;  // elements
constexpr int64_t kRowBuffer = 512;
constexpr int64_t kShortRow = 48;  // rows shorter than this share a call of the exponential

// f(row, rows) for groups of rows: of one row, or of as many short ones as fit into a buffer
// together.
template <class F>
TT_INLINE void for_row_groups(KernelContext& ctx, int64_t rows, int64_t n, F f) {
  const int64_t group = n < kShortRow ? kRowBuffer / n : 1, groups = ceil_div(rows, group);
  const int64_t per_task = larger<int64_t>(1, kRowTask / (group * n));
  parallel_for(ctx, ceil_div(groups, per_task), [&](int64_t task) {
    for (int64_t i = task * per_task; i < smaller((task + 1) * per_task, groups); ++i) {
      f(i * group, smaller(group, rows - i * group));
    }
  });
}

// Where NaN may get lost: sums of exponentials bring it back.
template <class T>
struct TopOf {
  using Element = T;
  struct Acc {
    Vec<T> best = identity();
    TT_INLINE void add(const Vec<T>& v) { best = combine(best, v); }
  };
  TT_INLINE static Vec<T> identity() { return splat(-kInfinity<T>); }
  TT_INLINE static Vec<T> combine(const Vec<T>& a, const Vec<T>& b) { return a > b ? a : b; }
};
template <class T>
T row_maximum(const T* x, int64_t n) {
  if (n < kLanes<T>) {
    T top = x[0];
    for (int64_t i = 1; i < n; ++i) top = x[i] > top ? x[i] : top;
    return top;
  }
  typename TopOf<T>::Acc acc;
  accumulate<TopOf<T>>(acc, x, n);
  return across<T>(acc.best, [](T a, T b) { return a > b ? a : b; });
}

template <class T>
double row_sum(const T* x, int64_t n) {
  typename SumOf<T>::Acc acc;
  accumulate<SumOf<T>>(acc, x, n);
  return total<T>(acc);
}

template <class T>
double row_dot(const T* x, const T* y, int64_t n) {
  typename SumOf<T>::Acc acc;
  accumulate_from<SumOf<T>>(
      acc, n, [=](int64_t i) { return load(x + i) * load(y + i); },
      [=](int64_t i, int64_t count) {
        return load_part(x + i, count, Vec<T>{}) * load_part(y + i, count, Vec<T>{});
      });
  return total<T>(acc);
}

// Rows of this many elements or fewer are asked for while the row before is worked on: the
// processor itself looks ahead only as far as a page.
constexpr int64_t kAheadRow = 4 << 10;

// The row behind `row`, or `row` itself if there is none or rows are too long to ask for ahead.
template <class T>
TT_INLINE const T* next_row(const T* x, int64_t row, int64_t rows, int64_t n) {
  return row + 1 < rows && n <= kAheadRow ? x + n : x;
}
template <class T>
TT_INLINE void prefetch_row(const T* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(x + i);
}

// Columns of a wide matrix: asks for the piece some rows below x, if it is among the `rest` rows
// that are left, x included.
template <class T>
TT_INLINE void prefetch_below(const T* x, int64_t stride, int64_t rest, int64_t width) {
  constexpr int64_t kBelow = 8;
  if (rest > kBelow) prefetch_row(x + kBelow * stride, width);
}

// The sum of e^(x - top). `next` as from next_row.
template <class T>
double sum_of_exp(const T* x, int64_t n, T top, const T* next) {
  T e[kRowBuffer];
  typename SumOf<T>::Acc acc;
  for (int64_t i = 0; i < n; i += kRowBuffer) {
    const int64_t count = smaller(kRowBuffer, n - i);
    prefetch_row(next + i, count);
    deep_loop(e, x + i, count, [top](T v) { return exp_of(v - top); });
    accumulate<SumOf<T>>(acc, static_cast<const T*>(e), count);
  }
  return total<T>(acc);
}

// Columns of one row into columns of parts; see SumOf.
template <class T>
TT_INLINE void absorb_row(double* parts, int64_t stride, const T* row, int64_t width) {
  int64_t c = 0;
  for (; c + kLanes<T> <= width; c += kLanes<T>) SumOf<T>::absorb(parts + c, stride, load(row + c));
  if (c < width) SumOf<T>::absorb(parts + c, stride, load_part(row + c, width - c, Vec<T>{}));
}

}  // namespace tinytorch::TT_KERNEL_NS
