// Row max_pool2d. A line of outputs at a time: in vectors of outputs where all taps lie inside, tap
// by tap at the borders. First of equals and NaN win because taps come in row-major order and only
// a larger value or a NaN replaces.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/pool_window.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {

// One tap for outputs [begin, end): line[x step + shift].
template <class T, class I>
TT_INLINE void keep_larger(const T* line, int64_t step, int64_t shift, I place, int64_t begin,
                           int64_t end, T* best, I* at) {
  for (int64_t x = begin; x < end; ++x) {
    const T v = line[x * step + shift];
    const bool take = !(v <= best[x]) && best[x] == best[x];
    best[x] = take ? v : best[x];
    at[x] = take ? static_cast<I>(place + static_cast<I>(x * step)) : at[x];
  }
}

// Places of the maxima: `count` of a vector's.
template <class I>
TT_INLINE void store_places(int64_t* indices, int64_t count, const Vec<I>& at) {
  if constexpr (sizeof(I) == sizeof(int64_t)) {
    store_part(indices, count, at);
  } else {
    constexpr int64_t kHalf = kLanes<int64_t>;
    Vec<int64_t> low, high;
    widen<int64_t, I>(at, low, high);
    store_part(indices, smaller(kHalf, count), low);
    if (count > kHalf) store_part(indices + kHalf, count - kHalf, high);
  }
}

// Outputs [begin, end) of line y, all of whose taps lie inside (at least one): best values and
// places stay in registers. I is as large as T, so that lanes match.
template <int kStride, class T, class I>
[[gnu::noinline]] void max_inside(const PoolShape& s, const T* in, int64_t y, int64_t begin,
                                  int64_t end, T* out, int64_t* indices) {
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y);
  const Vec<I> lanes = ramp_of<I>(LaneNumbers<T>{}) * static_cast<I>(kStride);
  constexpr int64_t kW = kLanes<T>;
  for (int64_t at_least = begin; at_least < end; at_least += kW) {
    // The last vector begins earlier where it can, and finds some maxima once more.
    const int64_t x = end - begin >= kW ? smaller(at_least, end - kW) : begin,
                  count = smaller(kW, end - x);
    const int64_t corner = s.y.at(y, i0) * s.x.in + s.x.at(x, 0);
    Vec<T> best = load_taps<kStride>(in + corner, count);
    Vec<I> at = splat(static_cast<I>(corner)) + lanes;
    for (int64_t i = i0; i < i1; ++i) {
      for (int64_t j = 0; j < s.x.kernel; ++j) {
        const int64_t place = s.y.at(y, i) * s.x.in + s.x.at(x, j);
        const Vec<T> v = load_taps<kStride>(in + place, count);
        const auto take = ~(v <= best) & (best == best);
        best = take ? v : best;
        at = take ? splat(static_cast<I>(place)) + lanes : at;
      }
    }
    store_part(out + x, count, best);
    store_places<I>(indices + x, count, at);
  }
}

// Outputs [first, last) of line y.
template <class T, class I>
void max_line(const PoolShape& s, const T* in, int64_t y, int64_t first, int64_t last_x, T* out,
              int64_t* indices) {
  T best[kPoolChunk];
  I at[kPoolChunk];
  const int64_t i0 = s.y.first_tap(y), i1 = i0 + s.y.taps(y), last = s.in_plane() - 1;
  for (int64_t c0 = first; c0 < last_x; c0 += kPoolChunk) {
    const int64_t count = smaller(kPoolChunk, last_x - c0);
    for (int64_t x = 0; x < count; ++x) {  // where the search starts: the first place inside
      const int64_t start =
          s.x.at(c0 + x, 0) >= 0 ? s.x.at(c0 + x, 0) : s.x.at(c0 + x, s.x.first_tap(c0 + x));
      best[x] = -static_cast<T>(__builtin_inff());
      at[x] = static_cast<I>(smaller(last, larger<int64_t>(0, s.y.at(y, i0) * s.x.in + start)));
    }
    for (int64_t i = i0; i < i1; ++i) {
      const T* line = in + s.y.at(y, i) * s.x.in;
      for (int64_t j = 0; j < s.x.kernel; ++j) {
        const int64_t begin = larger(c0, s.x.first(j)) - c0,
                      end = smaller(c0 + count, s.x.end(j)) - c0;
        const int64_t shift = s.x.at(c0, j);
        const I place = static_cast<I>(s.y.at(y, i) * s.x.in + shift);
        keep_larger(line, s.x.stride, shift, place, begin, end, best, at);
      }
    }
    for (int64_t x = 0; x < count; ++x) {
      out[c0 + x] = best[x];
      indices[c0 + x] = at[x];
    }
  }
}

// Planes without padding whose lines are too short for vectors: a vector is filled with windows of
// several lines, or of several planes where a plane is small, and their elements are gathered. The
// pattern of places is made once and serves all groups of planes.
constexpr int64_t kPatternOutputs = 1024;
constexpr int64_t kShortPlane = 1 << 24;  // elements: places in a group of planes fit in 32 bits

