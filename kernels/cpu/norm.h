// Mean and variance of dense runs, and how batch normalisation walks [N, C, S]: the elements of a
// channel are cut into pieces by shape, statistics of pieces are combined in order, and threads
// share channels or, where there are few, pieces.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/cpu/rows.h"

namespace tinytorch::TT_KERNEL_NS {

constexpr int64_t kNormPiece = 8 << 10;  // elements
constexpr int64_t kNormStrip = 64;       // channels worked on together when S is 1

struct Moments {
  double count, mean, squares;  // squares: the sum of squared distances from the mean
};

// The moments of both together, by the formulas of Chan, Golub and LeVeque (1979).
TT_INLINE void join_moments(Moments& a, const Moments& b) {
  const double count = a.count + b.count, distance = b.mean - a.mean;
  a.mean += distance * (b.count / count);
  a.squares += b.squares + distance * distance * (a.count * (b.count / count));
  a.count = count;
}

// Of the elements that runs(f) hands to f(pointer, n), `count` in all and `first` among them or
// near them.
template <class T, class Runs>
TT_INLINE Moments moments_of_runs(double count, T first, Runs runs) {
  typename SumOf<T>::Acc sum, squares;
  // Sums of differences from any element near the mean lose less than sums of elements.
  const Vec<T> shift = splat(first);
  runs([&](const T* p, int64_t n) {
    accumulate_from<SumOf<T>>(
        sum, n, [=](int64_t i) { return static_cast<Vec<T>>(load(p + i) - shift); },
        [=](int64_t i, int64_t k) {
          return static_cast<Vec<T>>(load_part(p + i, k, shift) - shift);
        });
  });
  const double mean = static_cast<double>(first) + total<T>(sum) / count;
  const T near = static_cast<T>(mean);
  const Vec<T> centre = splat(near);
  runs([&](const T* p, int64_t n) {
    accumulate_from<SumOf<T>>(
        squares, n,
        [=](int64_t i) {
          const Vec<T> d = load(p + i) - centre;
          return static_cast<Vec<T>>(d * d);
        },
        [=](int64_t i, int64_t k) {
          const Vec<T> d = load_part(p + i, k, centre) - centre;
          return static_cast<Vec<T>>(d * d);
        });
  });
  const double off = mean - static_cast<double>(near),
               about_mean = total<T>(squares) - count * off * off;
  return {count, mean, about_mean < 0 ? 0 : about_mean};
}

// Of each of `width` columns of x [rows, stride], width <= kNormStrip.
template <class T>
[[gnu::noinline]] void moments_of_columns(Moments* moments, const T* x, int64_t rows,
                                          int64_t stride, int64_t width) {
  T row[kNormStrip], near[kNormStrip];
  double means[kNormStrip], parts[2 * kNormStrip];
  for (int64_t c = 0; c < width; ++c) moments[c] = {};
  for (int64_t r = 0; r < rows; r += kNormPiece / kNormStrip) {
    const int64_t end = smaller(r + kNormPiece / kNormStrip, rows);
    const double count = static_cast<double>(end - r);
    for (double& p : parts) p = 0;
    for (int64_t i = r; i < end; ++i) {
      prefetch_below(x + i * stride, stride, rows - i, width);
      absorb_row(parts, kNormStrip, x + i * stride, width);
    }
    for (int64_t c = 0; c < width; ++c) {
      means[c] = SumOf<T>::finish_double(parts + c, kNormStrip) / count;
      near[c] = static_cast<T>(means[c]);
    }
    for (double& p : parts) p = 0;
    for (int64_t i = r; i < end; ++i) {
      const T* from = x + i * stride;
      for (int64_t c = 0; c < width; ++c) row[c] = (from[c] - near[c]) * (from[c] - near[c]);
      absorb_row(parts, kNormStrip, static_cast<const T*>(row), width);
    }
    for (int64_t c = 0; c < width; ++c) {
      const double off = means[c] - static_cast<double>(near[c]);
      const double squares = SumOf<T>::finish_double(parts + c, kNormStrip) - count * off * off;
      join_moments(moments[c], {count, means[c], squares < 0 ? 0 : squares});
    }
  }
}

// Pieces of one channel: `rows_per_piece` short rows of S elements, or a part of a long one.
struct NormPieces {
  int64_t batch, channels, size;  // N, C, S
  int64_t rows_per_piece, parts_per_row, pieces;

