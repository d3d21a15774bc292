// The rows softmax and softmax_grad over [outer, n, inner]. Dense rows (inner 1) that fit into
// registers are read once; other lines are read twice, first for their sums.
#include "kernels/common/dispatch.h"
#include "kernels/cuda/device/lines.cuh"
#include "kernels/cuda/device/rows.cuh"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/softmax.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int kPacks = 8, kGradPacks = 4;  // that a thread holds of a row

template <class T, int kN>
__global__ void __launch_bounds__(kRowBlock)
    softmax_rows_kernel(T* out, const T* in, bool log, const RowSet set) {
  using Row = HeldRow<T, kN, kPacks * kPack<T> / kN>;
  TT_SHARED(T, tops, kRowBlock / kWarp);
  TT_SHARED(Sum<T>, sums, kRowBlock / kWarp);
  const Seat seat = seat_of(set);
  Row x;
  x.load(in + seat.row * set.n, set, seat);
  T top = -kInfinity<T>;
  Row::each(set, seat, [&](int, int k, int i) { top = MaxOf::of(top, x.at[k][i]); });
  join_row<TakeMax>(top, set, tops);
  Sum<T> sum{};
  Row::each(set, seat, [&](int, int k, int i) {
    const T shifted = x.at[k][i] - top, e = exp_of(shifted);
    sum.add(static_cast<double>(e));
    x.at[k][i] = log ? shifted : e;
  });
  join_row<AddParts>(sum, set, sums);
  if (log) {
    const T shift = static_cast<T>(log_of(sum.value()));
    Row::each(set, seat, [&](int, int k, int i) { x.at[k][i] -= shift; });
  } else {
    const T scale = static_cast<T>(1 / sum.value());
    Row::each(set, seat, [&](int, int k, int i) { x.at[k][i] *= scale; });
  }
  x.store(out + seat.row * set.n, set, seat);
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowBlock)
    softmax_grad_rows_kernel(T* out, const T* g, const T* y, bool log, const RowSet set) {
  using Row = HeldRow<T, kN, kGradPacks * kPack<T> / kN>;
  TT_SHARED(Sum<T>, sums, kRowBlock / kWarp);
  const Seat seat = seat_of(set);
  Row a, b;
  a.load(g + seat.row * set.n, set, seat);
  b.load(y + seat.row * set.n, set, seat);
  Sum<T> sum{};
  Row::each(set, seat, [&](int, int k, int i) {
    const double gradient = static_cast<double>(a.at[k][i]);
    log ? sum.add(gradient) : sum.add_product(gradient, static_cast<double>(b.at[k][i]));
  });
  join_row<AddParts>(sum, set, sums);
  const T total = static_cast<T>(sum.value());
  Row::each(set, seat, [&](int, int k, int i) {
    const T x = a.at[k][i], v = b.at[k][i];
    a.at[k][i] = log ? x - exp_of(v) * total : v * (x - total);
  });
  a.store(out + seat.row * set.n, set, seat);
}

// ---- other lines

// What every element of a line is shifted by, and then, after exp or without it, scaled or shifted.
template <class T>
struct Line {
  T top, rest;
};

template <class T>
struct LineSumOp : OneInput<T, ExpSum<T>> {
  Line<T>* lines;
  bool log;
  __device__ void finish(const Place& at, const Nothing&, const ExpSum<T>& p) const {
    const double sum = p.total();
    lines[at.out] = {static_cast<T>(p.top), static_cast<T>(log ? log_of(sum) : 1 / sum)};
  }
};

template <class T>
struct SoftmaxMap {
  using Element = T;
  using Row = Line<T>;
  static constexpr int kInputs = 1;
  const T* in[1];
  T* out;
  const Line<T>* lines;
  bool log;

  __device__ Row row(int64_t line, int64_t) const { return lines[line]; }
  __device__ T value(const Row& f, const T (&x)[1], int64_t, int64_t) const {
    const T shifted = x[0] - f.top;
    return log ? shifted - f.rest : exp_of(shifted) * f.rest;
  }
};

