// Rows conv2d and conv2d_grad_input: implicit products of matrices (conv_problem.cuh), and the
// backend's gemm where a convolution is one as it stands.
#include <algorithm>
#include <numeric>

#include "kernels/cuda/conv_launch.cuh"
#include "kernels/cuda/conv_sizes.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

using cuda::GemmDesc;

ConvProblem forward_problem(const ConvSizes& s) {
  ConvProblem r{};
  r.rows = s.group_filters;
  r.groups = s.p.groups;
  r.a_row = s.group_channels * s.window_plane();
  r.out_row = s.out_plane();
  r.a_group = s.group_filters * r.a_row;
  r.b_group = s.group_channels * s.x_plane();
  r.out_group = s.group_filters * s.out_plane();
  assign(r.a_term, s.window_plane(), s.window[1], 1);
  assign(r.out_column, s.filters * s.out_plane(), s.out[1], 1);
  walk_image(r, s, {s.x_plane(), s.p.dilation}, {s.channels * s.x_plane(), s.p.stride});
  set_digits(r.first, s.group_channels, s.window[0], s.window[1], s.images, s.out[0], s.out[1]);
  return r;
}

ConvProblem input_problem(const ConvSizes& s) {
  const Conv2dParams& p = s.p;
  ConvProblem r{};
  ConvPhases& f = r.phases;
  int64_t apart[2], taps[2], extent[2];  // of g's positions at the taps of a phase; at most
  for (int d = 0; d < 2; ++d) {
    const int64_t common = std::gcd(p.stride[d], p.dilation[d]);
    f.count[d] = std::min(p.stride[d], s.x[d]);
    f.extent[d] = s.x[d];
    f.taps[d] = s.window[d];
    f.stride[d] = p.stride[d];
    f.padding[d] = p.padding[d];
    f.dilation[d] = p.dilation[d];
    f.tap_step[d] = p.stride[d] / common;
    apart[d] = p.dilation[d] / common;
    taps[d] = conv_ceil(s.window[d], f.tap_step[d]);
    extent[d] = conv_ceil(s.x[d], p.stride[d]);
  }
  f.images = s.images;
  f.filters = s.group_filters;
  r.rows = s.group_channels;
  r.groups = p.groups;
  r.a_row = s.window_plane();
  r.out_row = s.x_plane();
  r.a_group = s.group_filters * s.group_channels * s.window_plane();
  r.b_group = s.group_filters * s.out_plane();
  r.out_group = s.group_channels * s.x_plane();
  assign(r.a_term, s.group_channels * s.window_plane(), f.tap_step[0] * s.window[1], f.tap_step[1]);
  assign(r.b_term, s.out_plane(), -apart[0] * s.out[1], -apart[1]);
  assign(r.b_column, s.filters * s.out_plane(), s.out[1], 1);
  assign(r.out_column, s.channels * s.x_plane(), p.stride[0] * s.x[1], p.stride[1]);
  r.term_y = static_cast<uint32_t>(-apart[0]);
  r.term_x = static_cast<uint32_t>(-apart[1]);
  r.column_y = r.column_x = 1;
  r.height = static_cast<uint32_t>(s.out[0]);
  r.width = static_cast<uint32_t>(s.out[1]);
  if (f.count[0] * f.count[1] == 1) {
    r.first = phase_of(r, 0);
  } else {  // the largest, to cut the work by
    set_digits(r.first, f.filters, taps[0], taps[1], f.images, extent[0], extent[1]);
  }
  return r;
}

// out[n] = w x[n] or its transposed with g[n], for large_pointwise.
GemmDesc pointwise_product(const ConvSizes& s, const View& out, const View& w, const View& b,
                           bool transposed) {
  const int64_t plane = s.x_plane(), m = transposed ? s.channels : s.filters,
                k = transposed ? s.filters : s.channels;
  return {out.dtype,  m,     plane,      k,     s.images, w.data, b.data,    out.data,
          transposed, false, s.channels, plane, plane,    0,      k * plane, m * plane};
}

}  // namespace

void conv2d(KernelContext& context, const View& out, const View& x, const View& w, const View* b,
            const Conv2dParams& p) {
  if (out.numel == 0) return;
  const ConvSizes s(context, x, w, out, p);
  const int64_t inputs = s.channels * s.x_plane();
  if (s.whole_image() && inputs > 0) {
    GemmDesc g{out.dtype, s.images, s.filters, inputs, 1,         x.data, w.data, out.data,
               false,     true,     inputs,    inputs, s.filters, 0,      0,      0};
    g.bias = b ? b->data : nullptr;
    return gemm(context, g);
  }
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const ConvProblem problem = forward_problem(s);
    const ConvJob<T> job{context,     problem,   w.as<T>(),     x.as<T>(), b ? b->as<T>() : nullptr,
                         out.as<T>(), out.numel, s.out_plane(), s.filters};
    if (!s.large_pointwise()) return job.over_windows();
    gemm(context, pointwise_product(s, out, w, x, false));
    if (b) job.finish(out.as<T>(), 1);
  });
}

void conv2d_grad_input(KernelContext& context, const View& gx, const View& g, const View& w,
                       const Conv2dParams& p) {
  if (gx.numel == 0) return;
  const ConvSizes s(context, gx, w, g, p);
  const int64_t inputs = s.channels * s.x_plane();
  if (s.whole_image())
    return gemm(context, {gx.dtype, s.images, inputs, s.filters, 1, g.data, w.data, gx.data, false,
                          false, s.filters, inputs, inputs, 0, 0, 0});
  if (s.large_pointwise()) return gemm(context, pointwise_product(s, gx, w, g, true));
  with_float(gx.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const ConvProblem problem = input_problem(s);
    ConvJob<T>{context,    problem,  w.as<T>(),   g.as<T>(), nullptr,
               gx.as<T>(), gx.numel, s.x_plane(), s.channels}
        .over_windows();
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
