// All three convolutions as one product of matrices that are never stored: out[m, n] is the sum
// over k of a[m, k] b[k, n]. Row m, column n and term k each give a part of an element's offset,
// and n and k a part of its position in an image, outside of which the element counts 0.
// Columns and terms have three digits (q, i, j): an image or channel, then two of the plane.
//
//   conv2d              rows filters   terms (channel, i, j)   columns (image, oy, ox)   a w, b x
//   conv2d_grad_input   rows channels  terms (filter, i, j)    columns (image, y, x)     a w, b g
//   conv2d_grad_weight  rows filters   terms (image, oy, ox)   columns (channel, i, j)   a g, b x
//
// With strides, the rows of an image that a gradient is sent to meet different taps of the window:
// those that leave the same rest (a phase) meet the same ones, and are a problem of their own
// without strides. All phases go into one launch.
#pragma once

#include "kernels/cuda/divisor.cuh"

namespace tinytorch::TT_KERNEL_NS {

// What the phases of a problem differ in.
struct ConvPhase {
  int64_t terms, columns;
  int64_t term_count[3];               // of the digits
  Divisor term_outer, term_inner;      // n_i n_j and n_j of the digits
  Divisor column_outer, column_inner;  // the same
  int64_t a, b, out;                   // first offsets
  uint32_t y, x;                       // position of the first column
};

// How phases are made, per dim of the image.
struct ConvPhases {
  int64_t count[2];  // 1 and 1: the problem has one phase, `first`
  int64_t images, filters;
  int64_t extent[2], taps[2], stride[2], padding[2], dilation[2];
  int64_t tap_step[2];  // between the taps that a phase meets
};

// Positions wrap around 2^32, which is sound since images are smaller than 2^30.
struct ConvProblem {
  int64_t rows, groups;
  int64_t a_row, out_row;
  int64_t a_group, b_group, out_group;
  int64_t a_term[3], b_term[3], b_column[3], out_column[3];  // steps of the digits
  uint32_t term_y, term_x, column_y, column_x;               // of i and j
  uint32_t height, width;                                    // of the images that b lies in
  ConvPhase first;
  ConvPhases phases;
};

struct ConvDigits {
  int64_t q, i, j;
};
TT_HD ConvDigits digits_of(int64_t n, const Divisor& outer, const Divisor& inner) {
  const Quotient q = divide(n, outer), i = divide(q.rest, inner);
  return {q.quotient, i.quotient, i.rest};
}
TT_HD int64_t offset_of(const ConvDigits& d, const int64_t (&steps)[3]) {
  return d.q * steps[0] + d.i * steps[1] + d.j * steps[2];
}

// Sets the sizes of a phase, none of which but the terms may be 0.
TT_HD void set_digits(ConvPhase& f, int64_t terms, int64_t term_i, int64_t term_j, int64_t columns,
                      int64_t column_i, int64_t column_j) {
  f.terms = terms * term_i * term_j;
  f.term_count[0] = terms;
  f.term_count[1] = term_i;
  f.term_count[2] = term_j;
  f.columns = columns * column_i * column_j;
  f.term_outer = divisor_of(term_i * term_j > 0 ? term_i * term_j : 1);
  f.term_inner = divisor_of(term_j > 0 ? term_j : 1);
  f.column_outer = divisor_of(column_i * column_j);
  f.column_inner = divisor_of(column_j);
}

// Along one dim: the taps i0, i0 + step, ... for which (rest + padding - i dilation) is a multiple
// of the stride, and the output position that the first of them meets at the first row.
struct ConvTaps {
  int64_t first, count, position;
};
TT_HD ConvTaps taps_of(const ConvPhases& p, int d, int64_t rest) {
  const int64_t most = p.tap_step[d] < p.taps[d] ? p.tap_step[d] : p.taps[d];
  for (int64_t i = 0; i < most; ++i) {
    const int64_t at = rest + p.padding[d] - i * p.dilation[d];
    if (at % p.stride[d] == 0)
      return {i, (p.taps[d] - i + p.tap_step[d] - 1) / p.tap_step[d], at / p.stride[d]};
  }
  return {0, 0, 0};
}

// Phase `number` of a problem of several.
TT_HD ConvPhase phase_of(const ConvProblem& p, int64_t number) {
  const ConvPhases& from = p.phases;
  const int64_t rest[2] = {number / from.count[1], number % from.count[1]};
  const ConvTaps i = taps_of(from, 0, rest[0]), j = taps_of(from, 1, rest[1]);
  int64_t extent[2];
  for (int d = 0; d < 2; ++d)
    extent[d] = (from.extent[d] - rest[d] + from.stride[d] - 1) / from.stride[d];
  ConvPhase f{};
  set_digits(f, from.filters, i.count, j.count, from.images, extent[0], extent[1]);
  f.a = i.first * from.taps[1] + j.first;
  f.b = i.position * p.width + j.position;
  f.out = rest[0] * from.extent[1] + rest[1];
  f.y = static_cast<uint32_t>(i.position);
  f.x = static_cast<uint32_t>(j.position);
  return f;
}

// ---- what a block of a launch works on

struct ConvCut {
  uint32_t row_tiles, column_tiles;
  int64_t splits, terms_per_split;
  int64_t numel;  // of out, the distance of the partial results of two splits
};
struct ConvBlock {
  uint32_t row_tile, column_tile, split, group, phase;
};
__device__ inline ConvBlock conv_block(const ConvCut& cut, int64_t groups) {
  ConvBlock b;
  uint32_t rest = blockIdx.x;
  b.row_tile = rest % cut.row_tiles;
  rest /= cut.row_tiles;
  b.column_tile = rest % cut.column_tiles;
  rest /= cut.column_tiles;
  b.split = rest % static_cast<uint32_t>(cut.splits);
  rest /= static_cast<uint32_t>(cut.splits);
  b.group = rest % static_cast<uint32_t>(groups);
  b.phase = rest / static_cast<uint32_t>(groups);
  return b;
}

// Where an element of b lies, as the sum of a term's part and a column's.
struct alignas(16) ConvPlace {
  int64_t offset;
  uint32_t y, x;
};
__device__ inline ConvPlace term_place(const ConvProblem& p, const ConvDigits& d) {
  return {offset_of(d, p.b_term), static_cast<uint32_t>(d.i) * p.term_y,
          static_cast<uint32_t>(d.j) * p.term_x};
}
__device__ inline ConvPlace column_place(const ConvProblem& p, const ConvPhase& f,
                                         const ConvDigits& d) {
  return {f.b + offset_of(d, p.b_column), f.y + static_cast<uint32_t>(d.i) * p.column_y,
          f.x + static_cast<uint32_t>(d.j) * p.column_x};
}
__device__ inline bool inside(const ConvProblem& p, const ConvPlace& term,
                              const ConvPlace& column) {
  return term.y + column.y < p.height && term.x + column.x < p.width;
}

// The phase of a block, which its first thread makes where there are several.
__device__ inline const ConvPhase& shared_phase(const ConvProblem& p, uint32_t number) {
  TT_SHARED(ConvPhase, phase, 1);
  if (threadIdx.x == 0)
    phase[0] = p.phases.count[0] * p.phases.count[1] == 1 ? p.first : phase_of(p, number);
  __syncthreads();
  return phase[0];
}

}  // namespace tinytorch::TT_KERNEL_NS
