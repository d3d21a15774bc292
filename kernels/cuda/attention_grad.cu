// The row attention_grad. Weights are made again from the products and the logarithms that the
// forward pass left. With the weights w and t = g v^T, the products' gradient is scale w (t - m)
// with m = sum(w t) of each query: one launch for m, one for each gradient that is wanted.
#include "kernels/cuda/attention_tile.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

enum class Wanted { mean, query, key, value };

// x and y give the products, as rows and columns, g and v (in the same order) t; z is what the
// weights are multiplied with.
template <class T>
struct GradMatrices {
  AttendView<T> x, y, xt, yt, z;
};

template <class T, int kRows, Wanted kWanted>
struct GradTile : AttendTile<T, kRows, kWanted == Wanted::mean || kWanted == Wanted::query> {
  static constexpr bool kByQuery = kWanted == Wanted::mean || kWanted == Wanted::query;
  using Base = AttendTile<T, kRows, kByQuery>;

  // Weights of a tile, or what becomes of them: w t, or the gradient of the products. log_sum_exp
  // and mean are those of the matrix's queries.
  static __device__ void weights(const AttendCut& cut, int64_t row0, int64_t column0, int64_t rows,
                                 int64_t columns, const T* log_sum_exp, const T* mean,
                                 const AttendSums<T>& t, AttendSums<T>& w) {
    const T scale = static_cast<T>(cut.scale);
#pragma unroll
    for (int i = 0; i < kAttendEach; ++i)
#pragma unroll
      for (int j = 0; j < kAttendEach; ++j) {
        const int64_t row = row0 + Base::row() + i, column = column0 + Base::column() + j,
                      query = kByQuery ? row : column;
        if (row >= rows || column >= columns || (cut.causal && !Base::sees(row, column))) {
          w[i][j] = T(0);
          continue;
        }
        const T weight = exp_of(w[i][j] * scale - log_sum_exp[query]);
        if constexpr (kWanted == Wanted::value) {
          w[i][j] = weight;
        } else if constexpr (kWanted == Wanted::mean) {
          w[i][j] = weight * t[i][j];
        } else {
          w[i][j] = weight * (t[i][j] - mean[query]) * scale;
        }
      }
  }
};

template <class T, int kRows, int kParts, Wanted kWanted>
__global__ void __launch_bounds__(GradTile<T, kRows, kWanted>::kThreads, sizeof(T) == 4 ? 2 : 1)
    attention_grad_kernel(AttendCut cut, GradMatrices<T> m, const T* log_sum_exp, const T* mean,
                          T* out) {
  using Tile = GradTile<T, kRows, kWanted>;
  TT_SHARED(typename Tile::Shared, shared, 1);
  const AttendBlock block = attend_block<kRows>(cut);
  const AttendMatrix<T> x = m.x.matrix(block.batch, block.head),
                        y = m.y.matrix(block.batch, block.head),
                        xt = m.xt.matrix(block.batch, block.head),
                        yt = m.yt.matrix(block.batch, block.head),
                        z = m.z.matrix(block.batch, block.head);
  const int64_t row0 = block.first_row, end = Tile::end(cut.causal, row0, y.count),
                queries = block.matrix * (Tile::kByQuery ? x.count : y.count);
  const int64_t z0 = int64_t{block.chunk} * kParts * kAttendColumns;
  AttendSums<T> sums[kParts] = {};
  for (int64_t column0 = Tile::begin(cut.causal, row0); column0 < end; column0 += kAttendColumns) {
    AttendSums<T> w = {}, t = {};
    Tile::products(x, row0, y, column0, shared[0], w);
    if constexpr (kWanted != Wanted::value) Tile::products(xt, row0, yt, column0, shared[0], t);
    Tile::weights(cut, row0, column0, x.count, y.count, log_sum_exp + queries, mean + queries, t,
                  w);
    if constexpr (kWanted == Wanted::mean) {
#pragma unroll
      for (int i = 0; i < kAttendEach; ++i)
        sums[0][i][0] += (w[i][0] + w[i][1]) + (w[i][2] + w[i][3]);
    } else {
      Tile::store_weights(w, shared[0]);
      Tile::weigh_all(z, z0, row0, column0, Tile::cuts(cut.causal, row0, column0), shared[0], sums);
    }
  }
#pragma unroll
  for (int i = 0; i < kAttendEach; ++i) {
    const int64_t row = row0 + Tile::row() + i, at = block.matrix * x.count + row;
    if constexpr (kWanted == Wanted::mean) {
      const T total = attend_reduce<SumOf>(sums[0][i][0]);
      if (row < x.count && Tile::column() == 0) out[at] = total;
    } else if (row < x.count) {
      Tile::write_row(sums, i, T(1), z0, z.width, out + at * z.width);
    }
  }
}

// What all launches of one gradient share.
template <class T>
struct Gradient {
  KernelContext& context;
  int64_t matrices, heads;
  const T* log_sum_exp;
  const AttentionParams& p;

  template <Wanted kWanted>
  void run(const GradMatrices<T>& m, const T* mean, T* out) const {
    const int64_t width = kWanted == Wanted::mean ? 1 : m.z.width;
    with_attend_tile<T>(m.x.count, width, [&](auto rows, auto columns) {
      constexpr int parts = kWanted == Wanted::mean ? 1 : columns;
      const AttendCut cut = attend_cut(m.x.count, rows, width, parts, heads, p);
      cuda::launch(attention_grad_kernel<T, rows, parts, kWanted>,
                   {attend_blocks(context, cut, matrices)}, {GradTile<T, rows, kWanted>::kThreads},
                   0, context, cut, m, log_sum_exp, mean, out);
    });
  }
};

template <class T>
void gradients(KernelContext& context, const View* gq, const View* gk, const View* gv,
               const View& gradient, const View& qs, const View& ks, const View* vs,
               const View& log_sum_exp, const AttentionParams& p) {
  const AttendView<T> g = attend_view<T>(gradient), q = attend_view<T>(qs), k = attend_view<T>(ks);
  const Gradient<T> all{context, qs.shape[0] * qs.shape[1], qs.shape[1], log_sum_exp.as<T>(), p};
  if (gv) all.template run<Wanted::value>({k, q, k, q, g}, nullptr, gv->as<T>());
  if (!gq && !gk) return;
  const AttendView<T> v = attend_view<T>(*vs);
  Workspace mean(context, static_cast<size_t>(log_sum_exp.numel) * sizeof(T));
  all.template run<Wanted::mean>({q, k, g, v, k}, nullptr, mean.as<T>());
  if (gq) all.template run<Wanted::query>({q, k, g, v, k}, mean.as<T>(), gq->as<T>());
  if (gk) all.template run<Wanted::key>({k, q, v, g, q}, mean.as<T>(), gk->as<T>());
}

}  // namespace

void attention_grad(KernelContext& context, const View* gq, const View* gk, const View* gv,
                    const View& g, const View& q, const View& k, const View* v,
                    const View& log_sum_exp, const AttentionParams& p) {
  with_float(g.dtype, [&](auto tag) {
    gradients<typename decltype(tag)::Type>(context, gq, gk, gv, g, q, k, v, log_sum_exp, p);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
