// The rows layer_norm and layer_norm_grad over [M, N] (Ba, Kiros and Hinton, "Layer Normalization",
// 2016). Rows that fit into registers are read once; longer ones twice, first for their sums. The
// sums over rows, gw and gb, are a pass of their own.
#include "kernels/cuda/device/lines.cuh"
#include "kernels/cuda/device/rows.cuh"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/moments.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int kPacks = 8, kGradPacks = 4;  // that a thread holds of a row

// ---- forward

template <class T>
struct Forward {
  T *out, *mean, *inverse_std;
  const T *x, *weight, *bias;  // weight and bias may be null
  double eps;
};

template <class T>
struct JoinMoments {
  __device__ static void join(Moments<T>& a, const Moments<T>& b) { Moments<T>::join(a, b); }
};

template <class T>
__device__ inline T normalised(const Affine<T>& f, T x, const T* weight, const T* bias,
                               int64_t column) {
  const T h = fma_fast(x - f.centre, f.scale, f.offset);
  const T y = weight ? h * weight[column] : h;
  return bias ? y + bias[column] : y;
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowBlock)
    layer_norm_rows_kernel(const Forward<T> f, const RowSet set) {
  using Row = HeldRow<T, kN, kPacks * kPack<T> / kN>;
  TT_SHARED(Moments<T>, shared, kRowBlock / kWarp);
  const Seat seat = seat_of(set);
  const T* from = f.x + seat.row * set.n;
  Row x;
  x.load(from, set, seat);
  const T shift = shift_of(from[0]);
  Moments<T> m{};
  Row::each(set, seat, [&](int, int k, int i) { m.add(x.at[k][i], shift); });
  join_row<JoinMoments<T>>(m, set, shared);
  const Spread spread = m.of(shift, set.n);
  const double inverse = 1 / sqrt_of(spread.squares / set.n + f.eps);
  const Affine<T> affine = affine_of<T>(spread, inverse, 1, 0);
  if (seat.live && seat.thread == 0) {
    f.mean[seat.row] = affine.centre;
    f.inverse_std[seat.row] = affine.scale;
  }
  Row::each(set, seat, [&](int column, int k, int i) {
    x.at[k][i] = normalised(affine, x.at[k][i], f.weight, f.bias, column);
  });
  x.store(f.out + seat.row * set.n, set, seat);
}

template <class T>
struct LayerNormMap {
  using Element = T;
  using Row = Affine<T>;
  static constexpr int kInputs = 1;
  const T* in[1];
  T* out;
  const Affine<T>* affine;
  const T *weight, *bias;
  int64_t n;

  __device__ Row row(int64_t line, int64_t) const { return affine[line]; }
  __device__ T value(const Row& f, const T (&x)[1], int64_t element, int64_t line) const {
    return normalised(f, x[0], weight, bias, element - line * n);
  }
};

template <class T>
void forward_of_long_rows(KernelContext& ctx, const Forward<T>& f, int64_t rows, int64_t n) {
  const Workspace memory(ctx, static_cast<size_t>(rows) * sizeof(Affine<T>));
  MomentsOp<T> op{};
  op.in[0] = f.x;
  op.count = static_cast<double>(n);
  op.mean = f.mean;
  op.inverse_std = f.inverse_std;
  op.affine = memory.as<Affine<T>>();
  op.eps = f.eps;
  reduce_moments(ctx, op, plan_lines(rows, n, 1));
  map_lines(ctx, LayerNormMap<T>{{f.x}, f.out, op.affine, f.weight, f.bias, n},
            lines_along(rows, n, 1));
}

// ---- gradients. With h = (x - centre) inverse + shift, t = g weight: gx = inverse t + of_h h +
// constant.

template <class T>
struct Standard {
  T centre, inverse, shift;
  TT_HD T operator()(T x) const { return fma_fast(x - centre, inverse, shift); }
};
template <class T>
struct Slope {
  Standard<T> row;
  T of_h, constant;
  TT_HD T operator()(T t, T x) const {
    return fma_fast(t, row.inverse, fma_fast(row(x), of_h, constant));
  }
};

