// Geometry of pooling windows and the cut of planes into tasks, shared by maximum and average
// pooling.
#pragma once

#include "backends/cpu/rt.h"
#include "kernels/cpu/vec.h"

namespace tinytorch::TT_KERNEL_NS {

// ceil(a / b) for a >= 0: a division of 64-bit numbers costs as much as a whole tap of a short
// line, and b is nearly always 1 or 2.
TT_INLINE int64_t steps_up(int64_t a, int64_t b) {
  if (b == 1) return a;
  if (b == 2) return (a + 1) >> 1;
  return ceil_div(a, b);
}

// One axis: output position x sees input positions x stride + j dilation - padding, j < kernel, as
// far as they exist.
struct PoolAxis {
  int64_t in, out, kernel, stride, padding, dilation;

  TT_INLINE int64_t at(int64_t x, int64_t j) const { return x * stride + j * dilation - padding; }
  // The output positions for which tap j lies inside.
  TT_INLINE int64_t first(int64_t j) const {
    const int64_t before = padding - j * dilation;
    return before <= 0 ? 0 : smaller(out, steps_up(before, stride));
  }
  TT_INLINE int64_t end(int64_t j) const {
    const int64_t room = in + padding - j * dilation;
    return room <= 0 ? 0 : smaller(out, steps_up(room, stride));
  }
  // The first tap inside, for output position x, and how many there are.
  TT_INLINE int64_t first_tap(int64_t x) const {
    const int64_t before = padding - x * stride;
    return before <= 0 ? 0 : smaller(kernel, steps_up(before, dilation));
  }
  TT_INLINE int64_t taps(int64_t x) const {
    const int64_t room = in - at(x, 0);
    const int64_t until = room <= 0 ? 0 : smaller(kernel, steps_up(room, dilation));
    return larger<int64_t>(0, until - first_tap(x));
  }
};

struct PoolShape {
  int64_t planes;
  PoolAxis y, x;
  TT_INLINE int64_t in_plane() const { return y.in * x.in; }
  // Few outputs, wide windows (whole planes, say): loops run along the window instead of the line
  // of outputs.
  TT_INLINE bool narrow() const {
    return x.dilation == 1 && x.out < 8 && x.kernel >= x.out && x.kernel >= 3;
  }
  TT_INLINE int64_t out_plane() const { return y.out * x.out; }
};

// `in` is the larger side, `out` the pooled one.
TT_INLINE PoolShape pool_shape(const View& out, const View& in, const Pool2dParams& p) {
  PoolShape s;
  s.planes = in.shape[0] * in.shape[1];
  s.y = {in.shape[2], out.shape[2], p.kernel[0], p.stride[0], p.padding[0], p.dilation[0]};
  s.x = {in.shape[3], out.shape[3], p.kernel[1], p.stride[1], p.padding[1], p.dilation[1]};
  return s;
}

// f(plane) for all planes.
template <class F>
TT_INLINE void for_planes(KernelContext& context, const PoolShape& s, int64_t bytes, const F& f) {
  const int64_t tasks = tasks_for(bytes, cpu::kGrainBytes, smaller<int64_t>(s.planes, 64));
  parallel_for(context, tasks, [&](int64_t task) {
    const int64_t end = task_begin(s.planes, task + 1, tasks);
    for (int64_t plane = task_begin(s.planes, task, tasks); plane < end; ++plane) f(plane);
  });
}

constexpr int64_t kPoolChunk =
    64;  // output positions of a line worked on at once, in arrays on the stack

}  // namespace tinytorch::TT_KERNEL_NS