template <class T>
struct LineDotOp {
  using Element = T;
  using Part = Sum<T>;
  using Local = Nothing;
  static constexpr int kInputs = 2;
  const T* in[2];  // g, y
  T* sums;
  bool log;

  __device__ Local local(const Place&) const { return {}; }
  __device__ static Part start() { return {}; }
  template <int kN>
  __device__ void add(Part& p, const Local&, const Values<T, 2, kN>& v, int64_t) const {
    if (log) return add_all(p, v.at[0]);
    for (int i = 0; i < kN; ++i)
      p.add_product(static_cast<double>(v.at[0][i]), static_cast<double>(v.at[1][i]));
  }
  __device__ static void join(Part& a, const Part& b) { a.join(b); }
  __device__ void finish(const Place& at, const Local&, const Part& p) const {
    sums[at.out] = static_cast<T>(p.value());
  }
};

template <class T>
struct SoftmaxGradMap {
  using Element = T;
  using Row = T;  // the line's sum
  static constexpr int kInputs = 2;
  const T* in[2];  // g, y
  T* out;
  const T* sums;
  bool log;

  __device__ Row row(int64_t line, int64_t) const { return sums[line]; }
  __device__ T value(const Row& sum, const T (&v)[2], int64_t, int64_t) const {
    return log ? v[0] - exp_of(v[1]) * sum : v[1] * (v[0] - sum);
  }
};

template <class T>
void softmax_of(KernelContext& ctx, T* out, const T* in, const View& v, bool log) {
  const int64_t outer = v.shape[0], n = v.shape[1], inner = v.shape[2];
  if (inner == 1 && can_hold<T, kPacks>(n)) {
    return with_rows<T, kPacks>(outer, n, aligned16(out) && aligned16(in),
                                [&](auto number, const RowSet& set, Dim3 grid, Dim3 block) {
                                  constexpr int kN = decltype(number)::value;
                                  launch(softmax_rows_kernel<T, kN>, grid, block, 0, ctx, out, in,
                                         log, set);
                                });
  }
  const Workspace memory(ctx, static_cast<size_t>(outer * inner) * sizeof(Line<T>));
  Line<T>* lines = memory.as<Line<T>>();
  run_reduction(ctx, LineSumOp<T>{{{in}}, lines, log}, plan_lines(outer, n, inner));
  map_lines(ctx, SoftmaxMap<T>{{in}, out, lines, log}, lines_along(outer, n, inner));
}

template <class T>
void softmax_grad_of(KernelContext& ctx, T* out, const T* g, const T* y, const View& v, bool log) {
  const int64_t outer = v.shape[0], n = v.shape[1], inner = v.shape[2];
  if (inner == 1 && can_hold<T, kGradPacks>(n)) {
    return with_rows<T, kGradPacks>(outer, n, aligned16(out) && aligned16(g) && aligned16(y),
                                    [&](auto number, const RowSet& set, Dim3 grid, Dim3 block) {
                                      constexpr int kN = decltype(number)::value;
                                      launch(softmax_grad_rows_kernel<T, kN>, grid, block, 0, ctx,
                                             out, g, y, log, set);
                                    });
  }
  const Workspace memory(ctx, static_cast<size_t>(outer * inner) * sizeof(T));
  T* sums = memory.as<T>();
  run_reduction(ctx, LineDotOp<T>{{g, y}, sums, log}, plan_lines(outer, n, inner));
  map_lines(ctx, SoftmaxGradMap<T>{{g, y}, out, sums, log}, lines_along(outer, n, inner));
}

}  // namespace

void softmax(KernelContext& ctx, const View& out, const View& in, bool log) {
  if (out.numel == 0) return;
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    softmax_of(ctx, out.as<T>(), in.as<const T>(), in, log);
  });
}

void softmax_grad(KernelContext& ctx, const View& out, const View& g, const View& y, bool log) {
  if (out.numel == 0) return;
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    softmax_grad_of(ctx, out.as<T>(), g.as<const T>(), y.as<const T>(), y, log);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