TT_INLINE int64_t planes_in_group(const PoolShape& s) {
  return larger<int64_t>(1, kPoolChunk / s.out_plane());
}

// By output of a group: the first element of its window, and where its plane begins.
template <class I>
struct WindowPattern {
  I corners[kPatternOutputs], origins[kPatternOutputs];

  explicit WindowPattern(const PoolShape& s) {
    const int64_t group = planes_in_group(s), outputs = group * s.out_plane();
    int64_t o = 0;
    for (int64_t plane = 0; plane < group; ++plane) {
      for (int64_t y = 0; y < s.y.out; ++y) {
        for (int64_t x = 0; x < s.x.out; ++x, ++o) {
          origins[o] = static_cast<I>(plane * s.in_plane());
          corners[o] = origins[o] + static_cast<I>(s.y.at(y, 0) * s.x.in + s.x.at(x, 0));
        }
      }
    }
    // Lanes behind the last output read what the first one does.
    for (; o < (outputs + kLanes<I> - 1) / kLanes<I> * kLanes<I>; ++o) origins[o] = corners[o] = 0;
  }
};

template <class T, class I>
[[gnu::noinline]] void max_short_lines(const PoolShape& s, int64_t planes, const T* in, T* out,
                                       int64_t* indices) {
  constexpr int64_t kW = kLanes<T>;
  const int64_t group = planes_in_group(s);
  const WindowPattern<I> pattern(s);
  for (int64_t plane = 0; plane < planes; plane += group) {
    const int64_t outputs = smaller(group, planes - plane) * s.out_plane();
    for (int64_t o = 0; o < outputs; o += kW) {
      const int64_t count = smaller(kW, outputs - o);
      Vec<I> corner = load(pattern.corners + o);
      const Vec<I> in_plane = corner - load(pattern.origins + o);
      if (TT_UNLIKELY(o + kW > outputs))  // planes behind the last one are not there
        corner &= ramp_of<I>(LaneNumbers<T>{}) < splat(static_cast<I>(count));
      Vec<T> best = splat(-static_cast<T>(__builtin_inff()));
      Vec<I> at = in_plane;
      for (int64_t i = 0; i < s.y.kernel; ++i) {
        for (int64_t j = 0; j < s.x.kernel; ++j) {
          const I shift = static_cast<I>(i * s.y.dilation * s.x.in + j * s.x.dilation);
          const Vec<T> tap = gather<T, I>(in + shift, corner);
          const auto take = ~(tap <= best) & (best == best);
          best = take ? tap : best;
          at = take ? in_plane + splat(shift) : at;
        }
      }
      store_part(out + o, count, best);
      store_places<I>(indices + o, count, at);
    }
    in += group * s.in_plane();
    out += outputs;
    indices += outputs;
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
auto function_inside(int64_t stride) {
  if constexpr (sizeof(T) == sizeof(I)) {
    if (stride == 1) return &max_inside<1, T, I>;
    if (stride == 2) return &max_inside<2, T, I>;
  }
  return &max_line<T, I>;
}

template <class T, class I>
void max_planes(KernelContext& context, const View& out, const View& indices, const View& in,
                const Pool2dParams& p) {
  const PoolShape s = pool_shape(out, in, p);
  const bool narrow = s.narrow();
  const PoolInside inside(s.x);
  const auto max_between = function_inside<T, I>(s.x.stride);
  const int64_t bytes = bytes_of(in) + bytes_of(out) + bytes_of(indices);
  if constexpr (sizeof(T) == sizeof(I)) {
    if (!narrow && s.x.out < kLanes<T> && s.y.padding == 0 && s.x.padding == 0 &&
        s.in_plane() <= kShortPlane && s.out_plane() <= kPatternOutputs) {
      const int64_t tasks = tasks_for(bytes, cpu::kGrainBytes, smaller<int64_t>(s.planes, 64));
      return parallel_for(context, tasks, [&](int64_t task) {
        const int64_t first = task_begin(s.planes, task, tasks),
                      end = task_begin(s.planes, task + 1, tasks);
        max_short_lines<T, I>(s, end - first, in.as<T>() + first * s.in_plane(),
                              out.as<T>() + first * s.out_plane(),
                              indices.as<int64_t>() + first * s.out_plane());
      });
    }
  }
  for_planes(context, s, bytes, [&](int64_t plane) {
    const T* from = in.as<T>() + plane * s.in_plane();
    T* to = out.as<T>() + plane * s.out_plane();
    int64_t* places = indices.as<int64_t>() + plane * s.out_plane();
    for (int64_t y = 0; y < s.y.out; ++y, to += s.x.out, places += s.x.out) {
      if (narrow) {
        max_narrow_line<T>(s, from, y, to, places);
      } else if (s.y.taps(y) == 0) {
        max_line<T, I>(s, from, y, 0, s.x.out, to, places);
      } else {
        max_line<T, I>(s, from, y, 0, inside.begin, to, places);
        max_between(s, from, y, inside.begin, inside.end, to, places);
        max_line<T, I>(s, from, y, inside.end, s.x.out, to, places);
      }
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
