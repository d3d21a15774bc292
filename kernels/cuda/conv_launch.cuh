// Which kernel a convolution problem takes and how its work is cut, by rules on the shape; the
// launches themselves.
#pragma once

#include <string>

#include "kernels/cuda/conv_direct.cuh"
#include "kernels/cuda/conv_tile.cuh"
#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

inline constexpr int64_t kConvBlocks = 512;     // enough to fill the device several times
inline constexpr int64_t kConvLeast = 128;      // terms of a split, at least
inline constexpr int64_t kConvMost = 16 << 10;  // at most, for the chain of additions
inline constexpr int64_t kConvShort = 512;      // terms that one thread adds, unless the columns
inline constexpr int64_t kConvMany = 16 << 10;  // are so many

inline int64_t conv_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }

// out = the sum of `splits` partial results, plus the channel's bias, which may be null.
template <class T>
__global__ void __launch_bounds__(kBlock)
    conv_finish_kernel(const T* parts, int64_t splits, int64_t numel, Divisor plane,
                       Divisor channels, const T* bias, T* out) {
  const int64_t i = thread_number();
  if (i >= numel) return;
  double sum = 0;
  for (int64_t s = 0; s < splits; ++s) sum += static_cast<double>(parts[s * numel + i]);
  if (bias) sum += static_cast<double>(bias[divide(divide(i, plane).quotient, channels).rest]);
  out[i] = static_cast<T>(sum);
}

// A convolution problem with its memory. `plane` outputs have one element of the bias.
template <class T>
struct ConvJob {
  KernelContext& context;
  const ConvProblem& p;
  const T *a, *b, *bias;
  T* out;
  int64_t numel, plane, channels;

  int64_t phases() const { return p.phases.count[0] * p.phases.count[1]; }
  // Of the launch, from tiles of so many rows and columns and a limit of terms.
  ConvCut cut(int64_t rows, int64_t columns, int64_t least, int64_t most) const {
    ConvCut c{};
    c.row_tiles = blocks_for(p.rows, rows);
    c.column_tiles = blocks_for(p.first.columns, columns);
    const int64_t tiles = int64_t{c.row_tiles} * c.column_tiles * p.groups * phases();
    int64_t splits = kConvBlocks / tiles;
    if (splits > p.first.terms / least) splits = p.first.terms / least;
    if (splits < conv_ceil(p.first.terms, most)) splits = conv_ceil(p.first.terms, most);
    if (splits < 1) splits = 1;
    const int64_t each = conv_ceil(p.first.terms, splits);
    c.terms_per_split = each < 1 ? 1 : conv_ceil(each, kConvTerms) * kConvTerms;
    c.splits = splits;
    c.numel = numel;
    return c;
  }
  uint32_t blocks(const ConvCut& c) const {
    const int64_t n = int64_t{c.row_tiles} * c.column_tiles * c.splits * p.groups * phases();
    if (n > kMostBlocks)
      throw Error("[" + std::string(context.op) + "] a convolution of " + std::to_string(n) +
                  " tiles, needed: at most 2^31 - 1");
    return static_cast<uint32_t>(n);
  }

  void finish(const T* parts, int64_t splits) const {
    cuda::launch(conv_finish_kernel<T>, {blocks_for(numel, kBlock)}, {threads_for(numel)}, 0,
                 context, parts, splits, numel, divisor_of(plane), divisor_of(channels), bias, out);
  }
  // f(to, bias): one launch to `to`; partial results to workspace where there are several splits.
  template <class F>
  void with_parts(const ConvCut& c, F f) const {
    if (c.splits == 1) return f(out, bias);
    Workspace parts(context, static_cast<size_t>(c.splits * numel) * sizeof(T));
    f(parts.as<T>(), static_cast<const T*>(nullptr));
    finish(parts.as<T>(), c.splits);
  }

  template <int kRows, int kTall, bool kAlongTerms>
  void tiles() const {
    const ConvCut c = cut(kRows, kConvColumns, kConvLeast, kConvMost);
    with_parts(c, [&](T* to, const T* shift) {
      cuda::launch(conv_tile_kernel<T, kRows, kTall, kAlongTerms>, {blocks(c)},
                   {ConvTile<T, kRows, kTall, kAlongTerms>::kThreads}, 0, context, p, c, a, b,
                   shift, to);
    });
  }
  template <bool kAlongTerms>
  void tiled() const {
    if constexpr (sizeof(T) == 4) {
      const int64_t high = conv_ceil(p.rows, 128),
                    large = high * conv_ceil(p.first.columns, kConvColumns) * p.groups * phases();
      if (large >= kConvBlocks / 2 && high * 128 * 7 <= p.rows * 8)
        return tiles<128, 8, kAlongTerms>();
      if (p.rows > 32) return tiles<64, 4, kAlongTerms>();
      if (p.rows > 16) return tiles<32, 4, kAlongTerms>();
    } else if (p.rows > 16) {
      return tiles<64, 4, kAlongTerms>();
    }
    tiles<16, 4, kAlongTerms>();
  }

  // A thread a column.
  void by_column() const {
    const uint32_t threads = threads_for(p.first.columns);
    ConvCut c{1, blocks_for(p.first.columns, threads), 1, p.first.terms, numel};
    cuda::launch(conv_column_kernel<T>, {blocks(c)}, {threads}, 0, context, p, c, a, b, bias, out);
  }
  // A block a few columns of one row.
  void by_sum() const {
    const uint32_t threads = threads_for(p.first.terms);
    const int64_t chain = int64_t{threads} * kConvChain;
    const ConvCut c = cut(1, kConvFewColumns, 4 * threads, chain);
    with_parts(c, [&](T* to, const T*) {
      cuda::launch(conv_sum_kernel<T>, {blocks(c)}, {threads}, 0, context, p, c, a, b, to);
    });
  }

  // Columns are outputs or inputs of images, terms those of a window.
  void over_windows() const {
    const bool enough = p.first.columns * p.groups * phases() >= kConvMany;
    if (p.rows <= kConvFewRows && (p.first.terms <= kConvShort || enough)) return by_column();
    tiled<false>();
  }
  // Columns are those of a window, terms the outputs.
  void over_outputs() const {
    if (p.rows <= kConvFewRows) return by_sum();
    tiled<true>();
  }
};

}  // namespace tinytorch::TT_KERNEL_NS
