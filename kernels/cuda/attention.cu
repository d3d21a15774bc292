// The row attention: a block of queries meets the keys tile by tile, keeping for each row the
// largest product so far and the sum of the weights relative to it, so that no row of products is
// ever in memory.
#include "kernels/cuda/attention_tile.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// The softmax of a thread's rows so far.
template <class T>
struct RunningRows {
  T top[kAttendEach], sum[kAttendEach];

  __device__ RunningRows() {
#pragma unroll
    for (int i = 0; i < kAttendEach; ++i) {
      top[i] = -kInfinity<T>;
      sum[i] = T(0);
    }
  }
  // Products of row i, -infinity where the mask hides them, become weights. Returns what sums of
  // former weights are to be multiplied with.
  __device__ T take(int i, T (&products)[kAttendEach]) {
    T high = products[0];
#pragma unroll
    for (int j = 1; j < kAttendEach; ++j) high = MaxOf::of(high, products[j]);
    high = MaxOf::of(top[i], attend_reduce<MaxOf>(high));
    const T shift = high == -kInfinity<T> ? T(0) : high;  // no product yet: weights 0
    T total = T(0);
#pragma unroll
    for (int j = 0; j < kAttendEach; ++j) total += products[j] = exp_of(products[j] - shift);
    const T factor = exp_of(top[i] - shift);
    sum[i] = fma_fast(sum[i], factor, attend_reduce<SumOf>(total));
    top[i] = high;
    return factor;
  }
};

template <class T, int kRows, int kParts>
__global__ void __launch_bounds__(AttendTile<T, kRows, true>::kThreads)
    attention_forward_kernel(AttendCut cut, AttendView<T> qs, AttendView<T> ks, AttendView<T> vs,
                             T* out, T* log_sum_exp) {
  using Tile = AttendTile<T, kRows, true>;
  TT_SHARED(typename Tile::Shared, shared, 1);
  const AttendBlock block = attend_block<kRows>(cut);
  const AttendMatrix<T> q = qs.matrix(block.batch, block.head),
                        k = ks.matrix(block.batch, block.head),
                        v = vs.matrix(block.batch, block.head);
  const int64_t row0 = block.first_row, end = Tile::end(cut.causal, row0, k.count);
  const int64_t z0 = int64_t{block.chunk} * kParts * kAttendColumns;
  const T scale = static_cast<T>(cut.scale);
  RunningRows<T> rows;
  AttendSums<T> sums[kParts] = {};
  for (int64_t column0 = 0; column0 < end; column0 += kAttendColumns) {
    AttendSums<T> weights = {};
    Tile::products(q, row0, k, column0, shared[0], weights);
#pragma unroll
    for (int i = 0; i < kAttendEach; ++i) {
#pragma unroll
      for (int j = 0; j < kAttendEach; ++j) {
        const int64_t column = column0 + Tile::column() + j;
        const bool seen =
            column < k.count && (!cut.causal || Tile::sees(row0 + Tile::row() + i, column));
        weights[i][j] = seen ? weights[i][j] * scale : -kInfinity<T>;
      }
      const T factor = rows.take(i, weights[i]);
#pragma unroll
      for (int h = 0; h < kParts; ++h)
#pragma unroll
        for (int j = 0; j < kAttendEach; ++j) sums[h][i][j] *= factor;
    }
    Tile::store_weights(weights, shared[0]);
    Tile::weigh_all(v, z0, row0, column0, Tile::cuts(cut.causal, row0, column0), shared[0], sums);
  }
#pragma unroll
  for (int i = 0; i < kAttendEach; ++i) {
    const int64_t row = row0 + Tile::row() + i;
    if (row >= q.count) return;
    const int64_t at = block.matrix * q.count + row;
    Tile::write_row(sums, i, rows.sum[i], z0, v.width, out + at * v.width);
    if (Tile::column() == 0 && block.chunk == 0)
      log_sum_exp[at] = rows.top[i] + log_of(rows.sum[i]);
  }
}

}  // namespace

void attention(KernelContext& context, const View& out, const View& log_sum_exp, const View& q,
               const View& k, const View& v, const AttentionParams& p) {
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    with_attend_tile<T>(q.shape[2], v.shape[3], [&](auto rows, auto parts) {
      const AttendCut cut = attend_cut(q.shape[2], rows, v.shape[3], parts, q.shape[1], p);
      const int64_t matrices = q.shape[0] * q.shape[1];
      cuda::launch(attention_forward_kernel<T, rows, parts>,
                   {attend_blocks(context, cut, matrices)}, {AttendTile<T, rows, true>::kThreads},
                   0, context, cut, attend_view<T>(q), attend_view<T>(k), attend_view<T>(v),
                   out.as<T>(), log_sum_exp.as<T>());
    });
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