// Along a row, with d = x - centre, whose mean is what the mean lost by rounding.
template <class T>
struct RowSums {
  Sum<T> d, t, td;
  TT_HD void add(T gradient, T distance) {
    d.add(static_cast<double>(distance));
    t.add(static_cast<double>(gradient));
    td.add_product(static_cast<double>(gradient), static_cast<double>(distance));
  }
  TT_HD void join(const RowSums& b) {
    d.join(b.d);
    t.join(b.t);
    td.join(b.td);
  }
  TT_HD Slope<T> slope(T mean, T inverse_std, double n) const {
    const double inverse = static_cast<double>(inverse_std), off = d.value() / n;
    const double of_th = (td.value() - off * t.value()) * inverse;
    return {{mean, inverse_std, static_cast<T>(-off * inverse)},
            static_cast<T>(-inverse * of_th / n),
            static_cast<T>(-inverse * t.value() / n)};
  }
};

template <class T>
struct Backward {
  T* gx;  // may be null
  const T *g, *x, *mean, *inverse_std, *weight;
  Slope<T>* slopes;  // of every row
};

template <class T, int kN>
__global__ void __launch_bounds__(kRowBlock)
    layer_norm_grad_rows_kernel(const Backward<T> b, const RowSet set) {
  using Row = HeldRow<T, kN, kGradPacks * kPack<T> / kN>;
  TT_SHARED(RowSums<T>, shared, kRowBlock / kWarp);
  const Seat seat = seat_of(set);
  Row t, x;
  t.load(b.g + seat.row * set.n, set, seat);
  x.load(b.x + seat.row * set.n, set, seat);
  const T centre = b.mean[seat.row];
  RowSums<T> sums{};
  Row::each(set, seat, [&](int column, int k, int i) {
    if (b.weight) t.at[k][i] *= b.weight[column];
    sums.add(t.at[k][i], x.at[k][i] - centre);
  });
  join_row<AddParts>(sums, set, shared);
  const Slope<T> slope = sums.slope(centre, b.inverse_std[seat.row], set.n);
  if (seat.live && seat.thread == 0) b.slopes[seat.row] = slope;
  if (!b.gx) return;
  Row::each(set, seat, [&](int, int k, int i) { t.at[k][i] = slope(t.at[k][i], x.at[k][i]); });
  t.store(b.gx + seat.row * set.n, set, seat);
}

template <class T>
struct RowSumsOp {
  using Element = T;
  using Part = RowSums<T>;
  using Local = T;  // the mean
  static constexpr int kInputs = 2;
  const T* in[2];  // g, x
  Backward<T> b;
  int64_t n;

  __device__ Local local(const Place& at) const { return b.mean[at.out]; }
  __device__ static Part start() { return {}; }
  template <int kN>
  __device__ void add(Part& p, const Local& centre, const Values<T, 2, kN>& v, int64_t j) const {
    for (int i = 0; i < kN; ++i) {
      const T t = b.weight ? v.at[0][i] * b.weight[j + i] : v.at[0][i];
      p.add(t, v.at[1][i] - centre);
    }
  }
  __device__ static void join(Part& a, const Part& other) { a.join(other); }
  __device__ void finish(const Place& at, const Local& centre, const Part& p) const {
    b.slopes[at.out] = p.slope(centre, b.inverse_std[at.out], static_cast<double>(n));
  }
};

template <class T>
struct LayerGradMap {
  using Element = T;
  using Row = Slope<T>;
  static constexpr int kInputs = 2;
  const T* in[2];  // g, x
  T* out;
  const Slope<T>* slopes;
  const T* weight;
  int64_t n;

  __device__ Row row(int64_t line, int64_t) const { return slopes[line]; }
  __device__ T value(const Row& f, const T (&v)[2], int64_t element, int64_t line) const {
    return f(weight ? v[0] * weight[element - line * n] : v[0], v[1]);
  }
};

