// The gradient of the weights where a transposed P (conv_weight.h) would cost more than the
// product: few output channels. Lanes are neighbouring pixels of a line: a register tile of some
// rows of g and some k holds gw[row][k] lane by lane while it walks over the lines of g and, at the
// offset of each k, of P. Nothing is packed; lanes are added up once at the end.
#pragma once

#include "kernels/cpu/conv_correlate.h"

namespace tinytorch::TT_KERNEL_NS {

// Of the register tile.
#if defined(__AVX512F__) && defined(__AVX512BW__)
constexpr int kLineRows = 4, kLineTaps = 5;
#else
constexpr int kLineRows = 3, kLineTaps = 3;
#endif
constexpr int64_t kLineSumsBytes = 256 << 10;  // of the lanes of all gw[row][k], at most

// Packing moves one element of P for `rows` multiply-adds; lines waste the lanes behind their ends.
template <class T>
TT_INLINE bool suits_lines(const Correlation<T>& c) {
  constexpr int64_t kW = kLanes<T>;
  const int64_t lanes = ceil_div(c.x.out, kW) * kW;
  return kMaskedMemory && 4 * c.x.out >= 3 * lanes && c.rows <= 32 &&
         c.rows * c.k() * kVecBytes <= kLineSumsBytes;
}

// Lines of a band of images, in g and in P.
struct LineBlock {
  int64_t images, g_image, p_image;
  int64_t lines, g_line, p_line, length;
};

// sums[r][t][lane] += g[r] P[t] over all lines, for t < count; all kLineTaps pointers are read.
template <class T, int R>
[[gnu::noinline]] void add_lines(const LineBlock& b, const T* g, int64_t g_row,
                                 const T* const* taps, int64_t count, T* sums, int64_t sums_row) {
  constexpr int64_t kW = kLanes<T>;
  const Lanes<T> whole(kW), rest((b.length - 1) % kW + 1);
  const int64_t last = (b.length - 1) / kW * kW;
  Vec<T> acc[R][kLineTaps];
  TT_UNROLL for (int t = 0; t < kLineTaps; ++t) {
    TT_UNROLL for (int r = 0; r < R; ++r) acc[r][t] = Vec<T>{};
  }
  for (int64_t image = 0; image < b.images; ++image) {
    const T* row = g + image * b.g_image;
    int64_t p = image * b.p_image;
    for (int64_t line = 0; line < b.lines; ++line, row += b.g_line, p += b.p_line) {
      for (int64_t x = 0; x <= last; x += kW) {
        const Lanes<T> lanes = x < last ? whole : rest;
        Vec<T> v[R];
        TT_UNROLL for (int r = 0; r < R; ++r) v[r] = load_lanes(row + r * g_row + x, lanes);
        TT_UNROLL for (int t = 0; t < kLineTaps; ++t) {
          Vec<T> tap = load_lanes(taps[t] + p + x, lanes);
          asm("" : "+v"(tap));  // loaded once: each row would load it again, across cache lines
          TT_UNROLL for (int r = 0; r < R; ++r) acc[r][t] += v[r] * tap;
        }
      }
    }
  }
  TT_UNROLL for (int t = 0; t < kLineTaps; ++t) {
    if (t >= count) break;
    TT_UNROLL for (int r = 0; r < R; ++r) {
      T* to = sums + r * sums_row + t * kW;
      store(to, load(to) + acc[r][t]);
    }
  }
}

// Adds a block of lines to sums[row][k][lane]: `source` is P, `offsets` that of every k in it.
template <class T>
void add_all_lines(const LineBlock& b, const T* g, int64_t g_row, int64_t rows, const T* source,
                   const int64_t* offsets, int64_t count, T* sums) {
  constexpr int64_t kW = kLanes<T>;
  const int64_t row_blocks = ceil_div(rows, kLineRows), tap_blocks = ceil_div(count, kLineTaps);
  for (int64_t i = 0; i < row_blocks; ++i) {
    const int64_t row = task_begin(rows, i, row_blocks),
                  height = task_begin(rows, i + 1, row_blocks) - row;
    for (int64_t j = 0; j < tap_blocks; ++j) {
      const int64_t k = task_begin(count, j, tap_blocks),
                    n = task_begin(count, j + 1, tap_blocks) - k;
      const T* taps[kLineTaps];
      for (int64_t t = 0; t < kLineTaps; ++t) taps[t] = source + offsets[k + (t < n ? t : 0)];
      T* to = sums + (row * count + k) * kW;
      const T* from = g + row * g_row;
      if (height == 1) add_lines<T, 1>(b, from, g_row, taps, n, to, count * kW);
      if (height == 2) add_lines<T, 2>(b, from, g_row, taps, n, to, count * kW);
      if (height == 3) add_lines<T, 3>(b, from, g_row, taps, n, to, count * kW);
      if constexpr (kLineRows > 3) {
        if (height == 4) add_lines<T, 4>(b, from, g_row, taps, n, to, count * kW);
      }
    }
  }
}

// gw[row][k] of the lanes' sums; rows of gw are `gw_row` apart.
template <class T>
void add_lanes(const T* sums, int64_t rows, int64_t count, T* gw, int64_t gw_row) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < count; ++k) {
      gw[row * gw_row + k] =
          across<T>(load(sums + (row * count + k) * kLanes<T>), [](T a, T b) { return a + b; });
    }
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
