// The own engine. A small A is packed once for all tasks, a large one panel by panel by the task
// that needs it; B always block by block by the task; small operands are read where they are. Loop
// order: blocks of k, then panels of A (one stays in L1), then panels of B (a block stays in L2).
#pragma once

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/gemm_pack.h"

namespace tinytorch::TT_KERNEL_NS {

constexpr int64_t kSharedBytes = 1 << 20;       // of A packed once, at most
constexpr int64_t kMostSharedBytes = 32 << 20;  // if it has few panels, too few to make tasks of
constexpr int64_t kFewPanels = 48;
constexpr int64_t kPanelsAtOnce = 4;  // of A packed by a task
constexpr int64_t kBlockCols = 256;   // most columns of B packed at once
constexpr int64_t kSmallStride =
    2048;  // bytes; rows farther apart than this fall into few sets of the L1 cache
constexpr int64_t kTaskFlops = 4 * cpu::kGrainFlops;

enum class PackA { none, once, by_task };

// How a product is read and cut; all from its shape.
template <class T>
struct OwnPlan {
  PackA a;
  bool pack_b;
  int64_t col_tasks, row_tasks;
  int64_t block_cols;  // columns of one task, the last excepted: whole panels

  explicit OwnPlan(const Gemm<T>& g);
  // Elements of scratch: of A for all tasks, and of a slot.
  int64_t shared_elements(const Gemm<T>& g) const {
    return a == PackA::once ? (g.m * g.k + 63) / 64 * 64 : 0;
  }
  int64_t a_elements(int64_t k) const {
    return a == PackA::by_task ? (kPanelsAtOnce * kTileRows * k_block(k) + 63) / 64 * 64 : 0;
  }
  int64_t slot_elements(int64_t k) const {
    return a_elements(k) + (pack_b ? block_cols * k_block(k) : 0);
  }
};

template <class T>
OwnPlan<T>::OwnPlan(const Gemm<T>& g) {
  constexpr int64_t kCols = kTileCols<T>, kBytes = sizeof(T), kLine = kSmallStride / kBytes;
  const RowPanels rows(g.m);
  const int64_t col_panels = ceil_div(g.n, kCols);
  const double flops =
      2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
  const bool small = flops <= 2.0 * 128 * 128 * 128 && g.lda <= kLine && g.ldb <= kLine;
  const int64_t a_bytes = g.m * g.k * kBytes;
  a = small || col_panels <= 1                                                 ? PackA::none
      : a_bytes <= (rows.count < kFewPanels ? kMostSharedBytes : kSharedBytes) ? PackA::once
                                                                               : PackA::by_task;
  pack_b = g.tb || (!small && rows.count > 2) || (a != PackA::none && g.n % kCols) ||
           (!kMaskedMemory && g.n % kLanes<T>);
  const int64_t most = static_cast<int64_t>(smaller(flops / static_cast<double>(kTaskFlops), 32.0));
  const int64_t wanted = larger<int64_t>(1, most);
  col_tasks = ceil_div(g.n, kBlockCols);
  // Narrow blocks would pack A too often, flat ones B.
  if (a != PackA::by_task) col_tasks = larger(col_tasks, smaller(wanted, col_panels / 2));
  block_cols = ceil_div(col_panels, larger<int64_t>(1, col_tasks)) * kCols;
  col_tasks = ceil_div(g.n, block_cols);
  row_tasks =
      larger<int64_t>(1, smaller(wanted / col_tasks, rows.count / (a == PackA::by_task ? 16 : 4)));
}

// Block [p0, p0 + kb) of k of panels [first, last) of op(A), panel after panel.
template <class T>
TT_INLINE void pack_row_block(const Gemm<T>& g, const RowPanels& panels, int64_t first,
                              int64_t last, int64_t p0, int64_t kb, T* out) {
  const int64_t row0 = panels.begin(first);
  const auto begin = [&](int64_t i) { return panels.begin(first + i) - row0; };
  const auto height = [&](int64_t i) { return begin(i + 1) - begin(i); };
  if (g.ta) {
    pack_copied_panels(g.a + p0 * g.lda + row0, g.lda, kb, last - first, begin, height, out);
    return;
  }
  for (int64_t i = 0; i < last - first; ++i) {
    pack_transposed(g.a + (row0 + begin(i)) * g.lda + p0, g.lda, kb, height(i), height(i),
                    out + begin(i) * kb, height(i));
  }
}

// C rows of panels [i0, i1) and columns [c0, c1).
template <class T>
struct OwnTask {
  const Gemm<T>& g;
  const OwnPlan<T>& plan;
  RowPanels rows;
  const T* packed;  // what pack_rows made of A, or null
  T* panels;        // for panels of A that this task packs, or null
  T* b_block;

