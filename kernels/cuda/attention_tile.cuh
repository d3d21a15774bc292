// What the kernels of attention are made of. A block has a tile of rows (queries, or keys where
// the gradient of keys or values is made) and meets the other side 64 at a time: products of both
// become weights, which go to shared memory and are multiplied with a third matrix. Each thread
// has 4 x 4 of every tile. The method is that of Dao et al., "FlashAttention" (2022).
#pragma once

#include <string>
#include <type_traits>

#include "kernels/cuda/kernels.h"
#include "kernels/cuda/packs.cuh"

namespace tinytorch::TT_KERNEL_NS {

inline constexpr int kAttendColumns = 64;  // of the other side at a time, and of a matrix
inline constexpr int kAttendSlice = 32;    // terms of a product that pass through shared memory
inline constexpr int kAttendEach = 4;      // rows and columns of a thread
inline constexpr int kAttendLanes = kAttendColumns / kAttendEach;  // threads that share their rows

template <class T>
using AttendSums = T[kAttendEach][kAttendEach];

// [count, width], rows dense.
template <class T>
struct AttendMatrix {
  const T* data;
  int64_t row, count, width;
};
// The matrices of a [B, H, count, width] view.
template <class T>
struct AttendView {
  const T* data;
  int64_t batch, head, row, count, width;
  __device__ AttendMatrix<T> matrix(uint32_t b, uint32_t h) const {
    return {data + b * batch + h * head, row, count, width};
  }
};
template <class T>
AttendView<T> attend_view(const View& v) {
  return {v.as<T>(), v.strides[0], v.strides[1], v.strides[2], v.shape[2], v.shape[3]};
}

// How a launch is cut into blocks. Matrices with more columns than a block's sums hold go in
// chunks, each of which makes its weights anew.
struct AttendCut {
  uint32_t tiles, chunks, heads, causal;
  double scale;
};
struct AttendBlock {
  int64_t first_row;
  uint32_t chunk, batch, head, matrix;
};
template <int kRows>
__device__ inline AttendBlock attend_block(const AttendCut& cut) {
  const uint32_t tile = blockIdx.x % cut.tiles, rest = blockIdx.x / cut.tiles,
                 matrix = rest / cut.chunks;
  return {int64_t{tile} * kRows, rest % cut.chunks, matrix / cut.heads, matrix % cut.heads, matrix};
}

// kByQuery: rows are queries and columns keys, else the other way round.
template <class T, int kRows, bool kByQuery>
struct AttendTile {
  static constexpr int kThreads = kRows / kAttendEach * kAttendLanes;
  static constexpr int kLine = kRows + 4, kOtherLine = kAttendColumns + 4;
  static constexpr int kSlices = kAttendSlice * (kLine + kOtherLine),
                       kMatrix = kAttendColumns * kOtherLine;
  struct Shared {
    PackedArray<T, kAttendColumns * kLine> weights;  // [column][row]
    PackedArray<T, (kSlices > kMatrix ? kSlices : kMatrix)> operands;
  };

  static __device__ int row() { return static_cast<int>(threadIdx.x) / kAttendLanes * kAttendEach; }
  static __device__ int column() {
    return static_cast<int>(threadIdx.x) % kAttendLanes * kAttendEach;
  }

  // Of a causal mask, for the positions of a row and a column.
  static __device__ bool sees(int64_t row, int64_t column) {
    return kByQuery ? column <= row : row <= column;
  }
  // The columns that rows from `row` on meet, in whole tiles.
  static __device__ int64_t begin(bool causal, int64_t row) {
    return causal && !kByQuery ? row / kAttendColumns * kAttendColumns : 0;
  }
  static __device__ int64_t end(bool causal, int64_t row, int64_t columns) {
    return causal && kByQuery && row + kRows < columns ? row + kRows : columns;
  }
  // Does the mask cut through a tile?
  static __device__ bool cuts(bool causal, int64_t row, int64_t column) {
    return causal &&
           !(kByQuery ? sees(row, column + kAttendColumns - 1) : sees(row + kRows - 1, column));
  }

  // terms [d0, d0 + kAttendSlice) of `count` rows of m, turned: to[d][row].
  template <int kCount, int kTo>
  static __device__ void load_slice(const AttendMatrix<T>& m, int64_t first, int64_t d0, T* to) {
    constexpr int kLanes = 16, kStep = kThreads / kLanes;
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    for (int r = static_cast<int>(threadIdx.x) / kLanes; r < kCount; r += kStep) {
      const T* const from = m.data + (first + r) * m.row;
#pragma unroll
      for (int d = lane; d < kAttendSlice; d += kLanes)
        to[d * kTo + r] = first + r < m.count && d0 + d < m.width ? from[d0 + d] : T(0);
    }
  }
  // Products of the rows of x from `row` on with the rows of y from `column` on.
  static __device__ void products(const AttendMatrix<T>& x, int64_t row0, const AttendMatrix<T>& y,
                                  int64_t column0, Shared& shared, AttendSums<T>& sums) {
    T *const xs = shared.operands.at, *const ys = xs + kAttendSlice * kLine;
    for (int64_t d0 = 0; d0 < x.width; d0 += kAttendSlice) {
      __syncthreads();  // the operands before have been used
      load_slice<kRows, kLine>(x, row0, d0, xs);
      load_slice<kAttendColumns, kOtherLine>(y, column0, d0, ys);
      __syncthreads();
      AttendSums<T> part = {};
#pragma unroll 4
      for (int d = 0; d < kAttendSlice; ++d) {
        T u[kAttendEach], v[kAttendEach];
        load_packs(u, xs + d * kLine + row());
        load_packs(v, ys + d * kOtherLine + column());
#pragma unroll
        for (int i = 0; i < kAttendEach; ++i)
#pragma unroll
          for (int j = 0; j < kAttendEach; ++j) part[i][j] = fma_fast(u[i], v[j], part[i][j]);
      }
      add(part, sums);
    }
  }
  static __device__ void add(const AttendSums<T>& from, AttendSums<T>& to) {
#pragma unroll
    for (int i = 0; i < kAttendEach; ++i)
#pragma unroll
      for (int j = 0; j < kAttendEach; ++j) to[i][j] += from[i][j];
  }

