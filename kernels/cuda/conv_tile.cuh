// The convolution product by tiles: a block makes kRows x 64 outputs, kTall x 4 in the registers
// of each thread. 16 terms at a time pass through shared memory; the next ones are on their way
// from global memory meanwhile. Every 64 terms a thread's sums go to a second set of sums, which
// keeps the chains of additions short.
#pragma once

#include "kernels/cuda/conv_problem.cuh"
#include "kernels/cuda/packs.cuh"

namespace tinytorch::TT_KERNEL_NS {

inline constexpr int kConvColumns = 64;  // of a tile
inline constexpr int kConvTerms = 16;    // of a slice
inline constexpr int kConvSlices = 4;    // between two moves to the second sums
inline constexpr int kConvWide = 4;      // columns of a thread

// Loads of kRows x 64 outputs. kAlongTerms: neighbouring threads read neighbouring terms of b, as
// suits a gradient of weights, else neighbouring columns.
template <class T, int kRows, int kTall, bool kAlongTerms>
struct ConvTile {
  static constexpr int kThreads = kRows / kTall * kConvColumns / kConvWide;
  // Blocks that a multiprocessor should hold, which bounds the registers of a thread.
  static constexpr int kResident =
      sizeof(T) == 8 ? 1 : (kRows == 16 || kTall == 8 ? 512 : 768) / kThreads;
  static constexpr int kRowStep = kThreads / kConvTerms;  // between a thread's elements of a
  static constexpr int kLoads = kConvColumns * kConvTerms / kThreads;  // of b
  static constexpr int kLineA = kRows + 4, kLineB = kConvColumns + 4;

  // Tables and slices, in shared memory; two of each, one in use, one being made.
  struct Terms {
    ConvPlace place[kConvTerms];
    int64_t a[kConvTerms];
  };
  struct Columns {
    ConvPlace place[kConvColumns];
    int64_t out[kConvColumns];
  };
  using SliceA = PackedArray<T, kConvTerms * kLineA>;
  using SliceB = PackedArray<T, kConvTerms * kLineB>;

  // Which elements of a slice a thread loads.
  static __device__ int a_term() { return static_cast<int>(threadIdx.x) % kConvTerms; }
  static __device__ int a_row(int r) {
    return static_cast<int>(threadIdx.x) / kConvTerms + r * kRowStep;
  }
  static __device__ int b_term(int r) {
    return kAlongTerms
               ? a_term()
               : static_cast<int>(threadIdx.x) / kConvColumns + r * (kThreads / kConvColumns);
  }
  static __device__ int b_column(int r) {
    return kAlongTerms ? a_row(r) : static_cast<int>(threadIdx.x) % kConvColumns;
  }

  static __device__ void make_terms(const ConvProblem& p, const ConvPhase& f, int64_t first,
                                    Terms& to) {
    const int t = static_cast<int>(threadIdx.x);
    if (t >= kConvTerms || first + t >= f.terms) return;
    const ConvDigits d = digits_of(first + t, f.term_outer, f.term_inner);
    to.place[t] = term_place(p, d);
    to.a[t] = offset_of(d, p.a_term);
  }
  static __device__ void make_columns(const ConvProblem& p, const ConvPhase& f, int64_t first,
                                      Columns& to) {
    const int t = static_cast<int>(threadIdx.x);
    if (t >= kConvColumns || first + t >= f.columns) return;
    const ConvDigits d = digits_of(first + t, f.column_outer, f.column_inner);
    to.place[t] = column_place(p, f, d);
    to.out[t] = f.out + offset_of(d, p.out_column);
  }

  // The rows, columns and terms of the tile that exist.
  struct Counts {
    int rows, columns, terms;
  };
  static __device__ int at_most(int64_t n, int limit) {
    return n < limit ? static_cast<int>(n) : limit;
  }

  // a stands at the first row of the tile.
  static __device__ void fetch(const ConvProblem& p, const T* a, const T* b, const Terms& terms,
                               const Columns& columns, const Counts& n, T (&to_a)[kTall],
                               T (&to_b)[kLoads]) {
    const int64_t from = terms.a[a_term()] + a_row(0) * p.a_row;
#pragma unroll
    for (int r = 0; r < kTall; ++r)
      to_a[r] = a_term() < n.terms && a_row(r) < n.rows ? a[from + r * kRowStep * p.a_row] : T(0);
    const ConvPlace fixed = kAlongTerms ? terms.place[b_term(0)] : columns.place[b_column(0)];
#pragma unroll
    for (int r = 0; r < kLoads; ++r) {
      const ConvPlace other = kAlongTerms ? columns.place[b_column(r)] : terms.place[b_term(r)];
      const bool there = b_term(r) < n.terms && b_column(r) < n.columns && inside(p, other, fixed);
      to_b[r] = there ? b[other.offset + fixed.offset] : T(0);
    }
  }
  static __device__ void store(const T (&a)[kTall], const T (&b)[kLoads], SliceA& to_a,
                               SliceB& to_b) {
#pragma unroll
    for (int r = 0; r < kTall; ++r) to_a.at[a_term() * kLineA + a_row(r)] = a[r];
#pragma unroll
    for (int r = 0; r < kLoads; ++r) to_b.at[b_term(r) * kLineB + b_column(r)] = b[r];
  }

