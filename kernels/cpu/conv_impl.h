// The three convolution rows for one element type, as correlations; included by conv_f32.cpp and
// conv_f64.cpp only.
#pragma once

#include "kernels/cpu/conv.h"
#include "kernels/cpu/conv_engine.h"
#include "kernels/cpu/conv_images.h"
#include "kernels/cpu/conv_weight.h"

namespace tinytorch::TT_KERNEL_NS {

// Packs A of all groups, [k blocks][panels] for each.
template <class T, class PackPanels>
TT_INLINE void pack_all(KernelContext& context, int64_t groups, int64_t rows, int64_t k, T* packed,
                        const PackPanels& pack) {
  const int64_t panels = RowPanels(rows).count;
  const int64_t tasks =
      tasks_for(groups * rows * k * static_cast<int64_t>(sizeof(T)), kGrainBytes, groups * panels);
  parallel_for_units(context, groups * panels, tasks, [&](int64_t i) {
    const int64_t group = i / panels;
    pack(group, i % panels, packed + group * rows * k);
  });
}

// The forward convolution as a correlation, without A and out.
template <class T>
TT_INLINE Correlation<T> forward_correlation(const ConvShape& s, const T* x, int64_t* tap_y,
                                             int64_t* tap_x) {
  Correlation<T> c{};
  c.images = s.images;
  c.groups = s.groups;
  c.channels = s.in_channels;
  c.y = {s.in[0], s.out[0], s.stride[0], s.padding[0]};
  c.x = {s.in[1], s.out[1], s.stride[1], s.padding[1]};
  c.source = x;
  c.taps = s.kernel[0] * s.kernel[1];
  for (int64_t t = 0; t < c.taps; ++t) {
    tap_y[t] = t / s.kernel[1] * s.dilation[0];
    tap_x[t] = t % s.kernel[1] * s.dilation[1];
  }
  c.tap_y = tap_y;
  c.tap_x = tap_x;
  c.reach_y = (s.kernel[0] - 1) * s.dilation[0] / s.stride[0];
  c.reach_x = (s.kernel[1] - 1) * s.dilation[1] / s.stride[1];
  c.rows = s.out_channels;
  return c;
}

template <class T>
void conv_forward(KernelContext& context, const ConvShape& s, const T* x, const T* w, const T* bias,
                  T* out) {
  const int64_t taps = s.kernel[0] * s.kernel[1], k = s.in_channels * taps;
  const int64_t tap_bytes = (2 * taps * 8 + 63) / 64 * 64;
  Workspace scratch(context, static_cast<size_t>(tap_bytes + s.groups * s.out_channels * k *
                                                                 static_cast<int64_t>(sizeof(T))));
  int64_t* tap = scratch.as<int64_t>();
  T* packed = reinterpret_cast<T*>(scratch.as<char>() + tap_bytes);
  Correlation<T> c = forward_correlation(s, x, tap, tap + taps);
  c.packed = packed;
  c.bias = bias;
  c.out = out;
  c.out_step = 1;
  c.out_row = s.out[1];
  c.out_channel = s.out[0] * s.out[1];
  if (suits_images(c)) {
    pack_for_images(
        context, c, packed,
        [&](int64_t group, int64_t row, int64_t height, int64_t channel, T* to, int64_t step) {
          pack_transposed(w + (group * c.rows + row) * k + channel * taps, k, taps, height, height,
                          to, step);
        });
    return correlate_images(context, c);
  }
  pack_all(context, s.groups, c.rows, k, packed, [&](int64_t group, int64_t panel, T* to) {
    const Gemm<T> a{c.rows, 0, k, w + group * c.rows * k, k, nullptr, 0, nullptr, 0};
    pack_rows(a, RowPanels(c.rows), panel, panel + 1, to);
  });
  correlate(context, c);
}

// Input positions r, r + stride, ... of one axis see only the taps i with r + padding - i dilation
// divisible by the stride, and see g at unit steps through them; in rising order of position.
struct PhaseAxis {
  int64_t out, before, taps, reach;
};
TT_INLINE PhaseAxis phase_axis(const ConvShape& s, int axis, int64_t r, int64_t* tap,
                               int64_t* index) {
  PhaseAxis a{ceil_div(s.in[axis] - r, s.stride[axis]), 0, 0, 0};
  for (int64_t i = s.kernel[axis]; i-- > 0;) {
    const int64_t at = r + s.padding[axis] - i * s.dilation[axis];
    if (at % s.stride[axis]) continue;
    tap[a.taps] = at / s.stride[axis];
    index[a.taps++] = i;
  }
  if (a.taps == 0) return a;
  a.before = -tap[0];
  a.reach = tap[a.taps - 1] - tap[0];
  for (int64_t t = a.taps; t-- > 0;) tap[t] -= tap[0];
  return a;
}

// Taps [first, first + n) of one input channel of A of the gradient of the input:
// A[channel][row taps + t] = w[row][channel][index[t]], where `from` is w[row][channel].
template <class T>
TT_INLINE void pack_turned_taps(const T* from, int64_t all, const int64_t* index, int64_t taps,
                                int64_t first, int64_t n, int64_t height, T* to, int64_t step) {
  if (taps == all) {  // index[t] is all - 1 - t
    pack_transposed(from + all - first - n, all, n, height, height, to + (n - 1) * step, -step);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < height; ++j) to[i * step + j] = from[j * all + index[first + i]];
  }
}

