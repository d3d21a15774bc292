// layer_norm over the rows of [M, N], and its gradients (Ba, Kiros and Hinton, "Layer
// Normalization", 2016).
#include <vector>

#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {

void layer_norm(KernelContext&, const View& out, const View& mean, const View& inverse_std,
                const View& x, const View* weight, const View* bias, const LayerNormParams& p) {
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    const int64_t rows = x.shape[0], n = x.shape[1];
    for (int64_t r = 0; r < rows; ++r) {
      const T* row = x.as<T>() + r * n;
      E sum = 0, squares = 0;
      for (int64_t i = 0; i < n; ++i) sum += row[i];
      const E centre = sum / static_cast<E>(n);
      for (int64_t i = 0; i < n; ++i) squares += (row[i] - centre) * (row[i] - centre);
      const E inverse = 1 / std::sqrt(squares / static_cast<E>(n) + static_cast<E>(p.eps));
      mean.as<T>()[r] = narrow<T>(centre);
      inverse_std.as<T>()[r] = narrow<T>(inverse);
      for (int64_t i = 0; i < n; ++i) {
        E y = (row[i] - centre) * inverse;
        if (weight) y *= weight->as<T>()[i];
        if (bias) y += bias->as<T>()[i];
        out.as<T>()[r * n + i] = narrow<T>(y);
      }
    }
  });
}

// With h = (x - mean) / std and t = g w, along a row: gx = (t - mean(t) - h mean(t h)) / std. Over
// the rows: gw = sum(g h), gb = sum(g). The mean is taken again, since the given one is rounded.
void layer_norm_grad(KernelContext&, const View* gx, const View* gw, const View* gb, const View& g,
                     const View& x, const View&, const View& inverse_std, const View* weight) {
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    const int64_t rows = x.shape[0], n = x.shape[1];
    std::vector<E> h(static_cast<size_t>(n)), t(h), sum_h(h), sum_g(h);
    for (int64_t r = 0; r < rows; ++r) {
      const T* row = x.as<T>() + r * n;
      const E inverse = inverse_std.as<T>()[r];
      E centre = 0, mean_t = 0, mean_th = 0;
      for (int64_t i = 0; i < n; ++i) centre += row[i];
      centre /= static_cast<E>(n);
      for (int64_t i = 0; i < n; ++i) {
        const size_t at = static_cast<size_t>(i);
        const E gradient = g.as<T>()[r * n + i];
        h[at] = (row[i] - centre) * inverse;
        t[at] = weight ? gradient * weight->as<T>()[i] : gradient;
        mean_t += t[at] / static_cast<E>(n);
        mean_th += t[at] * h[at] / static_cast<E>(n);
        sum_h[at] += gradient * h[at];
        sum_g[at] += gradient;
      }
      for (int64_t i = 0; gx && i < n; ++i) {
        const size_t at = static_cast<size_t>(i);
        gx->as<T>()[r * n + i] = narrow<T>((t[at] - mean_t - h[at] * mean_th) * inverse);
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      if (gw) gw->as<T>()[i] = narrow<T>(sum_h[static_cast<size_t>(i)]);
      if (gb) gb->as<T>()[i] = narrow<T>(sum_g[static_cast<size_t>(i)]);
    }
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
