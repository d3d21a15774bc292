// The rows layer_norm and layer_norm_grad over [M, N] (Ba, Kiros and Hinton, "Layer Normalization",
// 2016). A row is read from memory once and stays in cache for the passes after; its variance is
// taken about its mean. Sums over rows are made for some rows at a time, then for blocks of rows
// cut by shape, and blocks are added in order.
#include "kernels/cpu/norm.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// What rounding takes from the mean is put back: h = (x - centre) inverse + shift.
template <class T>
struct Standard {
  T centre, inverse, shift;
};

template <class T>
[[gnu::noinline]] void write_row(T* out, const T* x, const T* weight, const T* bias, int64_t n,
                                 const Standard<T>& row) {
  const T centre = row.centre, inverse = row.inverse, shift = row.shift;
  if (weight && bias) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i)
      out[i] = ((x[i] - centre) * inverse + shift) * weight[i] + bias[i];
  } else if (weight) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = ((x[i] - centre) * inverse + shift) * weight[i];
  } else if (bias) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - centre) * inverse + (shift + bias[i]);
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - centre) * inverse + shift;
  }
}

template <class T>
[[gnu::noinline]] Moments moments_of(const T* x, int64_t n) {
  return moments_of_runs(static_cast<double>(n), x[0], [&](auto f) { f(x, n); });
}

// ---- gradients. With t = g weight: gx = inverse t + of_h h + constant.

constexpr int64_t kMostRows = 8;                       // whose terms are added in T
constexpr int kTogether = 4;                           // rows whose sums stay in registers
constexpr int64_t kMostBlocks = 64, kLeastBlock = 16;  // kLeastBlock: rows

template <class T>
struct Slope {
  Standard<T> row;
  T of_h, constant;
};

template <class T>
struct GradJob {
  int64_t rows, n;
  const T *g, *x, *mean, *inverse_std, *weight;
  T *gx, *gw, *gb;

  TT_INLINE Vec<T> t(int64_t at, int64_t i) const {
    return weight ? load(g + at + i) * load(weight + i) : load(g + at + i);
  }
  TT_INLINE Vec<T> t(int64_t at, int64_t i, int64_t count) const {
    const Vec<T> part = load_part(g + at + i, count, Vec<T>{});
    return weight ? part * load_part(weight + i, count, Vec<T>{}) : part;
  }
};

template <class T>
[[gnu::noinline]] Slope<T> slope_of(const GradJob<T>& job, int64_t row) {
  using Sum = SumOf<T>;
  const int64_t n = job.n, at = row * n;
  const T* x = job.x + at;
  const Vec<T> centre = splat(job.mean[row]);
  typename Sum::Acc d, t, td;  // d = x - centre: its mean is what the mean lost by rounding
  accumulate_from<Sum>(
      d, n, [=](int64_t i) { return static_cast<Vec<T>>(load(x + i) - centre); },
      [=](int64_t i, int64_t k) {
        return static_cast<Vec<T>>(load_part(x + i, k, centre) - centre);
      });
  if (job.gx) {
    accumulate_from<Sum>(
        t, n, [&](int64_t i) { return job.t(at, i); },
        [&](int64_t i, int64_t k) { return job.t(at, i, k); });
    accumulate_from<Sum>(
        td, n,
        [&](int64_t i) { return static_cast<Vec<T>>(job.t(at, i) * (load(x + i) - centre)); },
        [&](int64_t i, int64_t k) {
          return static_cast<Vec<T>>(job.t(at, i, k) * (load_part(x + i, k, centre) - centre));
        });
  }
  const double count = static_cast<double>(n), inverse = static_cast<double>(job.inverse_std[row]);
  const double off = total<T>(d) / count, sum_t = total<T>(t);
  const double sum_th = (total<T>(td) - off * sum_t) * inverse;
  return {{job.mean[row], job.inverse_std[row], static_cast<T>(-off * inverse)},
          static_cast<T>(-inverse * sum_th / count),
          static_cast<T>(-inverse * sum_t / count)};
}

// Sums over rows, a column each: of some rows in T, of a block in parts of SumOf.
template <class T>
struct ColumnSums {
  T *gw, *gb;  // null: not wanted
};

// Columns [i, i + count) of kRows rows, the first of which begins at `at`; those that begin at
// `next` will be wanted soon.
template <int kRows, bool kWhole, class T>
TT_INLINE void grad_columns(const GradJob<T>& job, const Slope<T>* slopes,
                            const ColumnSums<T>& sums, int64_t at, int64_t next, int64_t i,
                            int64_t count) {
  const auto get = [count](const T* p, T rest) {
    if constexpr (kWhole) return load(p);
    return load_part(p, count, splat(rest));
  };
  const Vec<T> weight = job.weight ? get(job.weight + i, T(0)) : splat(T(1));
  Vec<T> gw = sums.gw ? load(sums.gw + i) : Vec<T>{}, gb = sums.gb ? load(sums.gb + i) : Vec<T>{};
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r, at += job.n, next += job.n) {
    const Slope<T>& s = slopes[r];
    __builtin_prefetch(job.g + next + i);
    __builtin_prefetch(job.x + next + i);
    const Vec<T> g = get(job.g + at + i, T(0));
    const Vec<T> h =
        (get(job.x + at + i, s.row.centre) - s.row.centre) * s.row.inverse + s.row.shift;
    gw += g * h;
    gb += g;
    if (!job.gx) continue;
    const Vec<T> gx = g * weight * s.row.inverse + (h * s.of_h + s.constant);
    kWhole ? store(job.gx + at + i, gx) : store_part(job.gx + at + i, count, gx);
  }
  if (sums.gw) store(sums.gw + i, gw);
  if (sums.gb) store(sums.gb + i, gb);
}

