// reduce and arg_reduce. In `reduce` the output is a view of the input's shape with stride 0 in the
// reduced dims.
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// Is x to replace the best so far? The first NaN wins, then the first of equals.
template <class T>
bool beats(ReduceOp op, T x, T best) {
  if (best != best) return false;
  return x != x || (op == ReduceOp::max ? x > best : x < best);
}

// The dims of a view that are reduced, or those that are kept.
struct DimSet {
  int count = 0;
  int dim[kMaxRank];
  int64_t numel = 1;

  DimSet(const View& out, bool reduced) {
    for (int d = 0; d < out.rank; ++d) {
      if ((out.strides[d] == 0) != reduced) continue;
      dim[count++] = d;
      numel *= out.shape[d];
    }
  }
  // Offset in `v` of the row-major position `linear` among these dims.
  int64_t offset(const View& v, int64_t linear) const {
    int64_t at = 0;
    for (int i = count - 1; i >= 0; --i) {
      const int d = dim[i];
      at += linear % v.shape[d] * v.strides[d];
      linear /= v.shape[d];
    }
    return at;
  }
};

template <class T>
T reduce_one(ReduceOp op, const T* in, const View& shape, const DimSet& reduced,
             const ReduceParams& p) {
  if (op == ReduceOp::sum) {
    Wide<T> sum = 0;
    for (int64_t j = 0; j < reduced.numel; ++j) sum += in[reduced.offset(shape, j)];
    if constexpr (std::is_floating_point_v<T>) sum *= p.scale;
    return narrow<T>(sum);
  }
  T best = in[0];
  for (int64_t j = 1; j < reduced.numel; ++j) {
    const T x = in[reduced.offset(shape, j)];
    if (beats(op, x, best)) best = x;
  }
  return best;
}

}  // namespace

void reduce(KernelContext&, ReduceOp op, const View& out, const View& in, const ReduceParams& p) {
  const DimSet kept(out, false), reduced(out, true);
  with_compute(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for (int64_t i = 0; i < kept.numel; ++i) {
      out.as<T>()[kept.offset(out, i)] =
          reduce_one<T>(op, in.as<T>() + kept.offset(in, i), in, reduced, p);
    }
  });
}

void arg_reduce(KernelContext&, ReduceOp op, const View* values, const View& indices,
                const View& in) {
  const int64_t outer = in.shape[0], n = in.shape[1], inner = in.shape[2];
  with_compute(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for (int64_t i = 0; i < outer * inner; ++i) {
      const T* row = in.as<T>() + i / inner * n * inner + i % inner;
      int64_t best = 0;
      for (int64_t j = 1; j < n; ++j) {
        if (beats(op, row[j * inner], row[best * inner])) best = j;
      }
      indices.as<int64_t>()[i] = best;
      if (values) values->as<T>()[i] = row[best * inner];
    }
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
