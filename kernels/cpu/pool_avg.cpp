// Rows avg_pool2d and avg_pool2d_grad. A line of outputs at a time, one loop over the line for
// every tap. Sums go line by line of the window, so chains of additions stay short.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/pool_window.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {

// What a sum is divided by: the whole window, or its part inside.
TT_INLINE int64_t divisor(const PoolShape& s, bool whole, int64_t y, int64_t x) {
  return whole ? s.y.kernel * s.x.kernel : larger<int64_t>(1, s.y.taps(y) * s.x.taps(x));
}

template <class T>
TT_INLINE T sum_line(const T* from, int64_t count) {
  Vec<T> sum{};
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) sum += load(from + i);
  sum += load_part<T>(from + i, count - i, Vec<T>{});
  return across<T>(sum, [](T a, T b) { return a + b; });
}

template <class T>
void average_narrow_line(const PoolShape& s, const T* in, bool whole, int64_t y, T* out) {
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y);
  for (int64_t x = 0; x < s.x.out; ++x) {
    const int64_t j0 = s.x.first_tap(x), taps = s.x.taps(x);
    T sum{};
    for (int64_t i = i0; i < i1; ++i)
      sum += sum_line(in + s.y.at(y, i) * s.x.in + s.x.at(x, j0), taps);
    out[x] = sum / static_cast<T>(divisor(s, whole, y, x));
  }
}

template <class T>
void average_line(const PoolShape& s, const T* in, bool whole, int64_t y, T* out) {
  T sum[kPoolChunk], part[kPoolChunk];
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y), stride = s.x.stride;
  for (int64_t c0 = 0; c0 < s.x.out; c0 += kPoolChunk) {
    const int64_t count = smaller(kPoolChunk, s.x.out - c0);
    for (int64_t x = 0; x < count; ++x) sum[x] = T{};
    for (int64_t i = i0; i < i1; ++i) {
      const T* line = in + s.y.at(y, i) * s.x.in;
      for (int64_t x = 0; x < count; ++x) part[x] = T{};
      for (int64_t j = 0; j < s.x.kernel; ++j) {
        const int64_t begin = larger(c0, s.x.first(j)) - c0,
                      end = smaller(c0 + count, s.x.end(j)) - c0;
        const int64_t shift = s.x.at(c0, j);
        if (stride == 2) {
          for (int64_t x = begin; x < end; ++x) part[x] += line[x * 2 + shift];
        } else {
          for (int64_t x = begin; x < end; ++x) part[x] += line[x * stride + shift];
        }
      }
      for (int64_t x = 0; x < count; ++x) sum[x] += part[x];
    }
    for (int64_t x = 0; x < count; ++x)
      out[c0 + x] = sum[x] / static_cast<T>(divisor(s, whole, y, c0 + x));
  }
}

template <class T>
void average_planes(KernelContext& context, const View& out, const View& in,
                    const Pool2dParams& p) {
  const PoolShape s = pool_shape(out, in, p);
  const bool narrow = s.narrow();
  for_planes(context, s, bytes_of(in) + bytes_of(out), [&](int64_t plane) {
    const T* from = in.as<T>() + plane * s.in_plane();
    T* to = out.as<T>() + plane * s.out_plane();
    for (int64_t y = 0; y < s.y.out; ++y, to += s.x.out) {
      narrow ? average_narrow_line(s, from, p.count_include_pad, y, to)
             : average_line(s, from, p.count_include_pad, y, to);
    }
  });
}

template <class T>
void spread_line(const PoolShape& s, const T* g, bool whole, int64_t y, T* gx) {
  T share[kPoolChunk];
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y), stride = s.x.stride;
  for (int64_t c0 = 0; c0 < s.x.out; c0 += kPoolChunk) {
    const int64_t count = smaller(kPoolChunk, s.x.out - c0);
    for (int64_t x = 0; x < count; ++x)
      share[x] = g[c0 + x] / static_cast<T>(divisor(s, whole, y, c0 + x));
    for (int64_t i = i0; i < i1; ++i) {
      T* line = gx + s.y.at(y, i) * s.x.in;
      for (int64_t j = 0; j < s.x.kernel; ++j) {
        const int64_t begin = larger(c0, s.x.first(j)) - c0,
                      end = smaller(c0 + count, s.x.end(j)) - c0;
        const int64_t shift = s.x.at(c0, j);
        for (int64_t x = begin; x < end; ++x) line[x * stride + shift] += share[x];
      }
    }
  }
}

template <class T>
void spread_narrow_line(const PoolShape& s, const T* g, bool whole, int64_t y, T* gx) {
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y);
  for (int64_t x = 0; x < s.x.out; ++x) {
    const int64_t j0 = s.x.first_tap(x), taps = s.x.taps(x);
    const T share = g[x] / static_cast<T>(divisor(s, whole, y, x));
    for (int64_t i = i0; i < i1; ++i) {
      T* line = gx + s.y.at(y, i) * s.x.in + s.x.at(x, j0);
      for (int64_t j = 0; j < taps; ++j) line[j] += share;
    }
  }
}

template <class T>
void average_gradient_planes(KernelContext& context, const View& gx, const View& g,
                             const Pool2dParams& p) {
  const PoolShape s = pool_shape(g, gx, p);
  const bool narrow = s.narrow();
  for_planes(context, s, bytes_of(gx) + bytes_of(g), [&](int64_t plane) {
    T* to = gx.as<T>() + plane * s.in_plane();
    for (int64_t i = 0; i < s.in_plane(); ++i) to[i] = T{};
    for (int64_t y = 0; y < s.y.out; ++y) {
      const T* line = g.as<T>() + plane * s.out_plane() + y * s.x.out;
      narrow ? spread_narrow_line(s, line, p.count_include_pad, y, to)
             : spread_line(s, line, p.count_include_pad, y, to);
    }
  });
}

}  // namespace

void avg_pool2d(KernelContext& context, const View& out, const View& x, const Pool2dParams& p) {
  if (out.numel == 0) return;
  x.dtype == Dtype::f32 ? average_planes<float>(context, out, x, p)
                        : average_planes<double>(context, out, x, p);
}

void avg_pool2d_grad(KernelContext& context, const View& gx, const View& g, const Pool2dParams& p) {
  if (gx.numel == 0) return;
  gx.dtype == Dtype::f32 ? average_gradient_planes<float>(context, gx, g, p)
                         : average_gradient_planes<double>(context, gx, g, p);
}

}  // namespace tinytorch::TT_KERNEL_NS
