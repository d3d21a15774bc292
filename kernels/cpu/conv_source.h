// Makes P of conv_correlate.h: the source with padding, split by stride.
#pragma once

#include "kernels/cpu/conv_correlate.h"

namespace tinytorch::TT_KERNEL_NS {

// to[i] = from[i step], i < count.
template <class T>
TT_INLINE void copy_line(const T* from, int64_t step, int64_t count, T* to) {
  constexpr int64_t kW = kLanes<T>;
  if (step == 1) {
    int64_t i = 0;
    for (; i + kW <= count; i += kW) store(to + i, load(from + i));
    if (i < count) {
      const Lanes<T> rest(count - i);
      store_lanes(to + i, load_lanes(from + i, rest), rest);
    }
  } else if (step == 2) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[2 * i];
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * step];
  }
}

template <class T>
TT_INLINE void zero_line(T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = T{};
}

// Which columns of a plane's rows lie inside the source; the same for all channels and images.
struct PlaneCut {
  int64_t ty, tx, first, end,
      from;    // column x in [first, end) is source column from + (x - first) stride
  bool whole;  // rows of plane and source are the same
};
template <class T>
TT_INLINE PlaneCut cut_plane(const Correlation<T>& c, const SourceGrid<T>& grid, int64_t ty,
                             int64_t tx) {
  const int64_t step = c.x.stride, shift = c.x.before - tx;
  PlaneCut cut;
  cut.ty = ty;
  cut.tx = tx;
  cut.first = shift <= 0 ? 0 : smaller(grid.width, ceil_div(shift, step));
  cut.end = c.x.in + shift <= 0
                ? cut.first
                : larger(cut.first, smaller(grid.width, ceil_div(c.x.in + shift, step)));
  cut.from = cut.first * step - shift;
  cut.whole = step == 1 && c.y.stride == 1 && cut.first == 0 && cut.end == grid.width &&
              cut.from == 0 && grid.width == c.x.in;
  return cut;
}

// to[r][x] = source[(y0 + r) stride + ty - before][x stride + tx - before], zero outside.
template <class T>
TT_INLINE void fill_plane(const Correlation<T>& c, const SourceGrid<T>& grid, const PlaneCut& cut,
                          const T* source, int64_t y0, T* to) {
  const int64_t top = y0 * c.y.stride + cut.ty - c.y.before;
  if (cut.whole) {
    const int64_t from = top < 0 ? smaller(-top, grid.height) : 0,
                  until = larger(from, smaller(grid.height, c.y.in - top));
    zero_line(to, from * grid.width);
    copy_line(source + (top + from) * c.x.in, 1, (until - from) * grid.width,
              to + from * grid.width);
    zero_line(to + until * grid.width, (grid.height - until) * grid.width);
    return;
  }
  if (c.x.stride == 1 && grid.width <= kLanes<T>) {  // lines of one vector: no loops, no calls
    const Lanes<T> all(grid.width), inside(cut.end - cut.first);
    for (int64_t r = 0, y = top; r < grid.height; ++r, y += c.y.stride, to += grid.width) {
      store_lanes(to, Vec<T>{}, all);
      if (y < 0 || y >= c.y.in) continue;
      store_lanes(to + cut.first, load_lanes(source + y * c.x.in + cut.from, inside), inside);
    }
    return;
  }
  for (int64_t r = 0, y = top; r < grid.height; ++r, y += c.y.stride, to += grid.width) {
    if (y < 0 || y >= c.y.in) {
      zero_line(to, grid.width);
      continue;
    }
    zero_line(to, cut.first);
    copy_line(source + y * c.x.in + cut.from, c.x.stride, cut.end - cut.first, to + cut.first);
    zero_line(to + cut.end, grid.width - cut.end);
  }
}

template <class T>
TT_INLINE bool plane_is_used(const Correlation<T>& c, int64_t ty, int64_t tx) {
  if (c.y.stride == 1 && c.x.stride == 1) return true;
  for (int64_t t = 0; t < c.taps; ++t) {
    if (c.tap_y[t] % c.y.stride == ty && c.tap_x[t] % c.x.stride == tx) return true;
  }
  return false;
}

template <class T>
void fill_source(const Correlation<T>& c, const SourceGrid<T>& grid, int64_t group, int64_t image,
                 int64_t count, int64_t y0, int64_t c0, int64_t c1, T* to) {
  if (grid.in_place) return;
  const int64_t in_plane = c.y.in * c.x.in;
  T* plane = to;
  for (int64_t ty = 0; ty < c.y.stride; ++ty) {
    for (int64_t tx = 0; tx < c.x.stride; ++tx, plane += grid.plane) {
      if (!plane_is_used(c, ty, tx)) continue;
      const PlaneCut cut = cut_plane(c, grid, ty, tx);
      for (int64_t i = 0; i < count; ++i) {
        const T* source =
            c.source + (((image + i) * c.groups + group) * c.channels + c0) * in_plane;
        T* filled = plane + i * grid.image;
        for (int64_t ch = c0; ch < c1; ++ch, source += in_plane, filled += grid.channel) {
          fill_plane(c, grid, cut, source, y0, filled);
        }
      }
    }
  }
  zero_line(to + (c1 - c0) * grid.channel, 2 * kTileCols<T>);  // read, never used
}

}  // namespace tinytorch::TT_KERNEL_NS
