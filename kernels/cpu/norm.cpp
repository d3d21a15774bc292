// The row batch_norm. The variance of a piece is taken about its own mean, and pieces are joined by
// the formulas of Chan, Golub and LeVeque (1979), so data far from zero loses nothing and every
// element is read from memory twice at most.
#include "kernels/cpu/norm.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

[[gnu::noinline]] void join_moments(Moments& a, const Moments& b) {
  const double count = a.count + b.count, distance = b.mean - a.mean;
  a.mean += distance * (b.count / count);
  a.squares += b.squares + distance * distance * (a.count * (b.count / count));
  a.count = count;
}

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
  Moments moments[kNormStrip] = {};
  T row[kNormStrip], near[kNormStrip];
  double parts[2 * kNormStrip];
  const int64_t channels = job.shape.channels, group = kNormPiece / kNormStrip;
  for (int64_t n = 0; n < job.shape.batch; n += group) {
    const int64_t end = smaller(n + group, job.shape.batch);
    const double count = static_cast<double>(end - n);
    double means[kNormStrip];
    for (double& p : parts) p = 0;
    for (int64_t i = n; i < end; ++i) {
      absorb_row(parts, kNormStrip, job.x + i * channels + first, width);
    }
    for (int64_t c = 0; c < width; ++c) {
      means[c] = SumOf<T>::finish_double(parts + c, kNormStrip) / count;
      near[c] = static_cast<T>(means[c]);
    }
    for (double& p : parts) p = 0;
    for (int64_t i = n; i < end; ++i) {
      const T* x = job.x + i * channels + first;
      for (int64_t c = 0; c < width; ++c) row[c] = (x[c] - near[c]) * (x[c] - near[c]);
      absorb_row(parts, kNormStrip, static_cast<const T*>(row), width);
    }
    for (int64_t c = 0; c < width; ++c) {
      const double off = means[c] - static_cast<double>(near[c]);
      const double squares = SumOf<T>::finish_double(parts + c, kNormStrip) - count * off * off;
      join_moments(moments[c], {count, means[c], squares < 0 ? 0 : squares});
    }
  }
  T scale[kNormStrip], offset[kNormStrip];
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
