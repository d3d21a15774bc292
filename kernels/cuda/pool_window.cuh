// Geometry of pooling windows: which taps of a window lie inside the image, and which windows hold
// an element of it.
#pragma once

#include "kernels/cuda/index.cuh"

namespace tinytorch::TT_KERNEL_NS {

// One axis: output position x sees input positions x stride + j dilation - padding, j < kernel, as
// far as they exist.
template <class I>
struct PoolAxis {
  I in, out, kernel, stride, padding, dilation;

  __device__ I at(I x, I j) const { return x * stride + j * dilation - padding; }
  __device__ I first_tap(I x) const {  // kernel, if none lies inside
    const I before = -at(x, 0);
    if (before <= 0) return 0;
    const I steps = dilation == 1 ? before : quotient(before + dilation - 1, dilation);
    return steps < kernel ? steps : kernel;
  }
  __device__ I end_tap(I x) const {
    const I room = in - at(x, 0);
    if (room > (kernel - 1) * dilation) return kernel;
    if (room <= 0) return 0;
    return dilation == 1 ? room : quotient(room + dilation - 1, dilation);
  }
  __device__ I taps(I x) const {
    const I n = end_tap(x) - first_tap(x);
    return n > 0 ? n : 0;
  }
  // The output positions with a tap at input position i or, if dilated, beside it: [first, end).
  __device__ I first_window(I i) const {
    const I last_tap_at = i + padding - (kernel - 1) * dilation;
    return last_tap_at <= 0 ? 0 : quotient(last_tap_at + stride - 1, stride);
  }
  __device__ I end_window(I i) const {
    const I end = quotient(i + padding, stride) + 1;
    return end < out ? end : out;
  }
  __device__ bool holds(I x, I i) const {  // of a window of those
    const I distance = i - at(x, 0);
    return dilation == 1 || quotient(distance, dilation) * dilation == distance;
  }
};

// I: int32_t where all sizes are small, which saves registers and time, else int64_t.
template <class I>
struct PoolShape {
  PoolAxis<I> y, x;
  int64_t outputs;
  int64_t whole;  // not 0: divide by the full window, padding included

  // What the sum of a window is divided by.
  __device__ int64_t divisor(I oy, I ox) const {
    if (whole != 0) return static_cast<int64_t>(y.kernel) * x.kernel;
    const int64_t n = static_cast<int64_t>(y.taps(oy)) * x.taps(ox);
    return n > 0 ? n : 1;
  }
};

// `in` is the larger side, `out` the pooled one.
template <class I>
PoolShape<I> pool_shape(const View& out, const View& in, const Pool2dParams& p) {
  const auto axis = [&](int d) {
    return PoolAxis<I>{static_cast<I>(in.shape[2 + d]), static_cast<I>(out.shape[2 + d]),
                       static_cast<I>(p.kernel[d]),     static_cast<I>(p.stride[d]),
                       static_cast<I>(p.padding[d]),    static_cast<I>(p.dilation[d])};
  };
  return {axis(0), axis(1), out.numel, p.count_include_pad};
}

// Do 32 bits suffice for every number that occurs?
inline bool is_small_pool(const View& out, const View& in, const Pool2dParams& p) {
  constexpr int64_t kMost = int64_t{1} << 28;
  bool small = in.numel <= kMost && out.numel <= kMost;
  for (int d = 0; d < 2; ++d) {
    small = small && p.kernel[d] <= kMost && p.stride[d] <= kMost && p.dilation[d] <= kMost &&
            p.kernel[d] * p.dilation[d] <= kMost;
  }
  return small;
}

// An element of [planes, height, width].
template <class I>
struct PlanePlace {
  I plane, y, x;
  __device__ PlanePlace(int64_t linear, I height, I width) {
    const I at = static_cast<I>(linear), row = quotient(at, width);
    x = at - row * width;
    plane = quotient(row, height);
    y = row - plane * height;
  }
};

// The taps of one window inside the image: rows from line `y0`, columns from `x0`.
template <class I>
struct Window {
  I y0, rows, x0, columns;
  __device__ Window(const PoolShape<I>& s, const PlanePlace<I>& o)
      : y0(s.y.at(o.y, s.y.first_tap(o.y))),
        rows(s.y.taps(o.y)),
        x0(s.x.at(o.x, s.x.first_tap(o.x))),
        columns(s.x.taps(o.x)) {}
};

}  // namespace tinytorch::TT_KERNEL_NS