template <class T>
TT_INLINE void pack_turned(const ConvShape& s, const T* w, const int64_t* index, int64_t taps,
                           int64_t panel, T* to) {
  const RowPanels panels(s.in_channels);
  const int64_t all = s.kernel[0] * s.kernel[1], k = s.out_channels * taps, kc = k_block(k);
  const int64_t channel = panels.begin(panel), height = panels.begin(panel + 1) - channel;
  for (int64_t p0 = 0; p0 < k; p0 += kc) {
    const int64_t kb = smaller(kc, k - p0);
    T* at = to + s.in_channels * p0 + channel * kb;
    for (int64_t p = p0; p < p0 + kb;) {
      const int64_t row = p / taps, t = p % taps, n = smaller(taps - t, p0 + kb - p);
      const T* from = w + (row * s.in_channels + channel) * all;
      pack_turned_taps(from, all, index, taps, t, n, height, at, height);
      at += n * height;
      p += n;
    }
  }
}

template <class T>
void conv_input_gradient(KernelContext& context, const ConvShape& s, const T* g, const T* w,
                         T* gx) {
  const int64_t all = s.kernel[0] * s.kernel[1], k = s.out_channels * all;
  const int64_t tap_elements = 3 * all + 2 * (s.kernel[0] + s.kernel[1]),
                tap_bytes = (tap_elements * 8 + 63) / 64 * 64;
  Workspace scratch(context, static_cast<size_t>(tap_bytes + s.groups * s.in_channels * k *
                                                                 static_cast<int64_t>(sizeof(T))));
  int64_t *tap_y = scratch.as<int64_t>(), *tap_x = tap_y + all, *index = tap_x + all;
  int64_t *line_y = index + all, *index_y = line_y + s.kernel[0], *line_x = index_y + s.kernel[0],
          *index_x = line_x + s.kernel[1];
  T* packed = reinterpret_cast<T*>(scratch.as<char>() + tap_bytes);
  for (int64_t ry = 0; ry < smaller(s.stride[0], s.in[0]); ++ry) {
    const PhaseAxis y = phase_axis(s, 0, ry, line_y, index_y);
    for (int64_t rx = 0; rx < smaller(s.stride[1], s.in[1]); ++rx) {
      const PhaseAxis x = phase_axis(s, 1, rx, line_x, index_x);
      Correlation<T> c{};
      c.images = s.images;
      c.groups = s.groups;
      c.channels = s.out_channels;
      c.y = {s.out[0], y.out, 1, y.before};
      c.x = {s.out[1], x.out, 1, x.before};
      c.source = g;
      c.taps = y.taps * x.taps;
      c.rows = s.in_channels;
      c.out = gx + ry * s.in[1] + rx;
      c.out_step = s.stride[1];
      c.out_row = s.stride[0] * s.in[1];
      c.out_channel = s.in[0] * s.in[1];
      if (c.taps == 0) {  // no output pixel saw these
        for (int64_t plane = 0; plane < s.images * s.groups * s.in_channels; ++plane) {
          for (int64_t i = 0; i < y.out; ++i) {
            for (int64_t j = 0; j < x.out; ++j)
              c.out[plane * c.out_channel + i * c.out_row + j * c.out_step] = T{};
          }
        }
        continue;
      }
      for (int64_t t = 0; t < c.taps; ++t) {
        tap_y[t] = line_y[t / x.taps];
        tap_x[t] = line_x[t % x.taps];
        index[t] = index_y[t / x.taps] * s.kernel[1] + index_x[t % x.taps];
      }
      c.tap_y = tap_y;
      c.tap_x = tap_x;
      c.reach_y = y.reach;
      c.reach_x = x.reach;
      c.packed = packed;
      const int64_t group_elements = s.out_channels * s.in_channels * all;
      if (suits_images(c)) {
        pack_for_images(
            context, c, packed,
            [&](int64_t group, int64_t row, int64_t height, int64_t channel, T* to, int64_t step) {
              pack_turned_taps(w + group * group_elements + (channel * s.in_channels + row) * all,
                               all, index, c.taps, 0, c.taps, height, to, step);
            });
        correlate_images(context, c);
        continue;
      }
      pack_all(context, s.groups, c.rows, c.k(), packed, [&](int64_t group, int64_t panel, T* to) {
        pack_turned(s, w + group * group_elements, index, c.taps, panel, to);
      });
      correlate(context, c);
    }
  }
}

template <class T>
void conv_weight_gradient(KernelContext& context, const ConvShape& s, const T* g, const T* x,
                          T* gw) {
  const int64_t taps = s.kernel[0] * s.kernel[1];
  Workspace scratch(context, static_cast<size_t>(2 * taps * 8));
  int64_t* tap = scratch.as<int64_t>();
  weight_gradient(context, forward_correlation(s, x, tap, tap + taps), g, gw);
}

}  // namespace tinytorch::TT_KERNEL_NS