  static __device__ int first_row() {
    return static_cast<int>(threadIdx.x) / (kConvColumns / kConvWide) * kTall;
  }
  static __device__ int first_column() {
    return static_cast<int>(threadIdx.x) % (kConvColumns / kConvWide) * kConvWide;
  }
  static __device__ void multiply(const SliceA& a, const SliceB& b, T (&sums)[kTall][kConvWide]) {
#pragma unroll
    for (int k = 0; k < kConvTerms; ++k) {
      T u[kTall], v[kConvWide];
      load_packs(u, a.at + k * kLineA + first_row());
      load_packs(v, b.at + k * kLineB + first_column());
#pragma unroll
      for (int i = 0; i < kTall; ++i)
#pragma unroll
        for (int j = 0; j < kConvWide; ++j) sums[i][j] = fma_fast(u[i], v[j], sums[i][j]);
    }
  }
  static __device__ void move(T (&from)[kTall][kConvWide], T (&to)[kTall][kConvWide]) {
#pragma unroll
    for (int i = 0; i < kTall; ++i)
#pragma unroll
      for (int j = 0; j < kConvWide; ++j) {
        to[i][j] += from[i][j];
        from[i][j] = T(0);
      }
  }

  // out stands at the first row of the tile; rows of bias too, which may be null.
  static __device__ void write(const ConvProblem& p, const Columns& columns, const Counts& n,
                               const T* bias, const T (&sums)[kTall][kConvWide], T* out) {
    const int column = first_column();
    if (column >= n.columns) return;
    const int64_t at = columns.out[column];
    const bool dense = column + kConvWide <= n.columns && columns.out[column + 1] == at + 1 &&
                       columns.out[column + kConvWide - 1] == at + kConvWide - 1;
#pragma unroll
    for (int i = 0; i < kTall; ++i) {
      const int row = first_row() + i;
      if (row >= n.rows) return;
      const T shift = bias ? bias[row] : T(0);
      T* const to = out + row * p.out_row;
      if (dense && reinterpret_cast<uintptr_t>(to + at) % 16 == 0) {
        T v[kConvWide];
#pragma unroll
        for (int j = 0; j < kConvWide; ++j) v[j] = sums[i][j] + shift;
        store_packs(to + at, v);
      } else {
#pragma unroll
        for (int j = 0; j < kConvWide; ++j)
          if (column + j < n.columns) to[columns.out[column + j]] = sums[i][j] + shift;
      }
    }
  }
};

// Splits of the terms leave partial results, cut.numel apart.
template <class T, int kRows, int kTall, bool kAlongTerms>
__global__ void __launch_bounds__(ConvTile<T, kRows, kTall, kAlongTerms>::kThreads,
                                  ConvTile<T, kRows, kTall, kAlongTerms>::kResident)
    conv_tile_kernel(ConvProblem p, ConvCut cut, const T* a, const T* b, const T* bias, T* out) {
  using Tile = ConvTile<T, kRows, kTall, kAlongTerms>;
  TT_SHARED(typename Tile::Terms, terms, 2);
  TT_SHARED(typename Tile::Columns, columns, 1);
  TT_SHARED(typename Tile::SliceA, slice_a, 2);
  TT_SHARED(typename Tile::SliceB, slice_b, 2);
  const ConvBlock block = conv_block(cut, p.groups);
  const ConvPhase& f = shared_phase(p, block.phase);
  const int64_t row = int64_t{block.row_tile} * kRows,
                column = int64_t{block.column_tile} * kConvColumns;
  if (column >= f.columns) return;
  int64_t term = block.split * cut.terms_per_split, end = term + cut.terms_per_split;
  if (end > f.terms) end = f.terms;
  typename Tile::Counts n{Tile::at_most(p.rows - row, kRows),
                          Tile::at_most(f.columns - column, kConvColumns),
                          Tile::at_most(end - term, kConvTerms)};
  a += f.a + block.group * p.a_group + row * p.a_row;
  b += block.group * p.b_group;

  Tile::make_columns(p, f, column, columns[0]);
  Tile::make_terms(p, f, term, terms[0]);
  __syncthreads();
  T next_a[kTall], next_b[Tile::kLoads], sums[kTall][kConvWide] = {}, part[kTall][kConvWide] = {};
  Tile::fetch(p, a, b, terms[0], columns[0], n, next_a, next_b);
  for (int slice = 0; term < end; ++slice) {
    const int now = slice % 2, then = 1 - now;
    Tile::store(next_a, next_b, slice_a[now], slice_b[now]);
    term += kConvTerms;
    Tile::make_terms(p, f, term, terms[then]);
    __syncthreads();
    n.terms = Tile::at_most(end - term, kConvTerms);
    if (n.terms > 0) Tile::fetch(p, a, b, terms[then], columns[0], n, next_a, next_b);
    Tile::multiply(slice_a[now], slice_b[now], part);
    if (slice % kConvSlices == kConvSlices - 1) Tile::move(part, sums);
  }
  Tile::move(part, sums);
  Tile::write(p, columns[0], n, bias ? bias + block.group * p.rows + row : nullptr, sums,
              out + block.split * cut.numel + block.group * p.out_group + row * p.out_row);
}

}  // namespace tinytorch::TT_KERNEL_NS
