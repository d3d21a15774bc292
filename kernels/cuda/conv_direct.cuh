// The convolution product with at most four rows (depthwise layers, images of one or two channels),
// for which a tile of outputs would be mostly empty: a thread makes the outputs of one column, or,
// where the terms are many and the columns few, a block sums the terms of a few columns.
#pragma once

#include "kernels/cuda/conv_problem.cuh"

namespace tinytorch::TT_KERNEL_NS {

inline constexpr int kConvFewRows = 4;
inline constexpr int kConvFewColumns = 9;  // of a block that sums: a window of 3 x 3
inline constexpr int kConvChain = 64;      // terms that one of its threads adds

// The terms of one row of a window are one chain; chains meet in f64.
template <class T>
__device__ inline void conv_column(const ConvProblem& p, const ConvPhase& f,
                                   const ConvPlace& column, const T* a, const T* b,
                                   double (&sums)[kConvFewRows]) {
  for (int64_t q = 0; q < f.term_count[0]; ++q) {
    for (int64_t i = 0; i < f.term_count[1]; ++i) {
      ConvPlace term = term_place(p, {q, i, 0});
      int64_t at = offset_of({q, i, 0}, p.a_term);
      if (term.y + column.y >= p.height) continue;
      T part[kConvFewRows] = {};
      for (int64_t j = 0; j < f.term_count[2]; ++j) {
        if (inside(p, term, column)) {
          const T v = b[term.offset + column.offset];
#pragma unroll
          for (int r = 0; r < kConvFewRows; ++r)
            if (r < p.rows) part[r] = fma_fast(a[at + r * p.a_row], v, part[r]);
        }
        term.x += p.term_x;
        term.offset += p.b_term[2];
        at += p.a_term[2];
      }
#pragma unroll
      for (int r = 0; r < kConvFewRows; ++r) sums[r] += static_cast<double>(part[r]);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock, 1)
    conv_column_kernel(ConvProblem p, ConvCut cut, const T* a, const T* b, const T* bias, T* out) {
  const ConvBlock block = conv_block(cut, p.groups);
  const ConvPhase& f = shared_phase(p, block.phase);
  const int64_t column = int64_t{block.column_tile} * blockDim.x + threadIdx.x;
  if (column >= f.columns) return;
  const ConvDigits d = digits_of(column, f.column_outer, f.column_inner);
  double sums[kConvFewRows] = {};
  conv_column(p, f, column_place(p, f, d), a + f.a + block.group * p.a_group,
              b + block.group * p.b_group, sums);
  out += f.out + block.group * p.out_group + offset_of(d, p.out_column);
#pragma unroll
  for (int r = 0; r < kConvFewRows; ++r) {
    if (r >= p.rows) break;
    if (bias) sums[r] += static_cast<double>(bias[block.group * p.rows + r]);
    out[r * p.out_row] = static_cast<T>(sums[r]);
  }
}

// A row and kConvFewColumns columns of a problem of one phase; the results are partial.
template <class T>
__global__ void __launch_bounds__(kBlock)
    conv_sum_kernel(ConvProblem p, ConvCut cut, const T* a, const T* b, T* out) {
  TT_SHARED(ConvPlace, places, kConvFewColumns);
  TT_SHARED(T, parts, kBlock / kWarp * kConvFewColumns);
  const ConvBlock block = conv_block(cut, p.groups);
  const ConvPhase& f = p.first;
  const int64_t first = int64_t{block.column_tile} * kConvFewColumns, left = f.columns - first;
  const int columns = left < kConvFewColumns ? static_cast<int>(left) : kConvFewColumns;
  const int t = static_cast<int>(threadIdx.x);
  if (t < columns)
    places[t] = column_place(p, f, digits_of(first + t, f.column_outer, f.column_inner));
  __syncthreads();

  a += block.group * p.a_group + block.row_tile * p.a_row;
  b += block.group * p.b_group;
  const int64_t begin = block.split * cut.terms_per_split, stop = begin + cut.terms_per_split,
                end = stop < f.terms ? stop : f.terms;
  T sums[kConvFewColumns] = {};
  for (int64_t k = begin + t; k < end; k += blockDim.x) {
    const ConvDigits d = digits_of(k, f.term_outer, f.term_inner);
    const ConvPlace term = term_place(p, d);
    const T u = a[offset_of(d, p.a_term)];
#pragma unroll
    for (int c = 0; c < kConvFewColumns; ++c)
      if (c < columns && inside(p, term, places[c]))
        sums[c] = fma_fast(u, b[term.offset + places[c].offset], sums[c]);
  }
#pragma unroll
  for (int c = 0; c < kConvFewColumns; ++c) {
    sums[c] = warp_reduce<SumOf>(sums[c]);
    if (t % kWarp == 0) parts[t / kWarp * kConvFewColumns + c] = sums[c];
  }
  __syncthreads();
  if (t >= columns) return;
  T total = T(0);
  for (uint32_t w = 0; w < blockDim.x / kWarp; ++w) total += parts[w * kConvFewColumns + t];
  const ConvDigits d = digits_of(first + t, f.column_outer, f.column_inner);
  out[block.split * cut.numel + block.group * p.out_group + block.row_tile * p.out_row +
      offset_of(d, p.out_column)] = total;
}

}  // namespace tinytorch::TT_KERNEL_NS
