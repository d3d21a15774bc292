// The row batch_norm. The variance of a piece is taken about its own mean, and pieces are joined by
// the formulas of Chan, Golub and LeVeque (1979), so data far from zero loses nothing and every
// element is read from memory twice at most.
#include "kernels/cpu/norm.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// out = (x - centre) scale + offset, with what rounding took from the mean put into the offset.
template <class T>
struct Affine {
  T centre, scale, offset;
};

template <class T>
struct Job {
  NormPieces shape;
  const T* x;
  T *out, *mean, *inverse_std;
  const T *weight, *bias;
  double eps;

  [[gnu::noinline]] Affine<T> affine(int64_t c, const Moments& m) const {
    const double inverse = 1 / sqrt_of(m.squares / m.count + eps);
    mean[c] = static_cast<T>(m.mean);
    inverse_std[c] = static_cast<T>(inverse);
    const double scale = inverse * (weight ? static_cast<double>(weight[c]) : 1.0);
    const double rest = (static_cast<double>(mean[c]) - m.mean) * scale;
    return {mean[c], static_cast<T>(scale),
            static_cast<T>((bias ? static_cast<double>(bias[c]) : 0.0) + rest)};
  }
};

template <class T>
[[gnu::noinline]] Moments moments_of(const Job<T>& job, int64_t channel, int64_t piece) {
  const double count = static_cast<double>(job.shape.count(piece));
  return moments_of_runs(count, job.x[channel * job.shape.size], [&](auto f) {
    job.shape.runs(channel, piece, [&](int64_t at, int64_t n) { f(job.x + at, n); });
  });
}

template <class T>
[[gnu::noinline]] void normalise(const Job<T>& job, const Affine<T>& f, int64_t channel,
                                 int64_t piece) {
  const T centre = f.centre, scale = f.scale, offset = f.offset;
  job.shape.runs(channel, piece, [&](int64_t at, int64_t n) {
    const T* x = job.x + at;
    T* o = job.out + at;
    for (int64_t i = 0; i < n; ++i) o[i] = (x[i] - centre) * scale + offset;
  });
}

// Columns [first, first + width) of x [N, C].
template <class T>
[[gnu::noinline]] void norm_strip(const Job<T>& job, int64_t first, int64_t width) {
  const int64_t channels = job.shape.channels;
  Moments moments[kNormStrip];
  moments_of_columns(moments, job.x + first, job.shape.batch, channels, width);
  T near[kNormStrip], scale[kNormStrip], offset[kNormStrip];
  for (int64_t c = 0; c < width; ++c) {
    const Affine<T> f = job.affine(first + c, moments[c]);
    near[c] = f.centre;
    scale[c] = f.scale;
    offset[c] = f.offset;
  }
  for (int64_t n = 0; n < job.shape.batch; ++n) {
    const T* x = job.x + n * channels + first;
    T* o = job.out + n * channels + first;
    for (int64_t c = 0; c < width; ++c) o[c] = (x[c] - near[c]) * scale[c] + offset[c];
  }
}

struct Fitted {
  Moments moments;
  double centre, scale, offset;  // an Affine, exact in double
};

template <class T>
void batch_norm_of(KernelContext& ctx, const Job<T>& job) {
  if (job.shape.size == 1) {
    return for_channel_strips(ctx, job.shape,
                              [&](int64_t first, int64_t width) { norm_strip(job, first, width); });
  }
  for_channels<Fitted>(
      ctx, job.shape,
      [&](int64_t c, int64_t piece) {
        return Fitted{moments_of(job, c, piece), 0, 0, 0};
      },
      [](Fitted& a, const Fitted& b) { join_moments(a.moments, b.moments); },
      [&](int64_t c, Fitted& fitted) {
        const Affine<T> f = job.affine(c, fitted.moments);
        fitted.centre = f.centre;
        fitted.scale = f.scale;
        fitted.offset = f.offset;
      },
      [&](int64_t c, int64_t piece, const Fitted& f) {
        normalise(job,
                  {static_cast<T>(f.centre), static_cast<T>(f.scale), static_cast<T>(f.offset)}, c,
                  piece);
      });
}

}  // namespace

void batch_norm(KernelContext& ctx, const View& out, const View& mean, const View& inverse_std,
                const View& x, const View* weight, const View* bias, const BatchNormParams& p) {
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const Job<T> job = {NormPieces(x),
                        x.as<const T>(),
                        out.as<T>(),
                        mean.as<T>(),
                        inverse_std.as<T>(),
                        weight ? weight->as<const T>() : nullptr,
                        bias ? bias->as<const T>() : nullptr,
                        p.eps};
    batch_norm_of(ctx, job);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
