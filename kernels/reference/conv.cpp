// Convolution and its two gradients straight from the definition: out[n, o, y, x] is the sum over
// the group's channels c and the window (i, j) of x[n, c, y stride - padding + i dilation, ...]
// w[o, c, i, j], where positions outside the image count 0.
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

struct Conv {
  int64_t batch, channels, height, width;               // x
  int64_t filters, group_channels, window_h, window_w;  // w
  int64_t out_h, out_w;
  int64_t group_filters;
  const Conv2dParams& p;

  Conv(const View& x, const View& w, const View& out, const Conv2dParams& params)
      : batch(x.shape[0]),
        channels(x.shape[1]),
        height(x.shape[2]),
        width(x.shape[3]),
        filters(w.shape[0]),
        group_channels(w.shape[1]),
        window_h(w.shape[2]),
        window_w(w.shape[3]),
        out_h(out.shape[2]),
        out_w(out.shape[3]),
        group_filters(w.shape[0] / params.groups),
        p(params) {}

  // Row of x that row y of the output meets at window row i; columns likewise.
  int64_t row(int64_t y, int64_t i) const {
    return y * p.stride[0] - p.padding[0] + i * p.dilation[0];
  }
  int64_t column(int64_t x, int64_t j) const {
    return x * p.stride[1] - p.padding[1] + j * p.dilation[1];
  }
  bool inside(int64_t row, int64_t column) const {
    return row >= 0 && row < height && column >= 0 && column < width;
  }

  int64_t x_at(int64_t n, int64_t c, int64_t row, int64_t column) const {
    return ((n * channels + c) * height + row) * width + column;
  }
  int64_t w_at(int64_t o, int64_t c, int64_t i, int64_t j) const {
    return ((o * group_channels + c) * window_h + i) * window_w + j;
  }
  int64_t out_at(int64_t n, int64_t o, int64_t y, int64_t x) const {
    return ((n * filters + o) * out_h + y) * out_w + x;
  }

  // The output row that meets `row` at window row i, or -1.
  static int64_t meeting(int64_t position, int64_t i, int64_t stride, int64_t padding,
                         int64_t dilation, int64_t limit) {
    const int64_t t = position + padding - i * dilation;
    return t >= 0 && t % stride == 0 && t / stride < limit ? t / stride : -1;
  }
};

// f(a, b, c, d) for all a < na, b < nb, ...
template <class F>
void for_all(int64_t na, int64_t nb, int64_t nc, int64_t nd, F f) {
  for (int64_t a = 0; a < na; ++a) {
    for (int64_t b = 0; b < nb; ++b) {
      for (int64_t c = 0; c < nc; ++c) {
        for (int64_t d = 0; d < nd; ++d) f(a, b, c, d);
      }
    }
  }
}

}  // namespace

void conv2d(KernelContext&, const View& out, const View& x, const View& w, const View* b,
            const Conv2dParams& p) {
  const Conv s(x, w, out, p);
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    for_all(
        s.batch, s.filters, s.out_h, s.out_w, [&](int64_t n, int64_t o, int64_t oy, int64_t ox) {
          const int64_t first_channel = o / s.group_filters * s.group_channels;
          E sum = b ? static_cast<E>(b->as<T>()[o]) : E(0);
          for_all(1, s.group_channels, s.window_h, s.window_w,
                  [&](int64_t, int64_t c, int64_t i, int64_t j) {
                    const int64_t row = s.row(oy, i), column = s.column(ox, j);
                    if (!s.inside(row, column)) return;
                    sum += static_cast<E>(x.as<T>()[s.x_at(n, first_channel + c, row, column)]) *
                           w.as<T>()[s.w_at(o, c, i, j)];
                  });
          out.as<T>()[s.out_at(n, o, oy, ox)] = narrow<T>(sum);
        });
  });
}

void conv2d_grad_input(KernelContext&, const View& gx, const View& g, const View& w,
                       const Conv2dParams& p) {
  const Conv s(gx, w, g, p);
  with_float(gx.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    for_all(s.batch, s.channels, s.height, s.width,
            [&](int64_t n, int64_t channel, int64_t row, int64_t column) {
              const int64_t first_filter = channel / s.group_channels * s.group_filters,
                            c = channel % s.group_channels;
              E sum = 0;
              for_all(1, s.group_filters, s.window_h, s.window_w,
                      [&](int64_t, int64_t f, int64_t i, int64_t j) {
                        const int64_t oy = Conv::meeting(row, i, p.stride[0], p.padding[0],
                                                         p.dilation[0], s.out_h);
                        const int64_t ox = Conv::meeting(column, j, p.stride[1], p.padding[1],
                                                         p.dilation[1], s.out_w);
                        if (oy < 0 || ox < 0) return;
                        const int64_t o = first_filter + f;
                        sum += static_cast<E>(g.as<T>()[s.out_at(n, o, oy, ox)]) *
                               w.as<T>()[s.w_at(o, c, i, j)];
                      });
              gx.as<T>()[s.x_at(n, channel, row, column)] = narrow<T>(sum);
            });
  });
}

void conv2d_grad_weight(KernelContext&, const View& gw, const View& g, const View& x,
                        const Conv2dParams& p) {
  const Conv s(x, gw, g, p);
  with_float(gw.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    for_all(s.filters, s.group_channels, s.window_h, s.window_w,
            [&](int64_t o, int64_t c, int64_t i, int64_t j) {
              const int64_t channel = o / s.group_filters * s.group_channels + c;
              E sum = 0;
              for_all(1, s.batch, s.out_h, s.out_w,
                      [&](int64_t, int64_t n, int64_t oy, int64_t ox) {
                        const int64_t row = s.row(oy, i), column = s.column(ox, j);
                        if (!s.inside(row, column)) return;
                        sum += static_cast<E>(g.as<T>()[s.out_at(n, o, oy, ox)]) *
                               x.as<T>()[s.x_at(n, channel, row, column)];
                      });
              gw.as<T>()[s.w_at(o, c, i, j)] = narrow<T>(sum);
            });
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