  static __device__ void store_weights(const AttendSums<T>& weights, Shared& shared) {
#pragma unroll
    for (int j = 0; j < kAttendEach; ++j) {
      T v[kAttendEach];
#pragma unroll
      for (int i = 0; i < kAttendEach; ++i) v[i] = weights[i][j];
      store_packs(shared.weights.at + (column() + j) * kLine + row(), v);
    }
  }

  // 64 rows of z from `first` on, 64 columns from `z0` on.
  static __device__ void load_matrix(const AttendMatrix<T>& z, int64_t first, int64_t z0,
                                     Shared& shared) {
    constexpr int kStep = kThreads / kAttendColumns;
    const int c = static_cast<int>(threadIdx.x) % kAttendColumns;
#pragma unroll 8
    for (int r = static_cast<int>(threadIdx.x) / kAttendColumns; r < kAttendColumns; r += kStep)
      shared.operands.at[r * kOtherLine + c] =
          first + r < z.count && z0 + c < z.width ? z.data[(first + r) * z.row + z0 + c] : T(0);
  }
  // Sums of the weights times z. What the mask hides is not even multiplied by 0, for it may be
  // infinite.
  template <bool kMasked>
  static __device__ void weigh(int64_t row0, int64_t column0, const Shared& shared,
                               AttendSums<T>& sums) {
    AttendSums<T> part = {};
#pragma unroll 4
    for (int c = 0; c < kAttendColumns; ++c) {
      T u[kAttendEach], v[kAttendEach];
      load_packs(u, shared.weights.at + c * kLine + row());
      load_packs(v, shared.operands.at + c * kOtherLine + column());
#pragma unroll
      for (int i = 0; i < kAttendEach; ++i) {
        if (kMasked && !sees(row0 + row() + i, column0 + c)) continue;
#pragma unroll
        for (int j = 0; j < kAttendEach; ++j) part[i][j] = fma_fast(u[i], v[j], part[i][j]);
      }
    }
    add(part, sums);
  }
  // sums[h] += the weights in shared memory, which the threads have just stored, times columns
  // z0 + 64 h ... of z.
  template <int kParts>
  static __device__ void weigh_all(const AttendMatrix<T>& z, int64_t z0, int64_t row0,
                                   int64_t column0, bool masked, Shared& shared,
                                   AttendSums<T> (&sums)[kParts]) {
#pragma unroll
    for (int h = 0; h < kParts; ++h) {
      const int64_t first = z0 + h * kAttendColumns;
      if (first >= z.width) break;
      __syncthreads();
      load_matrix(z, column0, first, shared);
      __syncthreads();
      if (masked) {
        weigh<true>(row0, column0, shared, sums[h]);
      } else {
        weigh<false>(row0, column0, shared, sums[h]);
      }
    }
  }

  // Row `i` of the thread's sums, times a factor, to a dense row of `width` elements.
  template <int kParts>
  static __device__ void write_row(const AttendSums<T> (&sums)[kParts], int i, T divisor,
                                   int64_t z0, int64_t width, T* to) {
#pragma unroll
    for (int h = 0; h < kParts; ++h)
#pragma unroll
      for (int j = 0; j < kAttendEach; ++j) {
        const int64_t c = z0 + h * kAttendColumns + column() + j;
        if (c < width) to[c] = sums[h][i][j] / divisor;
      }
  }
};

// Over the threads that share their rows; each gets the result.
template <class Op, class T>
__device__ inline T attend_reduce(T v) {
#pragma unroll
  for (int offset = kAttendLanes / 2; offset > 0; offset /= 2)
    v = Op::of(v, __shfl_xor_sync(kAllLanes, v, offset));
  return v;
}

// Calls f(rows, parts) with the sizes of a block's tile as constants.
template <class T, class F>
void with_attend_tile(int64_t rows, int64_t width, F f) {
  if constexpr (sizeof(T) == 4) {
    if (rows > 16) {
      if (width <= kAttendColumns)
        return f(std::integral_constant<int, 64>(), std::integral_constant<int, 1>());
      return f(std::integral_constant<int, 64>(), std::integral_constant<int, 2>());
    }
  }
  f(std::integral_constant<int, 16>(), std::integral_constant<int, 2>());
}
inline AttendCut attend_cut(int64_t rows, int rows_of_tile, int64_t width, int parts, int64_t heads,
                            const AttentionParams& p) {
  return {blocks_for(rows, rows_of_tile), blocks_for(width, parts * kAttendColumns),
          static_cast<uint32_t>(heads), p.causal ? 1u : 0u, p.scale};
}
inline uint32_t attend_blocks(const KernelContext& context, const AttendCut& cut,
                              int64_t matrices) {
  const int64_t n = int64_t{cut.tiles} * cut.chunks * matrices;
  if (n > kMostBlocks)
    throw Error("[" + std::string(context.op) + "] " + std::to_string(n) +
                " tiles, needed: at most 2^31 - 1");
  return static_cast<uint32_t>(n);
}

}  // namespace tinytorch::TT_KERNEL_NS
