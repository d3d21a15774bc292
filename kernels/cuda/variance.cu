// The row variance over [outer, n, inner], and the moments of batches and rows for the
// normalisations.
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/moments.cuh"

namespace tinytorch::TT_KERNEL_NS {

void reduce_moments(KernelContext& ctx, const MomentsOp<float>& op, const ReducePlan& plan) {
  run_reduction(ctx, op, plan);
}
void reduce_moments(KernelContext& ctx, const MomentsOp<double>& op, const ReducePlan& plan) {
  run_reduction(ctx, op, plan);
}

void variance(KernelContext& ctx, const View& out, const View& in, const ReduceParams& p) {
  if (in.numel == 0) return;
  with_float(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    MomentsOp<T> op{};
    op.in[0] = in.as<const T>();
    op.count = static_cast<double>(in.shape[1]);
    op.variance = out.as<T>();
    op.scale = p.scale;
    reduce_moments(ctx, op, plan_lines(in.shape[0], in.shape[1], in.shape[2]));
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
