// Row max_pool2d. A line of outputs at a time: every tap is one loop over the line that keeps the
// larger value and its place, which the compiler vectorises. First of equals and NaN win because
// taps come in row-major order and only a larger value or a NaN replaces.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/pool_window.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {

// One tap for outputs [begin, end): line[x kStride + shift]; kStride 0 means `stride`.
template <int kStride, class T, class I>
TT_INLINE void keep_larger(const T* line, int64_t stride, int64_t shift, I place, int64_t begin,
                           int64_t end, T* best, I* at) {
  const int64_t step = kStride ? kStride : stride;
  for (int64_t x = begin; x < end; ++x) {
    const T v = line[x * step + shift];
    const bool take = !(v <= best[x]) && best[x] == best[x];
    best[x] = take ? v : best[x];
    at[x] = take ? static_cast<I>(place + static_cast<I>(x * step)) : at[x];
  }
}

// I holds a place in a plane; the size of T if that is enough, so that lanes match.
template <class T, class I>
void max_line(const PoolShape& s, const T* in, int64_t y, T* out, int64_t* indices) {
  T best[kPoolChunk];
  I at[kPoolChunk];
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y), last = s.in_plane() - 1;
  for (int64_t c0 = 0; c0 < s.x.out; c0 += kPoolChunk) {
    const int64_t count = smaller(kPoolChunk, s.x.out - c0);
    for (int64_t x = 0; x < count; ++x) {  // where the search starts: the first place inside
      const int64_t first =
          s.x.at(c0 + x, 0) >= 0 ? s.x.at(c0 + x, 0) : s.x.at(c0 + x, s.x.first_tap(c0 + x));
      best[x] = -static_cast<T>(__builtin_inff());
      at[x] = static_cast<I>(smaller(last, larger<int64_t>(0, s.y.at(y, i0) * s.x.in + first)));
    }
    for (int64_t i = i0; i < i1; ++i) {
      const T* line = in + s.y.at(y, i) * s.x.in;
      for (int64_t j = 0; j < s.x.kernel; ++j) {
        const int64_t begin = larger(c0, s.x.first(j)) - c0,
                      end = smaller(c0 + count, s.x.end(j)) - c0;
        const int64_t shift = s.x.at(c0, j);
        const I place = static_cast<I>(s.y.at(y, i) * s.x.in + shift);
        if (s.x.stride == 2) {
          keep_larger<2>(line, 2, shift, place, begin, end, best, at);
        } else if (s.x.stride == 1) {
          keep_larger<1>(line, 1, shift, place, begin, end, best, at);
        } else {
          keep_larger<0>(line, s.x.stride, shift, place, begin, end, best, at);
        }
      }
    }
    for (int64_t x = 0; x < count; ++x) {
      out[c0 + x] = best[x];
      indices[c0 + x] = at[x];
    }
  }
}

// The commonest window, 2x2 at stride 2 without padding, for planes with lines too short for
// vectors.
template <class T>
void max_two_by_two(const PoolShape& s, const T* in, T* __restrict out,
                    int64_t* __restrict indices) {
  const int64_t width = s.x.in, count = s.x.out;
  for (int64_t y = 0; y < s.y.out; ++y) {
    for (int64_t x = 0; x < count; ++x) {
      const int64_t first = 2 * y * width + 2 * x;
      T best = in[first];
      int64_t where = first;
      const auto tap = [&](int64_t at) {
        const T v = in[at];
        const bool take = !(v <= best) && best == best;
        best = take ? v : best;
        where = take ? at : where;
      };
      tap(first + 1);
      tap(first + width);
      tap(first + width + 1);
      *out++ = best;
      *indices++ = where;
    }
  }
}

template <class T>
void max_narrow_line(const PoolShape& s, const T* in, int64_t y, T* out, int64_t* indices) {
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y), last = s.in_plane() - 1;
  for (int64_t x = 0; x < s.x.out; ++x) {
    const int64_t j0 = s.x.first_tap(x), taps = s.x.taps(x),
                  start = s.y.at(y, i0) * s.x.in + s.x.at(x, j0);
    T best = -static_cast<T>(__builtin_inff());
    int64_t at = smaller(last, larger<int64_t>(0, start));
    for (int64_t i = i0; i < i1; ++i) {
      const int64_t place = s.y.at(y, i) * s.x.in + s.x.at(x, j0);
      for (int64_t j = 0; j < taps; ++j) {
        const T v = in[place + j];
        const bool take = !(v <= best) && best == best;
        best = take ? v : best;
        at = take ? place + j : at;
      }
    }
    out[x] = best;
    indices[x] = at;
  }
}

template <class T, class I>
void max_planes(KernelContext& context, const View& out, const View& indices, const View& in,
                const Pool2dParams& p) {
  const PoolShape s = pool_shape(out, in, p);
  const bool narrow = s.narrow();
  const auto plain = [](const PoolAxis& a) {
    return a.kernel == 2 && a.stride == 2 && a.padding == 0 && a.dilation == 1;
  };
  const bool two_by_two = plain(s.y) && plain(s.x) && s.x.out < 16;
  for_planes(context, s, bytes_of(in) + bytes_of(out) + bytes_of(indices), [&](int64_t plane) {
    const T* from = in.as<T>() + plane * s.in_plane();
    T* to = out.as<T>() + plane * s.out_plane();
    int64_t* places = indices.as<int64_t>() + plane * s.out_plane();
    if (two_by_two) return max_two_by_two(s, from, to, places);
    for (int64_t y = 0; y < s.y.out; ++y, to += s.x.out, places += s.x.out) {
      narrow ? max_narrow_line<T>(s, from, y, to, places) : max_line<T, I>(s, from, y, to, places);
    }
  });
}

}  // namespace

void max_pool2d(KernelContext& context, const View& out, const View& indices, const View& x,
                const Pool2dParams& p) {
  if (out.numel == 0) return;
  if (x.dtype == Dtype::f64) {
    max_planes<double, int64_t>(context, out, indices, x, p);
  } else if (x.shape[2] * x.shape[3] <= INT32_MAX) {
    max_planes<float, int32_t>(context, out, indices, x, p);
  } else {
    max_planes<float, int64_t>(context, out, indices, x, p);
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
