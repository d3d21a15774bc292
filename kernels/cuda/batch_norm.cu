// The rows batch_norm and batch_norm_grad over [N, C, S] (Ioffe and Szegedy, "Batch Normalization",
// 2015): sums over the elements of a channel, then an affine function of each element.
#include "kernels/cuda/device/lines.cuh"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/moments.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

template <class T>
struct NormaliseMap {
  using Element = T;
  using Row = Affine<T>;
  static constexpr int kInputs = 1;
  const T* in[1];
  T* out;
  const Affine<T>* affine;

  __device__ Row row(int64_t channel, int64_t) const { return affine[channel]; }
  __device__ T value(const Row& f, const T (&x)[1], int64_t, int64_t) const {
    return fma_fast(x[0] - f.centre, f.scale, f.offset);
  }
};

// gx = of_g g + of_x (x - centre) + constant.
template <class T>
struct Slope {
  T centre, of_g, of_x, constant;
};

template <class T>
struct GradSums {
  Sum<T> g, product;  // of g, of g (x - mean)
};

template <class T>
struct BatchGradOp {
  using Element = T;
  using Part = GradSums<T>;
  using Local = T;  // the mean
  static constexpr int kInputs = 2;
  const T* in[2];  // g, x
  double count;
  const T *mean, *inverse_std, *weight;
  T *gw, *gb;       // may be null
  Slope<T>* slope;  // may be null

  __device__ Local local(const Place& at) const { return mean[at.out]; }
  __device__ static Part start() { return {}; }
  template <int kN>
  __device__ void add(Part& p, const Local& centre, const Values<T, 2, kN>& v, int64_t) const {
    add_all(p.g, v.at[0]);
    for (int i = 0; i < kN; ++i) {
      p.product.add_product(static_cast<double>(v.at[0][i]),
                            static_cast<double>(v.at[1][i] - centre));
    }
  }
  __device__ static void join(Part& a, const Part& b) {
    a.g.join(b.g);
    a.product.join(b.product);
  }
  __device__ void finish(const Place& at, const Local& centre, const Part& p) const {
    const int64_t c = at.out;
    const double inverse = static_cast<double>(inverse_std[c]);
    const double sum = p.g.value(), product = p.product.value();
    if (gw) gw[c] = static_cast<T>(product * inverse);
    if (gb) gb[c] = static_cast<T>(sum);
    if (!slope) return;
    const double of_g = inverse * (weight ? static_cast<double>(weight[c]) : 1.0);
    slope[c] = {centre, static_cast<T>(of_g),
                static_cast<T>(-of_g * inverse * inverse * product / count),
                static_cast<T>(-of_g * sum / count)};
  }
};

template <class T>
struct BatchGradMap {
  using Element = T;
  using Row = Slope<T>;
  static constexpr int kInputs = 2;
  const T* in[2];  // g, x
  T* out;
  const Slope<T>* slope;

  __device__ Row row(int64_t channel, int64_t) const { return slope[channel]; }
  __device__ T value(const Row& f, const T (&v)[2], int64_t, int64_t) const {
    return fma_fast(f.of_g, v[0], fma_fast(f.of_x, v[1] - f.centre, f.constant));
  }
};

}  // namespace

void batch_norm(KernelContext& ctx, const View& out, const View& mean, const View& inverse_std,
                const View& x, const View* weight, const View* bias, const BatchNormParams& p) {
  const int64_t batch = x.shape[0], channels = x.shape[1], size = x.shape[2];
  if (channels == 0) return;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const Workspace memory(ctx, static_cast<size_t>(channels) * sizeof(Affine<T>));
    MomentsOp<T> op{};
    op.in[0] = x.as<const T>();
    op.count = static_cast<double>(batch * size);
    op.mean = mean.as<T>();
    op.inverse_std = inverse_std.as<T>();
    op.affine = memory.as<Affine<T>>();
    op.weight = weight ? weight->as<const T>() : nullptr;
    op.bias = bias ? bias->as<const T>() : nullptr;
    op.eps = p.eps;
    reduce_moments(ctx, op, plan_channels(batch, channels, size));
    if (x.numel == 0) return;
    map_lines(ctx, NormaliseMap<T>{{op.in[0]}, out.as<T>(), op.affine},
              lines_of_channels(batch, channels, size));
  });
}

void batch_norm_grad(KernelContext& ctx, const View* gx, const View* gw, const View* gb,
                     const View& g, const View& x, const View& mean, const View& inverse_std,
                     const View* weight) {
  const int64_t batch = x.shape[0], channels = x.shape[1], size = x.shape[2];
  if (channels == 0) return;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const Workspace memory(ctx, gx ? static_cast<size_t>(channels) * sizeof(Slope<T>) : 0);
    const BatchGradOp<T> op{{g.as<const T>(), x.as<const T>()},
                            static_cast<double>(batch * size),
                            mean.as<const T>(),
                            inverse_std.as<const T>(),
                            weight ? weight->as<const T>() : nullptr,
                            gw ? gw->as<T>() : nullptr,
                            gb ? gb->as<T>() : nullptr,
                            gx ? memory.as<Slope<T>>() : nullptr};
    run_reduction(ctx, op, plan_channels(batch, channels, size));
    if (!gx || x.numel == 0) return;
    map_lines(ctx, BatchGradMap<T>{{op.in[0], op.in[1]}, gx->as<T>(), op.slope},
              lines_of_channels(batch, channels, size));
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
