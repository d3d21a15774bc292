// The row arg_reduce over [outer, n, inner]. Of two places the better is a matter of value and
// index alone, NaN before numbers and the first of equals, so any tree gives the same answer.
#include "kernels/cuda/device/reduction.cuh"
#include "kernels/cuda/extremes.cuh"
#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

template <class T>
struct ArgOp {
  using Element = T;
  using Best = typename Turn<T>::Best;
  struct Part {
    int64_t at;
    Best best;
  };
  using Local = Nothing;
  static constexpr int kInputs = 1;
  const T* in[1];
  T* values;  // may be null
  int64_t* indices;
  Turn<T> turn;

  __device__ Local local(const Place&) const { return {}; }
  __device__ static Part start() { return {IntLimits<int64_t>::max, Turn<T>::lowest()}; }
  template <int kN>
  __device__ void add(Part& p, const Local&, const Values<T, 1, kN>& v, int64_t j) const {
    for (int i = 0; i < kN; ++i) join(p, {j + i, static_cast<Best>(turn(v.at[0][i]))});
  }
  __device__ static void join(Part& a, const Part& b) {
    const bool nan = a.best != a.best, other_nan = b.best != b.best;
    const bool equal = a.best == b.best || (nan && other_nan);
    if (equal ? b.at < a.at : other_nan || (!nan && b.best > a.best)) a = b;
  }
  __device__ void finish(const Place& place, const Local&, const Part& p) const {
    indices[place.out] = p.at;
    if (values) values[place.out] = turn(static_cast<T>(p.best));
  }
};

}  // namespace

void arg_reduce(KernelContext& ctx, ReduceOp op, const View* values, const View& indices,
                const View& in) {
  const ReducePlan plan = plan_lines(in.shape[0], in.shape[1], in.shape[2]);
  with_ordered(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    run_reduction(ctx,
                  ArgOp<T>{{in.as<const T>()},
                           values ? values->as<T>() : nullptr,
                           indices.as<int64_t>(),
                           Turn<T>(op)},
                  plan);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
