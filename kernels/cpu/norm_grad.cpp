// The row batch_norm_grad: sums of g and g (x - mean) over a channel, then gx, an affine function
// of g and x with their help (Ioffe and Szegedy, "Batch Normalization", 2015, section 3).
#include "kernels/cpu/norm.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

struct Sums {
  double g, gx;  // of g, of g (x - mean)
};

// gx = of_g g + of_x (x - mean) + constant.
template <class T>
struct Slope {
  T centre, of_g, of_x, constant;
};

template <class T>
struct Job {
  NormPieces shape;
  const T *g, *x, *mean, *inverse_std, *weight;
  T *gx, *gw, *gb;

  void write_sums(int64_t c, const Sums& s) const {
    if (gw) gw[c] = static_cast<T>(s.gx * static_cast<double>(inverse_std[c]));
    if (gb) gb[c] = static_cast<T>(s.g);
  }
  [[gnu::noinline]] Slope<T> slope(int64_t c, const Sums& s) const {
    const double inverse = static_cast<double>(inverse_std[c]),
                 count = static_cast<double>(shape.batch * shape.size);
    const double of_g = inverse * (weight ? static_cast<double>(weight[c]) : 1.0);
    return {mean[c], static_cast<T>(of_g), static_cast<T>(-of_g * inverse * inverse * s.gx / count),
            static_cast<T>(-of_g * s.g / count)};
  }
};

template <class T>
[[gnu::noinline]] Sums sums_of(const Job<T>& job, int64_t channel, int64_t piece) {
  typename SumOf<T>::Acc sum, product;
  const Vec<T> centre = splat(job.mean[channel]);
  job.shape.runs(channel, piece, [&](int64_t at, int64_t n) {
    const T *g = job.g + at, *x = job.x + at;
    accumulate<SumOf<T>>(sum, g, n);
    accumulate_from<SumOf<T>>(
        product, n,
        [=](int64_t i) { return static_cast<Vec<T>>(load(g + i) * (load(x + i) - centre)); },
        [=](int64_t i, int64_t k) {
          return static_cast<Vec<T>>(load_part(g + i, k, Vec<T>{}) *
                                     (load_part(x + i, k, centre) - centre));
        });
  });
  return {total<T>(sum), total<T>(product)};
}

template <class T>
[[gnu::noinline]] void write_gx(const Job<T>& job, const Slope<T>& f, int64_t channel,
                                int64_t piece) {
  const T centre = f.centre, of_g = f.of_g, of_x = f.of_x, constant = f.constant;
  job.shape.runs(channel, piece, [&](int64_t at, int64_t n) {
    const T *g = job.g + at, *x = job.x + at;
    T* o = job.gx + at;
    for (int64_t i = 0; i < n; ++i) o[i] = of_g * g[i] + (of_x * (x[i] - centre) + constant);
  });
}

// Columns [first, first + width) of x [N, C].
template <class T>
[[gnu::noinline]] void grad_strip(const Job<T>& job, int64_t first, int64_t width) {
  const int64_t channels = job.shape.channels;
  T row[kNormStrip], centre[kNormStrip];
  double parts[2 * kNormStrip] = {}, products[2 * kNormStrip] = {};
  for (int64_t c = 0; c < width; ++c) centre[c] = job.mean[first + c];
  for (int64_t n = 0; n < job.shape.batch; ++n) {
    const T *g = job.g + n * channels + first, *x = job.x + n * channels + first;
    for (int64_t c = 0; c < width; ++c) row[c] = g[c] * (x[c] - centre[c]);
    absorb_row(parts, kNormStrip, g, width);
    absorb_row(products, kNormStrip, static_cast<const T*>(row), width);
  }
  T of_g[kNormStrip], of_x[kNormStrip], constant[kNormStrip];
  for (int64_t c = 0; c < width; ++c) {
    const Sums sums = {SumOf<T>::finish_double(parts + c, kNormStrip),
                       SumOf<T>::finish_double(products + c, kNormStrip)};
    job.write_sums(first + c, sums);
    const Slope<T> f = job.slope(first + c, sums);
    of_g[c] = f.of_g;
    of_x[c] = f.of_x;
    constant[c] = f.constant;
  }
  if (!job.gx) return;
  for (int64_t n = 0; n < job.shape.batch; ++n) {
    const T *g = job.g + n * channels + first, *x = job.x + n * channels + first;
    T* o = job.gx + n * channels + first;
    for (int64_t c = 0; c < width; ++c)
      o[c] = of_g[c] * g[c] + (of_x[c] * (x[c] - centre[c]) + constant[c]);
  }
}

template <class T>
void batch_norm_grad_of(KernelContext& ctx, const Job<T>& job) {
  if (job.shape.size == 1) {
    return for_channel_strips(ctx, job.shape,
                              [&](int64_t first, int64_t width) { grad_strip(job, first, width); });
  }
  for_channels<Sums>(
      ctx, job.shape, [&](int64_t c, int64_t piece) { return sums_of(job, c, piece); },
      [](Sums& a, const Sums& b) {
        a.g += b.g;
        a.gx += b.gx;
      },
      [&](int64_t c, Sums& s) { job.write_sums(c, s); },
      [&](int64_t c, int64_t piece, const Sums& s) {
        if (job.gx) write_gx(job, job.slope(c, s), c, piece);
      });
}

}  // namespace

void batch_norm_grad(KernelContext& ctx, const View* gx, const View* gw, const View* gb,
                     const View& g, const View& x, const View& mean, const View& inverse_std,
                     const View* weight) {
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const Job<T> job = {NormPieces(x),
                        g.as<const T>(),
                        x.as<const T>(),
                        mean.as<const T>(),
                        inverse_std.as<const T>(),
                        weight ? weight->as<const T>() : nullptr,
                        gx ? gx->as<T>() : nullptr,
                        gw ? gw->as<T>() : nullptr,
                        gb ? gb->as<T>() : nullptr};
    batch_norm_grad_of(ctx, job);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
