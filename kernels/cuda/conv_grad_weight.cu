// Row conv2d_grad_weight: an implicit product of matrices (conv_problem.cuh) whose sums run over
// all outputs of all images, so they are mostly split.
#include "kernels/cuda/conv_launch.cuh"
#include "kernels/cuda/conv_sizes.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

ConvProblem weight_problem(const ConvSizes& s) {
  ConvProblem r{};
  r.rows = s.group_filters;
  r.groups = s.p.groups;
  r.a_row = s.out_plane();
  r.out_row = s.group_channels * s.window_plane();
  r.a_group = s.group_filters * s.out_plane();
  r.b_group = s.group_channels * s.x_plane();
  r.out_group = s.group_filters * r.out_row;
  assign(r.a_term, s.filters * s.out_plane(), s.out[1], 1);
  assign(r.out_column, s.window_plane(), s.window[1], 1);
  walk_image(r, s, {s.channels * s.x_plane(), s.p.stride}, {s.x_plane(), s.p.dilation});
  set_digits(r.first, s.images, s.out[0], s.out[1], s.group_channels, s.window[0], s.window[1]);
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
