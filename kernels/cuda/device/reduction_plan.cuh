// How a reduction walks its operand: the dims of a view, merged, as kept and as reduced axes. From
// the number of a result follow the offsets of its first element and of its place; from the number
// of an element behind it, the offset from there.
#pragma once

#include "kernels/cuda/divisor.cuh"

namespace tinytorch::TT_KERNEL_NS {

struct ReduceAxis {
  Divisor size;
  int64_t in, out;  // strides in elements
};

// Plain data. The innermost axis of unit stride, if there is one, is the last of its kind.
struct ReducePlan {
  int kept = 0, reduced = 0;
  ReduceAxis k[kMaxRank]{}, r[kMaxRank]{};
  int64_t outputs = 1, count = 1;  // results, and elements behind each
};

// A result: its number, where its elements begin, and where it goes.
struct Place {
  int64_t output, in, out;
};

__device__ inline Place place_of(const ReducePlan& plan, int64_t output) {
  Place at{output, 0, 0};
  int64_t rest = output;
  for (int d = plan.kept - 1; d > 0; --d) {
    const Quotient q = divide(rest, plan.k[d].size);
    at.in += q.rest * plan.k[d].in;
    at.out += q.rest * plan.k[d].out;
    rest = q.quotient;
  }
  at.in += rest * plan.k[0].in;
  at.out += rest * plan.k[0].out;
  return at;
}

__device__ inline int64_t element_offset(const ReducePlan& plan, int64_t j) {
  int64_t offset = 0;
  for (int d = plan.reduced - 1; d > 0; --d) {
    const Quotient q = divide(j, plan.r[d].size);
    offset += q.rest * plan.r[d].in;
    j = q.quotient;
  }
  return offset + j * plan.r[0].in;
}

// ---- making plans. Axes come from the outermost to the innermost.

class ReducePlanner {
 public:
  void keep(int64_t size, int64_t in, int64_t out) {
    append(plan_.k, plan_.kept, 0, size, in, out);
  }
  void reduce(int64_t size, int64_t in) { append(plan_.r, plan_.reduced, 1, size, in, 0); }

  ReducePlan plan() {
    if (plan_.kept == 0) plan_.kept = 1, plan_.k[0] = {divisor_of(1), 0, 0};
    if (plan_.reduced == 0) plan_.reduced = 1, plan_.r[0] = {divisor_of(1), 1, 0};
    unit_last(plan_.k, plan_.kept);
    unit_last(plan_.r, plan_.reduced);
    return plan_;
  }

 private:
  // Merges neighbours of one kind where the strides allow it.
  void append(ReduceAxis* axes, int& n, int kind, int64_t size, int64_t in, int64_t out) {
    (kind ? plan_.count : plan_.outputs) *= size;
    if (size <= 1) return;
    const bool merge =
        n > 0 && last_ == kind && axes[n - 1].in == in * size && axes[n - 1].out == out * size;
    if (merge) size *= static_cast<int64_t>(axes[--n].size.by);
    axes[n++] = {divisor_of(size), in, out};
    last_ = kind;
  }
  static void unit_last(ReduceAxis* axes, int n) {
    for (int i = 0; i < n; ++i) {
      if (axes[i].in != 1) continue;
      const ReduceAxis unit = axes[i];
      for (; i + 1 < n; ++i) axes[i] = axes[i + 1];
      axes[n - 1] = unit;
    }
  }

  ReducePlan plan_;
  int last_ = -1;
};

// Of the row `reduce`: the dims in which `out` has stride 0 are reduced.
inline ReducePlan plan_of(const View& out, const View& in) {
  ReducePlanner p;
  for (int d = 0; d < in.rank; ++d) {
    if (out.strides[d] == 0) {
      p.reduce(in.shape[d], in.strides[d]);
    } else {
      p.keep(in.shape[d], in.strides[d], out.strides[d]);
    }
  }
  return p.plan();
}

// Dense x [outer, n, inner], reduced along n; results [outer, inner].
inline ReducePlan plan_lines(int64_t outer, int64_t n, int64_t inner) {
  ReducePlanner p;
  p.keep(outer, n * inner, inner);
  p.reduce(n, inner);
  p.keep(inner, 1, 1);
  return p.plan();
}
// Dense x [N, C, S], reduced along N and S; results [C].
inline ReducePlan plan_channels(int64_t batch, int64_t channels, int64_t size) {
  ReducePlanner p;
  p.reduce(batch, channels * size);
  p.keep(channels, size, 1);
  p.reduce(size, 1);
  return p.plan();
}

}  // namespace tinytorch::TT_KERNEL_NS