  void run(int64_t i0, int64_t i1, int64_t c0, int64_t c1) const;

 private:
  void pack_columns(int64_t p0, int64_t kb, int64_t c0, int64_t c1) const;
  void finish(int64_t i, int64_t c0, int64_t c1) const;
};

template <class T>
void OwnTask<T>::pack_columns(int64_t p0, int64_t kb, int64_t c0, int64_t c1) const {
  constexpr int64_t kCols = kTileCols<T>;
  if (g.tb) {
    for (int64_t j = c0; j < c1; j += kCols) {
      pack_transposed(g.b + j * g.ldb + p0, g.ldb, kb, smaller(kCols, c1 - j), kCols,
                      b_block + (j - c0) * kb, kCols);
    }
  } else {
    pack_copied_panels(
        g.b + p0 * g.ldb + c0, g.ldb, kb, ceil_div(c1 - c0, kCols),
        [&](int64_t i) { return smaller(i * kCols, c1 - c0); }, [](int64_t) { return kCols; },
        b_block);
  }
}

template <class T>
TT_INLINE void OwnTask<T>::finish(int64_t i, int64_t c0, int64_t c1) const {
  if (g.act != Activation::tanh && g.act != Activation::sigmoid) return;
  const int64_t row = rows.begin(i);
  apply_activation(g.act, g.c + row * g.ldc + c0, g.ldc, rows.begin(i + 1) - row, c1 - c0);
}

template <class T>
void OwnTask<T>::run(int64_t i0, int64_t i1, int64_t c0, int64_t c1) const {
  constexpr int64_t kCols = kTileCols<T>;
  const TileTable<T>& tiles = tile_table<T>();
  const int64_t kc = k_block(g.k);
  int64_t p0 = 0;
  do {
    const int64_t kb = smaller(kc, g.k - p0);
    const bool last = p0 + kb == g.k;
    if (plan.pack_b) pack_columns(p0, kb, c0, c1);
    Tile<T> t;
    t.k = kb;
    t.c_row = g.ldc;
    t.b_step = plan.pack_b ? kCols : g.ldb;
    t.accumulate = g.accumulate || p0 > 0;
    t.relu = last && g.act == Activation::relu;
    for (int64_t i = i0; i < i1; ++i) {
      const int64_t row = rows.begin(i), height = rows.begin(i + 1) - row;
      if (panels && (i - i0) % kPanelsAtOnce == 0)
        pack_row_block(g, rows, i, smaller(i + kPanelsAtOnce, i1), p0, kb, panels);
      if (plan.a != PackA::none) {
        t.a = panels ? panels + (row - rows.begin(i - (i - i0) % kPanelsAtOnce)) * kb
                     : packed + rows.rows * p0 + row * kb;
        t.a_row = 1;
        t.a_step = height;
      } else {
        t.a = g.ta ? g.a + p0 * g.lda + row : g.a + row * g.lda + p0;
        t.a_row = g.ta ? 1 : g.lda;
        t.a_step = g.ta ? g.lda : 1;
      }
      t.row_bias = last && g.row_bias ? g.row_bias + row : nullptr;
      for (int64_t j = c0; j < c1; j += kCols) {
        t.cols = smaller(kCols, c1 - j);
        t.b = plan.pack_b ? b_block + (j - c0) * kb : g.b + p0 * g.ldb + j;
        t.c = g.c + row * g.ldc + j;
        t.col_bias = last && g.col_bias ? g.col_bias + j : nullptr;
        if (plan.a != PackA::none) {
          run_tile(tiles.packed, height, t);
        } else if (plan.pack_b || t.cols % kLanes<T> == 0) {
          run_tile(tiles.in_place, height, t);
        } else {
          run_tile(tiles.in_place_cut, height, t);
        }
      }
      if (last) finish(i, c0, c1);
    }
    p0 += kb;
  } while (p0 < g.k);
}

}  // namespace tinytorch::TT_KERNEL_NS
