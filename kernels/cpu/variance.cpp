// The row variance over [outer, n, inner]: along dense rows as batch_norm takes its statistics,
// otherwise strips of columns.
#include "kernels/cpu/norm.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// x [rows, n], seen as [1, rows, n]: a channel a row.
template <class T>
void variance_of_rows(KernelContext& ctx, const View& out, const View& in, double scale) {
  View seen = in;
  seen.shape[0] = 1;
  seen.shape[1] = in.shape[0];
  seen.shape[2] = in.shape[1];
  const NormPieces shape(seen);
  const T* x = in.as<const T>();
  for_channels<Moments>(
      ctx, shape,
      [&](int64_t row, int64_t piece) {
        return moments_of_runs(
            static_cast<double>(shape.count(piece)), x[row * shape.size],
            [&](auto f) { shape.runs(row, piece, [&](int64_t at, int64_t n) { f(x + at, n); }); });
      },
      [](Moments& a, const Moments& b) { join_moments(a, b); },
      [&](int64_t row, const Moments& m) { out.as<T>()[row] = static_cast<T>(m.squares * scale); },
      [](int64_t, int64_t, const Moments&) {});
}

template <class T>
void variance_of_columns(KernelContext& ctx, const View& out, const View& in, double scale) {
  const int64_t outer = in.shape[0], n = in.shape[1], inner = in.shape[2];
  const int64_t strips = ceil_div(inner, kNormStrip);
  const int64_t per_task = larger<int64_t>(1, 2 * kNormPiece / (n * smaller(kNormStrip, inner)));
  parallel_for(ctx, ceil_div(outer * strips, per_task), [&](int64_t task) {
    for (int64_t t = task * per_task; t < smaller((task + 1) * per_task, outer * strips); ++t) {
      const int64_t o = t / strips, first = t % strips * kNormStrip,
                    width = smaller(kNormStrip, inner - first);
      Moments moments[kNormStrip];
      moments_of_columns(moments, in.as<const T>() + o * n * inner + first, n, inner, width);
      T* to = out.as<T>() + o * inner + first;
      for (int64_t c = 0; c < width; ++c) to[c] = static_cast<T>(moments[c].squares * scale);
    }
  });
}

}  // namespace

void variance(KernelContext& ctx, const View& out, const View& in, const ReduceParams& p) {
  if (in.numel == 0) return;
  with_float(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    in.shape[2] == 1 ? variance_of_rows<T>(ctx, out, in, p.scale)
                     : variance_of_columns<T>(ctx, out, in, p.scale);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