  TT_INLINE explicit NormPieces(const View& x)
      : batch(x.shape[0]), channels(x.shape[1]), size(x.shape[2]) {
    rows_per_piece = larger<int64_t>(1, kNormPiece / larger<int64_t>(1, size));
    parts_per_row = larger<int64_t>(1, ceil_div(size, kNormPiece));
    pieces = parts_per_row > 1 ? batch * parts_per_row : ceil_div(batch, rows_per_piece);
    if (x.numel == 0) pieces = 0;
  }
  TT_INLINE int64_t count(int64_t piece) const {
    if (parts_per_row > 1) return smaller(kNormPiece, size - piece % parts_per_row * kNormPiece);
    return smaller(rows_per_piece, batch - piece * rows_per_piece) * size;
  }
  // f(offset, n) for the dense runs of a piece.
  template <class F>
  TT_INLINE void runs(int64_t channel, int64_t piece, F f) const {
    if (parts_per_row > 1) {
      const int64_t row = piece / parts_per_row, part = piece % parts_per_row;
      return f((row * channels + channel) * size + part * kNormPiece, count(piece));
    }
    const int64_t end = smaller((piece + 1) * rows_per_piece, batch);
    for (int64_t row = piece * rows_per_piece; row < end; ++row)
      f((row * channels + channel) * size, size);
  }
  // Few channels with much behind each: threads share pieces.
  TT_INLINE bool by_piece() const { return channels < 8 && pieces >= 8; }
  TT_INLINE int64_t channels_per_task() const {
    return larger<int64_t>(1, 2 * kNormPiece / larger<int64_t>(1, batch * size));
  }
};

// Gathers what `measure(channel, piece)` says of the pieces of a channel, in order, and then
// applies it to them: summary = join(summary, measure(channel, piece)); finish(channel, summary);
// apply(channel, piece, summary).
template <class Summary, class Measure, class Join, class Finish, class Apply>
TT_INLINE void for_channels(KernelContext& ctx, const NormPieces& shape, Measure measure, Join join,
                            Finish finish, Apply apply) {
  if (!shape.by_piece()) {
    const int64_t per_task = shape.channels_per_task();
    parallel_for(ctx, ceil_div(shape.channels, per_task), [&](int64_t task) {
      for (int64_t c = task * per_task; c < smaller((task + 1) * per_task, shape.channels); ++c) {
        Summary summary{};
        for (int64_t p = 0; p < shape.pieces; ++p) join(summary, measure(c, p));
        finish(c, summary);
        for (int64_t p = 0; p < shape.pieces; ++p) apply(c, p, summary);
      }
    });
    return;
  }
  Workspace memory(ctx, static_cast<size_t>(shape.channels * shape.pieces) * sizeof(Summary));
  Summary* parts = static_cast<Summary*>(memory.data());
  parallel_for(ctx, shape.channels * shape.pieces, [&](int64_t task) {
    parts[task] = measure(task / shape.pieces, task % shape.pieces);
  });
  for (int64_t c = 0; c < shape.channels; ++c) {
    Summary summary{};
    for (int64_t p = 0; p < shape.pieces; ++p) join(summary, parts[c * shape.pieces + p]);
    finish(c, summary);
    parts[c * shape.pieces] = summary;
  }
  parallel_for(ctx, shape.channels * shape.pieces, [&](int64_t task) {
    const int64_t c = task / shape.pieces;
    apply(c, task % shape.pieces, parts[c * shape.pieces]);
  });
}

// f(first channel, width) for strips of channels of a [N, C] matrix.
template <class F>
TT_INLINE void for_channel_strips(KernelContext& ctx, const NormPieces& shape, F f) {
  const int64_t strips = ceil_div(shape.channels, kNormStrip);
  const int64_t per_task =
      larger<int64_t>(1, 2 * kNormPiece / (shape.batch * smaller(kNormStrip, shape.channels) + 1));
  parallel_for(ctx, ceil_div(strips, per_task), [&](int64_t task) {
    for (int64_t s = task * per_task; s < smaller((task + 1) * per_task, strips); ++s) {
      f(s * kNormStrip, smaller(kNormStrip, shape.channels - s * kNormStrip));
    }
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
