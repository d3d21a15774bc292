// 2-D pooling: one task is a run of planes. A window is clipped to the plane once per row and column of outputs, so the inner loops
// ask no question about padding; whole 2x2 windows at stride 2, the common case, have a loop of their own.
#include "backends/cpu/rt.h"
#include "kernels/common/dispatch.h"
#include "kernels/cpu/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {

struct Plane {
  int64_t h, w, oh, ow;
};

// The taps [first, last) of a window that lie inside [0, size), for the output at place `o` of one axis.
struct Taps {
  int64_t origin, first, last;
};
TT_INLINE Taps clip(const Pool2dParams& p, int axis, int64_t o, int64_t size) {
  const int64_t origin = o * p.stride[axis] - p.padding[axis], step = p.dilation[axis];
  const int64_t first = origin < 0 ? (-origin + step - 1) / step : 0;
  const int64_t room = size - origin;
  int64_t last = room <= 0 ? 0 : (room + step - 1) / step;
  if (last > p.kernel[axis]) last = p.kernel[axis];
  return {origin, first, last};
}

template <class F>
void each_plane(KernelContext& context, int64_t planes, int64_t work_per_plane, F&& f) {
  const int64_t tasks = cpu::tasks_for(planes * work_per_plane, cpu::kGrainElements, planes);
  cpu::parallel_for(context, tasks, [&](int64_t task) {
    const int64_t end = cpu::task_begin(planes, task + 1, tasks);
    for (int64_t i = cpu::task_begin(planes, task, tasks); i < end; ++i) f(i);
  });
}

// A NaN is larger than everything, and the first of equals stays.
template <class T>
TT_INLINE bool beats(T x, T best) {
  return x > best || (x != x && best == best);
}

template <class T>
void max_two_by_two(const Plane& s, const T* x, T* out, int64_t* indices) {
  for (int64_t i = 0; i < s.oh; ++i) {
    const T* top = x + 2 * i * s.w;
    const T* bottom = top + s.w;
    const int64_t row = 2 * i * s.w;
    for (int64_t j = 0; j < s.ow; ++j) {
      const int64_t k = 2 * j;
      T best = top[k];
      int64_t at = row + k;
      bool b = beats(top[k + 1], best);
      best = b ? top[k + 1] : best;
      at = b ? row + k + 1 : at;
      b = beats(bottom[k], best);
      best = b ? bottom[k] : best;
      at = b ? row + s.w + k : at;
      b = beats(bottom[k + 1], best);
      best = b ? bottom[k + 1] : best;
      at = b ? row + s.w + k + 1 : at;
      out[i * s.ow + j] = best;
      indices[i * s.ow + j] = at;
    }
  }
}

template <class T>
void max_general(const Plane& s, const Pool2dParams& p, const T* x, T* out, int64_t* indices) {
  for (int64_t i = 0; i < s.oh; ++i) {
    const Taps rows = clip(p, 0, i, s.h);
    for (int64_t j = 0; j < s.ow; ++j) {
      const Taps columns = clip(p, 1, j, s.w);
      int64_t at = (rows.origin + rows.first * p.dilation[0]) * s.w + columns.origin + columns.first * p.dilation[1];
      T best = x[at];
      for (int64_t a = rows.first; a < rows.last; ++a) {
        const int64_t row = (rows.origin + a * p.dilation[0]) * s.w;
        for (int64_t b = columns.first; b < columns.last; ++b) {
          const int64_t here = row + columns.origin + b * p.dilation[1];
          if (!beats(x[here], best)) continue;
          best = x[here];
          at = here;
        }
      }
      out[i * s.ow + j] = best;
      indices[i * s.ow + j] = at;
    }
  }
}

