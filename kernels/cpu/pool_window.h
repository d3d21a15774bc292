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

// Output positions of an axis all of whose taps lie inside.
struct PoolInside {
  int64_t begin, end;
  TT_INLINE explicit PoolInside(const PoolAxis& a)
      : begin(smaller(a.out, steps_up(a.padding, a.stride))) {
    const int64_t room = a.in + a.padding - (a.kernel - 1) * a.dilation;
    end = room <= 0 ? begin : larger(begin, smaller(a.out, steps_up(room, a.stride)));
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
  parallel_for_units(context, s.planes, tasks, f);
}

template <int... I>
struct Numbers {};
template <int n, int... I>
struct NumbersTo : NumbersTo<n - 1, n - 1, I...> {};
template <int... I>
struct NumbersTo<0, I...> {
  using Type = Numbers<I...>;
};
template <class T>
using LaneNumbers = typename NumbersTo<kLanes<T>>::Type;

template <class T, int... I>
TT_INLINE Vec<T> ramp_of(Numbers<I...>) {
  return Vec<T>{static_cast<T>(I)...};
}
template <class T, int... I>
TT_INLINE Vec<T> even_lanes(const Vec<T>& a, const Vec<T>& b, Numbers<I...>) {
  return __builtin_shufflevector(a, b, (2 * I)...);
}
// The same where b begins with the last lane of a.
template <class T, int... I>
TT_INLINE Vec<T> even_lanes_overlapping(const Vec<T>& a, const Vec<T>& b, Numbers<I...>) {
  return __builtin_shufflevector(a, b, (2 * I < kLanes<T> ? 2 * I : 2 * I + 1)...);
}

// p[0], p[stride], ... for `count` outputs, at least 1 and at most a vector of them; stride 1 or 2.
// Reads nothing behind the last one; lanes beyond are anything.
template <int kStride, class T>
TT_INLINE Vec<T> load_taps(const T* p, int64_t count) {
  constexpr int64_t kW = kLanes<T>;
  if constexpr (kStride == 1) return count == kW ? load(p) : load_part(p, count, Vec<T>{});
  const int64_t n = 2 * count - 1;
  if (count == kW) return even_lanes_overlapping<T>(load(p), load(p + kW - 1), LaneNumbers<T>{});
  const Vec<T> a = n >= kW ? load(p) : load_part(p, n, Vec<T>{});
  const Vec<T> b = n > kW ? load_part(p + kW, n - kW, Vec<T>{}) : Vec<T>{};
  return even_lanes<T>(a, b, LaneNumbers<T>{});
}

constexpr int64_t kPoolChunk =
    64;  // output positions of a line worked on at once, in arrays on the stack

}  // namespace tinytorch::TT_KERNEL_NS
