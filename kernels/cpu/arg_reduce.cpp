// The row arg_reduce over [outer, n, inner]. Along dense rows the extreme is found first and then
// looked for, since both are plain vector loops; otherwise columns are compared with the best so
// far.
#include "kernels/common/dispatch.h"
#include "kernels/cpu/reduce_impl.h"
#include "kernels/cpu/rows.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kTask = 32 << 10;  // elements
constexpr int64_t kStrip = 64;       // columns at a time

// The first i < n with x[i] == value, or the first NaN if value is one. There is such an i.
template <class T>
[[gnu::noinline]] int64_t first_equal(const T* x, int64_t n, T value) {
  constexpr int64_t kPiece = 4 * kLanes<T>;
  const bool nan = value != value;
  int64_t i = 0;
  for (; i + kPiece <= n; i += kPiece) {
    int hits = 0;
    for (int64_t k = i; k < i + kPiece; ++k) hits |= nan ? x[k] != x[k] : x[k] == value;
    if (hits) break;
  }
  while (i < n - 1 && !(nan ? x[i] != x[i] : x[i] == value)) ++i;
  return i;
}

// Columns [0, width): best value and its place, for rows `inner` apart.
template <class T, bool kMax>
[[gnu::noinline]] void arg_of_strip(int64_t* at, T* best, const T* x, int64_t n, int64_t inner,
                                    int64_t width) {
  for (int64_t c = 0; c < width; ++c) {
    best[c] = x[c];
    at[c] = 0;
  }
  for (int64_t k = 1; k < n; ++k) {
    const T* row = x + k * inner;
    prefetch_below(row, inner, n - k, width);
    for (int64_t c = 0; c < width; ++c) {
      const bool better = ((kMax ? row[c] > best[c] : row[c] < best[c]) | (row[c] != row[c])) &
                          (best[c] == best[c]);
      best[c] = better ? row[c] : best[c];
      at[c] = better ? k : at[c];
    }
  }
}

template <class T, bool kMax>
void arg_reduce_of(KernelContext& ctx, const View* values, const View& indices, const View& in) {
  const int64_t outer = in.shape[0], n = in.shape[1], inner = in.shape[2];
  const T* x = static_cast<const T*>(in.data);
  T* value = values ? static_cast<T*>(values->data) : nullptr;
  int64_t* index = static_cast<int64_t*>(indices.data);
  if (inner == 1) {
    const ReduceLoops* loops = kMax ? reduce_loops_max(in.dtype) : reduce_loops_min(in.dtype);
    ReducePlan row;
    row.reduced = 1;
    row.r[0] = {n, 1, 0};
    const int64_t per_task = larger<int64_t>(1, kTask / n);
    parallel_for(ctx, ceil_div(outer, per_task), [&](int64_t task) {
      for (int64_t o = task * per_task; o < smaller((task + 1) * per_task, outer); ++o) {
        T best;
        loops->range(&best, x + o * n, row, 0, n);
        index[o] = first_equal(x + o * n, n, best);
        if (value) value[o] = x[o * n + index[o]];  // of +0 and -0 the first, as the index says
      }
    });
    return;
  }
  const int64_t strips = ceil_div(inner, kStrip),
                per_task = larger<int64_t>(1, kTask / (n * smaller(inner, kStrip)));
  parallel_for(ctx, ceil_div(outer * strips, per_task), [&](int64_t task) {
    for (int64_t t = task * per_task; t < smaller((task + 1) * per_task, outer * strips); ++t) {
      const int64_t o = t / strips, column = t % strips * kStrip,
                    width = smaller(kStrip, inner - column);
      int64_t at[kStrip];
      T best[kStrip];
      arg_of_strip<T, kMax>(at, best, x + o * n * inner + column, n, inner, width);
      for (int64_t c = 0; c < width; ++c) index[o * inner + column + c] = at[c];
      if (!value) continue;
      for (int64_t c = 0; c < width; ++c) value[o * inner + column + c] = best[c];
    }
  });
}

}  // namespace

void arg_reduce(KernelContext& ctx, ReduceOp op, const View* values, const View& indices,
                const View& in) {
  if (indices.numel == 0) return;
  const auto run = [&](auto tag) {
    using T = typename decltype(tag)::Type;
    if (op == ReduceOp::max) return arg_reduce_of<T, true>(ctx, values, indices, in);
    arg_reduce_of<T, false>(ctx, values, indices, in);
  };
  if (in.dtype == Dtype::bool_) return run(Tag<uint8_t>{});
  with_numeric(in.dtype, run);
}

}  // namespace tinytorch::TT_KERNEL_NS