// What a window's sum is divided by. With count_include_pad the window counts up to the padded edge, as in PyTorch.
TT_INLINE int64_t divisor(const Pool2dParams& p, const Plane& s, const Taps& rows, const Taps& columns) {
  if (!p.count_include_pad) return (rows.last - rows.first) * (columns.last - columns.first);
  const int64_t below = s.h + p.padding[0] - rows.origin, right = s.w + p.padding[1] - columns.origin;
  return (below < p.kernel[0] ? below : p.kernel[0]) * (right < p.kernel[1] ? right : p.kernel[1]);
}

template <class T>
void average(const Plane& s, const Pool2dParams& p, const T* x, T* out) {
  for (int64_t i = 0; i < s.oh; ++i) {
    const Taps rows = clip(p, 0, i, s.h);
    for (int64_t j = 0; j < s.ow; ++j) {
      const Taps columns = clip(p, 1, j, s.w);
      T sum = 0;
      for (int64_t a = rows.first; a < rows.last; ++a) {
        const T* row = x + (rows.origin + a) * s.w + columns.origin;
        T part = 0;  // a sum per row keeps the error of large windows small
        for (int64_t b = columns.first; b < columns.last; ++b) part += row[b];
        sum += part;
      }
      out[i * s.ow + j] = sum / static_cast<T>(divisor(p, s, rows, columns));
    }
  }
}

// Outputs in order, each added to its window: the order of the sum depends on the shape alone.
template <class T>
void average_gradient(const Plane& s, const Pool2dParams& p, const T* g, T* gx) {
  for (int64_t i = 0; i < s.h * s.w; ++i) gx[i] = 0;
  for (int64_t i = 0; i < s.oh; ++i) {
    const Taps rows = clip(p, 0, i, s.h);
    for (int64_t j = 0; j < s.ow; ++j) {
      const Taps columns = clip(p, 1, j, s.w);
      const T share = g[i * s.ow + j] / static_cast<T>(divisor(p, s, rows, columns));
      for (int64_t a = rows.first; a < rows.last; ++a) {
        T* row = gx + (rows.origin + a) * s.w + columns.origin;
        for (int64_t b = columns.first; b < columns.last; ++b) row[b] += share;
      }
    }
  }
}

Plane plane_of(const View& x, const View& out) { return {x.shape[2], x.shape[3], out.shape[2], out.shape[3]}; }

}  // namespace

void max_pool2d(KernelContext& context, const View& out, const View& indices, const View& x, const Pool2dParams& p) {
  const Plane s = plane_of(x, out);
  const bool two_by_two = p.kernel[0] == 2 && p.kernel[1] == 2 && p.stride[0] == 2 && p.stride[1] == 2 && p.padding[0] == 0 &&
                          p.padding[1] == 0 && p.dilation[0] == 1 && p.dilation[1] == 1;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    each_plane(context, x.shape[0] * x.shape[1], s.oh * s.ow * p.kernel[0] * p.kernel[1], [&](int64_t i) {
      const T* from = x.as<T>() + i * s.h * s.w;
      T* to = out.as<T>() + i * s.oh * s.ow;
      int64_t* at = indices.as<int64_t>() + i * s.oh * s.ow;
      two_by_two ? max_two_by_two(s, from, to, at) : max_general(s, p, from, to, at);
    });
  });
}

void avg_pool2d(KernelContext& context, const View& out, const View& x, const Pool2dParams& p) {
  const Plane s = plane_of(x, out);
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    each_plane(context, x.shape[0] * x.shape[1], s.oh * s.ow * p.kernel[0] * p.kernel[1],
               [&](int64_t i) { average(s, p, x.as<T>() + i * s.h * s.w, out.as<T>() + i * s.oh * s.ow); });
  });
}

void avg_pool2d_grad(KernelContext& context, const View& gx, const View& g, const Pool2dParams& p) {
  const Plane s = plane_of(gx, g);
  with_float(g.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    each_plane(context, gx.shape[0] * gx.shape[1], s.oh * s.ow * p.kernel[0] * p.kernel[1] + s.h * s.w,
               [&](int64_t i) { average_gradient(s, p, g.as<T>() + i * s.oh * s.ow, gx.as<T>() + i * s.h * s.w); });
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
