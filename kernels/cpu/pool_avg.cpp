// Rows avg_pool2d and avg_pool2d_grad. A line of outputs at a time: in vectors of outputs where all
// taps lie inside, tap by tap at the borders. Sums go line by line of the window, so chains of
// additions stay short.
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

// Outputs [begin, end) of line y, all of whose taps lie inside: sums stay in registers.
template <int kStride, class T>
[[gnu::noinline]] void average_inside(const PoolShape& s, const T* in, bool whole, int64_t y,
                                      int64_t begin, int64_t end, T* out) {
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y);
  const Vec<T> by = splat(static_cast<T>(divisor(s, whole, y, begin)));
  for (int64_t x = begin; x < end; x += kLanes<T>) {
    const int64_t count = smaller<int64_t>(kLanes<T>, end - x);
    Vec<T> sum{};
    for (int64_t i = i0; i < i1; ++i) {
      const T* line = in + s.y.at(y, i) * s.x.in + s.x.at(x, 0);
      Vec<T> part = load_taps<kStride>(line, count);
      for (int64_t j = 1; j < s.x.kernel; ++j)
        part += load_taps<kStride>(line + j * s.x.dilation, count);
      sum += part;
    }
    store_part(out + x, count, static_cast<Vec<T>>(sum / by));
  }
}

// Outputs [first, last) of line y.
template <class T>
void average_line(const PoolShape& s, const T* in, bool whole, int64_t y, int64_t first,
                  int64_t last, T* out) {
  T sum[kPoolChunk], part[kPoolChunk];
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y), stride = s.x.stride;
  for (int64_t c0 = first; c0 < last; c0 += kPoolChunk) {
    const int64_t count = smaller(kPoolChunk, last - c0);
    for (int64_t x = 0; x < count; ++x) sum[x] = T{};
    for (int64_t i = i0; i < i1; ++i) {
      const T* line = in + s.y.at(y, i) * s.x.in;
      for (int64_t x = 0; x < count; ++x) part[x] = T{};
      for (int64_t j = 0; j < s.x.kernel; ++j) {
        const int64_t begin = larger(c0, s.x.first(j)) - c0,
                      end = smaller(c0 + count, s.x.end(j)) - c0;
        const int64_t shift = s.x.at(c0, j);
        for (int64_t x = begin; x < end; ++x) part[x] += line[x * stride + shift];
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
  const bool narrow = s.narrow(), whole = p.count_include_pad;
  const PoolInside inside(s.x);
  const auto average_between = s.x.stride == 1   ? average_inside<1, T>
                               : s.x.stride == 2 ? average_inside<2, T>
                                                 : average_line<T>;
  for_planes(context, s, bytes_of(in) + bytes_of(out), [&](int64_t plane) {
    const T* from = in.as<T>() + plane * s.in_plane();
    T* to = out.as<T>() + plane * s.out_plane();
    for (int64_t y = 0; y < s.y.out; ++y, to += s.x.out) {
      if (narrow) {
        average_narrow_line(s, from, whole, y, to);
        continue;
      }
      average_line(s, from, whole, y, 0, inside.begin, to);
      average_between(s, from, whole, y, inside.begin, inside.end, to);
      average_line(s, from, whole, y, inside.end, s.x.out, to);
    }
  });
}

// Line y of the gradient where windows are two wide, side by side and without padding: every
// element of its lines of gx is written once.
template <class T>
[[gnu::noinline]] void spread_pairs(const PoolShape& s, const T* g, int64_t y, T* gx) {
  const T by = static_cast<T>(s.y.kernel * s.x.kernel);
  T* first = gx + y * s.y.kernel * s.x.in;
  for (int64_t x = 0; x < s.x.out; ++x) first[2 * x] = first[2 * x + 1] = g[x] / by;
  for (int64_t x = 2 * s.x.out; x < s.x.in; ++x) first[x] = T{};
  for (int64_t i = 1; i < s.y.kernel; ++i)
    __builtin_memcpy(first + i * s.x.in, first, static_cast<size_t>(s.x.in) * sizeof(T));
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
  const auto side_by_side = [](const PoolAxis& a) {
    return a.stride == a.kernel && a.padding == 0 && a.out * a.stride <= a.in;
  };
  const bool pairs = side_by_side(s.x) && side_by_side(s.y) && s.x.kernel == 2;
  for_planes(context, s, bytes_of(gx) + bytes_of(g), [&](int64_t plane) {
    T* to = gx.as<T>() + plane * s.in_plane();
    const int64_t written = pairs ? s.y.out * s.y.kernel * s.x.in : 0;
    for (int64_t i = written; i < s.in_plane(); ++i) to[i] = T{};
    for (int64_t y = 0; y < s.y.out; ++y) {
      const T* line = g.as<T>() + plane * s.out_plane() + y * s.x.out;
      pairs    ? spread_pairs(s, line, y, to)
      : narrow ? spread_narrow_line(s, line, p.count_include_pad, y, to)
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
