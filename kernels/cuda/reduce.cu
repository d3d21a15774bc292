// The row `reduce`: sums, maxima and minima over any dims of a view with any strides. Sums of
// floats are made in double, of doubles in pairs of doubles, so their error is one rounding
// whatever the length; integers wrap.
#include "kernels/common/dispatch.h"
#include "kernels/cuda/device/reduction.cuh"
#include "kernels/cuda/extremes.cuh"
#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

template <class T>
struct SumOp : OneInput<T, Sum<T>> {
  T* out;
  double scale;
  __device__ void finish(const Place& at, const Nothing&, const Sum<T>& p) const {
    out[at.out] = static_cast<T>(p.value() * scale);
  }
};

// Wraps around.
struct IntegerSum {
  uint64_t sum;
  __device__ static IntegerSum nothing() { return {}; }
  __device__ void join(const IntegerSum& b) { sum += b.sum; }
};
template <class T, int kN>
__device__ void add_all(IntegerSum& p, const T (&x)[kN]) {
  for (int i = 0; i < kN; ++i) p.sum += static_cast<uint64_t>(x[i]);
}
template <class T>
struct IntegerSumOp : OneInput<T, IntegerSum> {
  T* out;
  __device__ void finish(const Place& at, const Nothing&, const IntegerSum& p) const {
    out[at.out] = static_cast<T>(p.sum);
  }
};

template <class T>
struct ExtremeOp {
  using Element = T;
  using Best = typename Turn<T>::Best;
  struct Part {
    Best best;
  };
  using Local = Nothing;
  static constexpr int kInputs = 1;
  const T* in[1];
  T* out;
  Turn<T> turn;

  __device__ Local local(const Place&) const { return {}; }
  __device__ static Part start() { return {Turn<T>::lowest()}; }
  template <int kN>
  __device__ void add(Part& p, const Local&, const Values<T, 1, kN>& v, int64_t) const {
    for (int i = 0; i < kN; ++i) join(p, {static_cast<Best>(turn(v.at[0][i]))});
  }
  __device__ static void join(Part& a, const Part& b) { a.best = MaxOf::of(a.best, b.best); }
  __device__ void finish(const Place& at, const Local&, const Part& p) const {
    out[at.out] = turn(static_cast<T>(p.best));
  }
};

}  // namespace

void reduce(KernelContext& ctx, ReduceOp op, const View& out, const View& in,
            const ReduceParams& p) {
  const ReducePlan plan = plan_of(out, in);
  if (op != ReduceOp::sum) {
    return with_ordered(in.dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      run_reduction(ctx, ExtremeOp<T>{{in.as<const T>()}, out.as<T>(), Turn<T>(op)}, plan);
    });
  }
  with_float(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    run_reduction(ctx, SumOp<T>{{{in.as<const T>()}}, out.as<T>(), p.scale}, plan);
  });
  with_integer(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    run_reduction(ctx, IntegerSumOp<T>{{{in.as<const T>()}}, out.as<T>()}, plan);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
