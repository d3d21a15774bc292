// Two short ways of the own engine: products so small that every branch counts, and products with
// so few rows or columns that lanes run along k.
#pragma once

#include "kernels/cpu/gemm_own.h"

namespace tinytorch::TT_KERNEL_NS {

// ---- small: no plan, no buffers but the stack's, operands where they are; only a transposed B is
// copied.

template <class T>
constexpr int64_t kSmallPacked = 16384 / static_cast<int64_t>(sizeof(T));

template <class T>
TT_INLINE bool is_small(const Gemm<T>& g) {
  constexpr int64_t kLine = kSmallStride / static_cast<int64_t>(sizeof(T));
  return g.m <= 64 && g.n <= 512 && g.k <= 64 && g.m * g.n * g.k <= 64 * 64 * 64 &&
         g.lda <= kLine && g.ldb <= kLine && g.act <= Activation::relu;
}

template <class T>
TT_INLINE void small_gemm(const Gemm<T>& g) {
  constexpr int64_t kW = kLanes<T>, kCols = kTileCols<T>;
  static_assert(64 * kCols <= kSmallPacked<T> || kCols > 32);
  const TileTable<T>& tiles = tile_table<T>();
  // Even panels: 16 rows are 8 + 8, not 14 + 2.
  const uint32_t m = static_cast<uint32_t>(g.m), parts = (m + kTileRows - 1) / kTileRows;
  const int64_t height = parts == 1 ? g.m : (m + parts - 1) / parts;
  alignas(kVecBytes) T packed[kSmallPacked<T>];
  Tile<T> t;
  t.k = g.k;
  t.a_row = g.ta ? 1 : g.lda;
  t.a_step = g.ta ? g.lda : 1;
  t.c_row = g.ldc;
  t.accumulate = g.accumulate;
  t.relu = g.act == Activation::relu;
  for (int64_t j = 0; j < g.n; j += kCols) {
    t.cols = smaller(kCols, g.n - j);
    const int64_t width = t.cols > kW ? kCols : kW;
    const bool whole = t.cols == width;
    t.col_bias = g.col_bias ? g.col_bias + j : nullptr;
    t.b = g.b + j;
    t.b_step = g.ldb;
    if (g.tb || (!whole && !kMaskedMemory)) {
      if (g.tb) {
        pack_transposed(g.b + j * g.ldb, g.ldb, g.k, t.cols, width, packed, width);
      } else {
        pack_copied(t.b, g.ldb, g.k, t.cols, width, packed, width);
      }
      t.b = packed;
      t.b_step = width;
    }
    const auto& functions = whole || t.b == packed ? tiles.in_place : tiles.in_place_cut;
    for (int64_t i = 0; i < g.m; i += height) {
      t.a = g.ta ? g.a + i : g.a + i * g.lda;
      t.c = g.c + i * g.ldc + j;
      t.row_bias = g.row_bias ? g.row_bias + i : nullptr;
      run_tile(functions, smaller(height, g.m - i), t);
    }
  }
}

// ---- dot: a few rows against rows, lanes along k. A matrix times a vector reads the matrix once,
// at the speed of memory.

constexpr int64_t kDotSide = 3;  // most rows (or columns) of C that are better off this way

template <class T>
TT_INLINE T sum_of(const Vec<T>& v) {
  return across<T>(v, [](T x, T y) { return x + y; });
}

// out[i out_row + j out_col] = sum over k of x(i) y(j) for R rows of x and S of y.
template <class T, int R, int S>
void dot_tile(const T* x, int64_t x_row, const T* y, int64_t y_row, int64_t k, T* sums) {
  constexpr int64_t kW = kLanes<T>, kLong = kMaxChain * kW;
  TT_UNROLL for (int i = 0; i < R * S; ++i) sums[i] = T{};
  for (int64_t p0 = 0; p0 < k; p0 += kLong) {
    const int64_t end = smaller(k, p0 + kLong);
    Vec<T> acc[R][S];
    TT_UNROLL for (int i = 0; i < R; ++i) {
      TT_UNROLL for (int j = 0; j < S; ++j) acc[i][j] = Vec<T>{};
    }
    int64_t p = p0;
    for (; p + kW <= end; p += kW) {
      Vec<T> b[S];
      TT_UNROLL for (int j = 0; j < S; ++j) b[j] = load(y + j * y_row + p);
      TT_UNROLL for (int i = 0; i < R; ++i) {
        const Vec<T> a = load(x + i * x_row + p);
        TT_UNROLL for (int j = 0; j < S; ++j) acc[i][j] += a * b[j];
      }
    }
    if (p < end) {
      const Lanes<T> rest(end - p);
      Vec<T> b[S];
      TT_UNROLL for (int j = 0; j < S; ++j) b[j] = load_lanes(y + j * y_row + p, rest);
      TT_UNROLL for (int i = 0; i < R; ++i) {
        const Vec<T> a = load_lanes(x + i * x_row + p, rest);
        TT_UNROLL for (int j = 0; j < S; ++j) acc[i][j] += a * b[j];
      }
    }
    TT_UNROLL for (int i = 0; i < R; ++i) {
      TT_UNROLL for (int j = 0; j < S; ++j) sums[i * S + j] += sum_of<T>(acc[i][j]);
    }
  }
}

template <class T>
TT_INLINE bool is_dot(const Gemm<T>& g) {
  return !g.ta && g.tb && g.k >= 2 * kLanes<T> && (g.m <= kDotSide || g.n <= kDotSide);
}

template <class T>
TT_INLINE void finish_dot(const Gemm<T>& g, int64_t i, int64_t j, T sum) {
  T* c = g.c + i * g.ldc + j;
  if (g.accumulate) sum += *c;
  if (g.row_bias) sum += g.row_bias[i];
  if (g.col_bias) sum += g.col_bias[j];
  *c = sum;
  if (g.act != Activation::none) apply_activation(g.act, c, g.ldc, 1, 1);
}

// `few` rows of x against rows [begin, end) of y, eight at a time.
template <class T, int R>
void dot_rows(const Gemm<T>& g, bool few_are_rows, int64_t begin, int64_t end) {
  constexpr int kMany = R == 1 ? 8 : 4;
  const T *x = few_are_rows ? g.a : g.b, *y = few_are_rows ? g.b : g.a;
  const int64_t x_row = few_are_rows ? g.lda : g.ldb, y_row = few_are_rows ? g.ldb : g.lda;
  T sums[R * kMany];
  for (int64_t j = begin; j < end;) {
    const int64_t count = end - j >= kMany ? kMany : 1;
    if (count == kMany) {
      dot_tile<T, R, kMany>(x, x_row, y + j * y_row, y_row, g.k, sums);
    } else {
      dot_tile<T, R, 1>(x, x_row, y + j * y_row, y_row, g.k, sums);
    }
    for (int64_t i = 0; i < R; ++i) {
      for (int64_t s = 0; s < count; ++s) {
        const T sum = sums[i * count + s];
        few_are_rows ? finish_dot(g, i, j + s, sum) : finish_dot(g, j + s, i, sum);
      }
    }
    j += count;
  }
}

template <class T>
void dot_gemm(KernelContext& context, const Gemm<T>& g) {
  const bool few_are_rows = g.m <= g.n;
  const int64_t few = few_are_rows ? g.m : g.n, many = few_are_rows ? g.n : g.m;
  const int64_t tasks = tasks_for(many * g.k * static_cast<int64_t>(sizeof(T)), kGrainBytes,
                                  smaller<int64_t>(64, ceil_div(many, 8)));
  parallel_for(context, tasks, [&](int64_t task) {
    const int64_t begin = task_begin(many, task, tasks), end = task_begin(many, task + 1, tasks);
    switch (few) {
      case 1:
        return dot_rows<T, 1>(g, few_are_rows, begin, end);
      case 2:
        return dot_rows<T, 2>(g, few_are_rows, begin, end);
      default:
        return dot_rows<T, 3>(g, few_are_rows, begin, end);
    }
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
