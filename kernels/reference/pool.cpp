// Pooling over windows of [N, C, H, W]. Padding is never a maximum; in an average it counts 0, and
// counts at all only with count_include_pad (then also where it ends: a window is cut off at the
// padded image's border).
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

struct Pool {
  int64_t planes, size[2], out[2];
  const Pool2dParams& p;

  Pool(const View& x, const View& y, const Pool2dParams& params)
      : planes(x.shape[0] * x.shape[1]),
        size{x.shape[2], x.shape[3]},
        out{y.shape[2], y.shape[3]},
        p(params) {}

  // Position in dim d (0 rows, 1 columns) that output position o meets at window position i; it may
  // lie outside.
  int64_t at(int d, int64_t o, int64_t i) const {
    return o * p.stride[d] - p.padding[d] + i * p.dilation[d];
  }
  bool inside(int d, int64_t position) const { return position >= 0 && position < size[d]; }

  // f(row, column) for every element of the window that lies inside the image, row by row.
  template <class F>
  void window(int64_t oy, int64_t ox, F f) const {
    for (int64_t i = 0; i < p.kernel[0]; ++i) {
      for (int64_t j = 0; j < p.kernel[1]; ++j) {
        const int64_t row = at(0, oy, i), column = at(1, ox, j);
        if (inside(0, row) && inside(1, column)) f(row, column);
      }
    }
  }
  // f(plane, oy, ox) for every output element.
  template <class F>
  void for_each_output(F f) const {
    for (int64_t plane = 0; plane < planes; ++plane) {
      for (int64_t oy = 0; oy < out[0]; ++oy) {
        for (int64_t ox = 0; ox < out[1]; ++ox) f(plane, oy, ox);
      }
    }
  }
  // How many elements of the window count in one dim.
  int64_t counted(int d, int64_t o) const {
    int64_t n = 0;
    for (int64_t i = 0; i < p.kernel[d]; ++i) {
      const int64_t position = at(d, o, i);
      n += p.count_include_pad ? position < size[d] + p.padding[d] : inside(d, position);
    }
    return n;
  }
  int64_t divisor(int64_t oy, int64_t ox) const { return counted(0, oy) * counted(1, ox); }
};

}  // namespace

void max_pool2d(KernelContext&, const View& out, const View& indices, const View& x,
                const Pool2dParams& p) {
  const Pool s(x, out, p);
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    int64_t next = 0;
    s.for_each_output([&](int64_t plane, int64_t oy, int64_t ox) {
      const T* image = x.as<T>() + plane * s.size[0] * s.size[1];
      T best = -std::numeric_limits<T>::infinity();
      int64_t where = -1;
      s.window(oy, ox, [&](int64_t row, int64_t column) {
        const int64_t here = row * s.size[1] + column;
        if (where >= 0 && (best != best || !(image[here] != image[here] || image[here] > best)))
          return;
        best = image[here];
        where = here;
      });
      out.as<T>()[next] = best;
      indices.as<int64_t>()[next++] =
          where < 0 ? 0 : where;  // nothing but padding: a valid place all the same
    });
  });
}

void avg_pool2d(KernelContext&, const View& out, const View& x, const Pool2dParams& p) {
  const Pool s(x, out, p);
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    int64_t next = 0;
    s.for_each_output([&](int64_t plane, int64_t oy, int64_t ox) {
      const T* image = x.as<T>() + plane * s.size[0] * s.size[1];
      E sum = 0;
      s.window(oy, ox,
               [&](int64_t row, int64_t column) { sum += image[row * s.size[1] + column]; });
      const int64_t divisor = s.divisor(oy, ox);
      out.as<T>()[next++] = narrow<T>(divisor ? sum / divisor : E(0));
    });
  });
}

void avg_pool2d_grad(KernelContext& context, const View& gx, const View& g, const Pool2dParams& p) {
  const Pool s(gx, g, p);
  with_float(gx.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    const Workspace sums(context, static_cast<size_t>(gx.numel) * sizeof(E));
    for (int64_t i = 0; i < gx.numel; ++i) sums.as<E>()[i] = 0;
    int64_t next = 0;
    s.for_each_output([&](int64_t plane, int64_t oy, int64_t ox) {
      const E share = static_cast<E>(g.as<T>()[next++]) / s.divisor(oy, ox);
      s.window(oy, ox, [&](int64_t row, int64_t column) {
        sums.as<E>()[(plane * s.size[0] + row) * s.size[1] + column] += share;
      });
    });
    for (int64_t i = 0; i < gx.numel; ++i) gx.as<T>()[i] = narrow<T>(sums.as<E>()[i]);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
