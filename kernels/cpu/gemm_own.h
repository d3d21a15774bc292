// The own engine. A is packed once for a chunk of rows, B block by block by the task that needs it;
// small operands are read where they are. Loop order: blocks of k, then panels of A (one stays in
// L1), then panels of B (a block stays in L2).
#pragma once

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/gemm_pack.h"

namespace tinytorch::TT_KERNEL_NS {

constexpr int64_t kChunkElements = 512 << 10;  // of packed A
constexpr int64_t kBlockCols = 256;            // most columns of B packed at once
constexpr int64_t kSmallStride =
    2048;  // bytes; rows farther apart than this fall into few sets of the L1 cache
constexpr int64_t kTaskFlops = 4 * cpu::kGrainFlops;

// How a product is read and cut; all from its shape.
template <class T>
struct OwnPlan {
  bool pack_a, pack_b;
  int64_t chunk_panels;  // panels of A packed at a time
  int64_t col_tasks, row_tasks;
  int64_t block_cols;  // columns of one task, the last excepted: whole panels

  explicit OwnPlan(const Gemm<T>& g);
  int64_t b_elements(int64_t k) const { return pack_b ? block_cols * k_block(k) : 0; }
};

template <class T>
OwnPlan<T>::OwnPlan(const Gemm<T>& g) {
  constexpr int64_t kCols = kTileCols<T>, kLine = kSmallStride / static_cast<int64_t>(sizeof(T));
  const RowPanels rows(g.m);
  const int64_t col_panels = ceil_div(g.n, kCols);
  const double flops =
      2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
  const bool small = flops <= 2.0 * 128 * 128 * 128 && g.lda <= kLine && g.ldb <= kLine;
  pack_a = !small && col_panels > 1;
  pack_b = g.tb || (!small && rows.count > 2) || (pack_a && g.n % kCols) ||
           (!kMaskedMemory && g.n % kLanes<T>);
  chunk_panels = rows.count;
  if (pack_a)
    chunk_panels = larger<int64_t>(
        1, smaller<int64_t>(rows.count, kChunkElements / larger<int64_t>(1, g.k) / kTileRows));
  const int64_t most = static_cast<int64_t>(
      smaller(flops * static_cast<double>(chunk_panels) / static_cast<double>(rows.count) /
                  static_cast<double>(kTaskFlops),
              32.0));
  const int64_t wanted = larger<int64_t>(1, most);
  col_tasks = larger(ceil_div(g.n, kBlockCols), smaller(wanted, col_panels / 2));
  block_cols = ceil_div(col_panels, larger<int64_t>(1, col_tasks)) * kCols;
  col_tasks = ceil_div(g.n, block_cols);
  row_tasks = larger<int64_t>(1, smaller(wanted / col_tasks, chunk_panels / 4));
}

// C rows of panels [i0, i1) and columns [c0, c1). `packed` is what pack_rows made of the chunk that
// starts at row chunk_row, or null.
template <class T>
struct OwnTask {
  const Gemm<T>& g;
  const OwnPlan<T>& plan;
  const RowPanels& rows;  // of the chunk
  int64_t chunk_row;
  const T* packed;

  void run(int64_t i0, int64_t i1, int64_t c0, int64_t c1, T* b_block) const;
};

template <class T>
void OwnTask<T>::run(int64_t i0, int64_t i1, int64_t c0, int64_t c1, T* b_block) const {
  constexpr int64_t kCols = kTileCols<T>;
  const TileTable<T>& tiles = tile_table<T>();
  const int64_t kc = k_block(g.k);
  const bool bounded = g.act == Activation::tanh || g.act == Activation::sigmoid;
  int64_t p0 = 0;
  do {
    const int64_t kb = smaller(kc, g.k - p0);
    const bool last = p0 + kb == g.k;
    if (plan.pack_b) {
      for (int64_t j = c0; j < c1; j += kCols) {
        const int64_t cols = smaller(kCols, c1 - j);
        T* to = b_block + (j - c0) * kb;
        if (g.tb) {
          pack_transposed(g.b + j * g.ldb + p0, g.ldb, kb, cols, kCols, to, kCols);
        } else {
          pack_copied(g.b + p0 * g.ldb + j, g.ldb, kb, cols, kCols, to, kCols);
        }
      }
    }
    Tile<T> t;
    t.k = kb;
    t.c_row = g.ldc;
    t.b_step = plan.pack_b ? kCols : g.ldb;
    t.accumulate = g.accumulate || p0 > 0;
    t.relu = last && g.act == Activation::relu;
    for (int64_t i = i0; i < i1; ++i) {
      const int64_t row = rows.begin(i), height = rows.begin(i + 1) - row,
                    whole_row = chunk_row + row;
      if (packed) {
        t.a = packed + rows.rows * p0 + row * kb;
        t.a_row = 1;
        t.a_step = height;
      } else {
        t.a = g.ta ? g.a + p0 * g.lda + whole_row : g.a + whole_row * g.lda + p0;
        t.a_row = g.ta ? 1 : g.lda;
        t.a_step = g.ta ? g.lda : 1;
      }
      t.row_bias = last && g.row_bias ? g.row_bias + whole_row : nullptr;
      for (int64_t j = c0; j < c1; j += kCols) {
        t.cols = smaller(kCols, c1 - j);
        t.b = plan.pack_b ? b_block + (j - c0) * kb : g.b + p0 * g.ldb + j;
        t.c = g.c + whole_row * g.ldc + j;
        t.col_bias = last && g.col_bias ? g.col_bias + j : nullptr;
        if (packed) {
          run_tile(tiles.packed, height, t);
        } else if (plan.pack_b || t.cols % kLanes<T> == 0) {
          run_tile(tiles.in_place, height, t);
        } else {
          run_tile(tiles.in_place_cut, height, t);
        }
      }
      if (last && bounded)
        apply_activation(g.act, g.c + whole_row * g.ldc + c0, g.ldc, height, c1 - c0);
    }
    p0 += kb;
  } while (p0 < g.k);
}

}  // namespace tinytorch::TT_KERNEL_NS