// Over the rows: gw = sum(g h), gb = sum(g).
template <class T>
struct ColumnSums {
  Sum<T> gh, g;
};
template <class T>
struct ColumnSumsOp {
  using Element = T;
  using Part = ColumnSums<T>;
  using Local = Nothing;
  static constexpr int kInputs = 2;
  const T* in[2];  // g, x
  const Slope<T>* slopes;
  T *gw, *gb;  // may be null

  __device__ Local local(const Place&) const { return {}; }
  __device__ static Part start() { return {}; }
  template <int kN>
  __device__ void add(Part& p, const Local&, const Values<T, 2, kN>& v, int64_t j) const {
    add_all(p.g, v.at[0]);
    for (int i = 0; i < kN; ++i) {
      p.gh.add_product(static_cast<double>(v.at[0][i]),
                       static_cast<double>(slopes[j + i].row(v.at[1][i])));
    }
  }
  __device__ static void join(Part& a, const Part& b) {
    a.gh.join(b.gh);
    a.g.join(b.g);
  }
  __device__ void finish(const Place& at, const Local&, const Part& p) const {
    if (gw) gw[at.out] = static_cast<T>(p.gh.value());
    if (gb) gb[at.out] = static_cast<T>(p.g.value());
  }
};

template <class T>
void backward_of_rows(KernelContext& ctx, const Backward<T>& b, int64_t rows, int64_t n) {
  if (can_hold<T, kGradPacks>(n)) {
    const bool aligned = aligned16(b.gx) && aligned16(b.g) && aligned16(b.x);
    return with_rows<T, kGradPacks>(
        rows, n, aligned, [&](auto number, const RowSet& set, Dim3 grid, Dim3 block) {
          constexpr int kN = decltype(number)::value;
          launch(layer_norm_grad_rows_kernel<T, kN>, grid, block, 0, ctx, b, set);
        });
  }
  run_reduction(ctx, RowSumsOp<T>{{b.g, b.x}, b, n}, plan_lines(rows, n, 1));
  if (!b.gx) return;
  map_lines(ctx, LayerGradMap<T>{{b.g, b.x}, b.gx, b.slopes, b.weight, n}, lines_along(rows, n, 1));
}

}  // namespace

void layer_norm(KernelContext& ctx, const View& out, const View& mean, const View& inverse_std,
                const View& x, const View* weight, const View* bias, const LayerNormParams& p) {
  if (x.numel == 0) return;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const int64_t rows = x.shape[0], n = x.shape[1];
    const Forward<T> f{out.as<T>(),
                       mean.as<T>(),
                       inverse_std.as<T>(),
                       x.as<const T>(),
                       weight ? weight->as<const T>() : nullptr,
                       bias ? bias->as<const T>() : nullptr,
                       p.eps};
    if (!can_hold<T, kPacks>(n)) return forward_of_long_rows(ctx, f, rows, n);
    with_rows<T, kPacks>(rows, n, aligned16(f.out) && aligned16(f.x),
                         [&](auto number, const RowSet& set, Dim3 grid, Dim3 block) {
                           constexpr int kN = decltype(number)::value;
                           launch(layer_norm_rows_kernel<T, kN>, grid, block, 0, ctx, f, set);
                         });
  });
}

void layer_norm_grad(KernelContext& ctx, const View* gx, const View* gw, const View* gb,
                     const View& g, const View& x, const View& mean, const View& inverse_std,
                     const View* weight) {
  if (x.numel == 0) return;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const int64_t rows = x.shape[0], n = x.shape[1];
    const Workspace memory(ctx, static_cast<size_t>(rows) * sizeof(Slope<T>));
    const Backward<T> b{gx ? gx->as<T>() : nullptr,
                        g.as<const T>(),
                        x.as<const T>(),
                        mean.as<const T>(),
                        inverse_std.as<const T>(),
                        weight ? weight->as<const T>() : nullptr,
                        memory.as<Slope<T>>()};
    backward_of_rows(ctx, b, rows, n);
    if (!gw && !gb) return;
    const ColumnSumsOp<T> op{
        {b.g, b.x}, b.slopes, gw ? gw->as<T>() : nullptr, gb ? gb->as<T>() : nullptr};
    run_reduction(ctx, op, plan_lines(1, rows, n));
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