template <int kRows, class T>
[[gnu::noinline]] void grad_rows(const GradJob<T>& job, int64_t row, const ColumnSums<T>& sums) {
  Slope<T> slopes[kRows];
  for (int r = 0; r < kRows; ++r) slopes[r] = slope_of(job, row + r);
  const int64_t at = row * job.n, next = row + 2 * kRows <= job.rows ? at + kRows * job.n : at;
  int64_t i = 0;
  for (; i + kLanes<T> <= job.n; i += kLanes<T>)
    grad_columns<kRows, true>(job, slopes, sums, at, next, i, kLanes<T>);
  if (i < job.n) grad_columns<kRows, false>(job, slopes, sums, at, next, i, job.n - i);
}

// Puts sums of some rows into those of a block and clears them. `n` is a multiple of the lanes.
template <class T>
[[gnu::noinline]] void absorb_sums(double* block, T* some, int64_t n) {
  for (int64_t c = 0; c < n; c += kLanes<T>) {
    SumOf<T>::absorb(block + c, n, load(some + c));
    store(some + c, Vec<T>{});
  }
}

// out[c] = the sum of the blocks' sums of column c; blocks are `step` apart.
template <class T>
void add_blocks(KernelContext& ctx, T* out, int64_t n, double* sums, int64_t blocks, int64_t step,
                int64_t stride) {
  const int64_t strip = larger<int64_t>(kNormStrip, kRowTask / blocks);
  parallel_for(ctx, ceil_div(n, strip), [&](int64_t task) {
    const int64_t begin = task * strip, end = smaller(begin + strip, n);
    for (int64_t b = 1; b < blocks; ++b) {
      for (int64_t c = begin; c < end; ++c) SumOf<T>::merge(sums + c, sums + b * step + c, stride);
    }
    for (int64_t c = begin; c < end; ++c)
      out[c] = static_cast<T>(SumOf<T>::finish_double(sums + c, stride));
  });
}

template <class T>
void layer_norm_grad_of(KernelContext& ctx, const GradJob<T>& job) {
  const int64_t per_block = larger(ceil_div(job.rows, kMostBlocks),
                                   larger<int64_t>(kLeastBlock, kRowTask / job.n)),
                blocks = ceil_div(job.rows, per_block);
  // Of each block: one or two sums of all columns in parts of SumOf, then the same in T.
  const int64_t columns = ceil_div(job.n, int64_t{kLanes<T>}) * kLanes<T>,
                size = columns * SumOf<T>::kParts,
                wanted = (job.gw != nullptr) + (job.gb != nullptr),
                step = wanted * (size + columns);
  Workspace memory(ctx, static_cast<size_t>(blocks * step) * sizeof(double));
  double* sums = memory.as<double>();
  parallel_for(ctx, blocks, [&](int64_t b) {
    double* own = sums + b * step;
    for (int64_t i = 0; i < step; ++i) own[i] = 0;
    T* some = reinterpret_cast<T*>(own + wanted * size);
    const ColumnSums<T> of_rows = {job.gw ? some : nullptr,
                                   job.gb ? some + (wanted - 1) * columns : nullptr};
    const int64_t end = smaller((b + 1) * per_block, job.rows);
    for (int64_t r = b * per_block; r < end; r += kMostRows) {
      const int64_t last = smaller(r + kMostRows, end);
      int64_t k = r;
      for (; k + kTogether <= last; k += kTogether) grad_rows<kTogether>(job, k, of_rows);
      for (; k < last; ++k) grad_rows<1>(job, k, of_rows);
      for (int64_t i = 0; i < wanted; ++i) absorb_sums(own + i * size, some + i * columns, columns);
    }
  });
  if (job.gw) add_blocks(ctx, job.gw, job.n, sums, blocks, step, columns);
  if (job.gb) add_blocks(ctx, job.gb, job.n, sums + (wanted - 1) * size, blocks, step, columns);
}

}  // namespace

void layer_norm(KernelContext& ctx, const View& out, const View& mean, const View& inverse_std,
                const View& x, const View* weight, const View* bias, const LayerNormParams& p) {
  if (x.numel == 0) return;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const int64_t n = x.shape[1];
    for_row_groups(ctx, x.shape[0], n, [&](int64_t first, int64_t rows) {
      for (int64_t r = first; r < first + rows; ++r) {
        const T* row = x.as<const T>() + r * n;
        const Moments m = moments_of(row, n);
        const double inverse = 1 / sqrt_of(m.squares / m.count + p.eps);
        const T centre = static_cast<T>(m.mean);
        mean.as<T>()[r] = centre;
        inverse_std.as<T>()[r] = static_cast<T>(inverse);
        write_row(out.as<T>() + r * n, row, weight ? weight->as<const T>() : nullptr,
                  bias ? bias->as<const T>() : nullptr, n,
                  Standard<T>{centre, static_cast<T>(inverse),
                              static_cast<T>((static_cast<double>(centre) - m.mean) * inverse)});
      }
    });
  });
}

void layer_norm_grad(KernelContext& ctx, const View* gx, const View* gw, const View* gb,
                     const View& g, const View& x, const View& mean, const View& inverse_std,
                     const View* weight) {
  if (x.numel == 0) return;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    layer_norm_grad_of(
        ctx, GradJob<T>{x.shape[0], x.shape[1], g.as<const T>(), x.as<const T>(),
                        mean.as<const T>(), inverse_std.as<const T>(),
                        weight ? weight->as<const T>() : nullptr, gx ? gx->as<T>() : nullptr,
                        gw ? gw->as<T>() : nullptr, gb ? gb->as<T>() : nullptr});
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
