// Row conv2d_grad_weight: an implicit product of matrices (conv_problem.cuh) whose sums run over
// all outputs of all images, so they are mostly split.
#include "kernels/cuda/conv_launch.cuh"
#include "kernels/cuda/conv_sizes.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

ConvProblem weight_problem(const ConvSizes& s) {
  const Conv2dParams& p = s.p;
  ConvProblem r{};
  r.rows = s.group_filters;
  r.groups = p.groups;
  r.a_row = s.out_plane();
  r.out_row = s.group_channels * s.window_plane();
  r.a_group = s.group_filters * s.out_plane();
  r.b_group = s.group_channels * s.x_plane();
  r.out_group = s.group_filters * r.out_row;
  assign(r.a_term, s.filters * s.out_plane(), s.out[1], 1);
  assign(r.b_term, s.channels * s.x_plane(), p.stride[0] * s.x[1], p.stride[1]);
  assign(r.b_column, s.x_plane(), p.dilation[0] * s.x[1], p.dilation[1]);
  assign(r.out_column, s.window_plane(), s.window[1], 1);
  r.term_y = static_cast<uint32_t>(p.stride[0]);
  r.term_x = static_cast<uint32_t>(p.stride[1]);
  r.column_y = static_cast<uint32_t>(p.dilation[0]);
  r.column_x = static_cast<uint32_t>(p.dilation[1]);
  r.height = static_cast<uint32_t>(s.x[0]);
  r.width = static_cast<uint32_t>(s.x[1]);
  set_digits(r.first, s.images, s.out[0], s.out[1], s.group_channels, s.window[0], s.window[1]);
  r.first.b = -p.padding[0] * s.x[1] - p.padding[1];
  r.first.y = static_cast<uint32_t>(-p.padding[0]);
  r.first.x = static_cast<uint32_t>(-p.padding[1]);
  r.phases.count[0] = r.phases.count[1] = 1;
  return r;
}

}  // namespace

void conv2d_grad_weight(KernelContext& context, const View& gw, const View& g, const View& x,
                        const Conv2dParams& p) {
  if (gw.numel == 0) return;
  const ConvSizes s(context, x, gw, g, p);
  const int64_t inputs = s.channels * s.x_plane();
  if (s.whole_image())
    return gemm(context, {gw.dtype, s.filters, inputs, s.images, 1, g.data, x.data, gw.data, true,
                          false, s.filters, inputs, inputs, 0, 0, 0});
  with_float(gw.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const ConvProblem problem = weight_problem(s);
    ConvJob<T>{context, problem, g.as<T>(), x.as<T>(), nullptr, gw.as<T>(), gw.numel, 1, 1}
        .over_outputs();
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
