// Correlations of small images, where lanes are images: the source is turned to
// [pixel][channel][lane] once, and a register tile sums one output pixel of a few output channels
// over the taps that lie inside the image. No padding is multiplied, and no row of an image is too
// short for a vector.
#pragma once

#include "kernels/cpu/conv_correlate.h"
#include "kernels/cpu/gemm_pack.h"

namespace tinytorch::TT_KERNEL_NS {

constexpr int64_t kMostPixels = 256;         // of an output that goes this way
constexpr int64_t kWindowBytes = 512 << 10;  // of the source lines that one output line needs
constexpr int64_t kTurnedBytes = 8
                                 << 20;  // of the turned source at once, unless one block is larger
constexpr int64_t kShortRun = 64;        // multiply-adds that are not worth a tile
template <class T>
constexpr int64_t kImageLanes = kTileCols<T>;

template <class T>
TT_INLINE bool suits_images(const Correlation<T>& c) {
  const int64_t blocks = ceil_div(c.images, kImageLanes<T>);
  const int64_t turned = c.groups * c.channels * c.y.in * c.x.in * kImageLanes<T>;
  return turned * static_cast<int64_t>(sizeof(T)) <= 4 * kTurnedBytes &&
         c.y.out * c.x.out <= kMostPixels && c.y.in * c.x.in <= 4 * kMostPixels && c.taps > 1 &&
         4 * c.images >= 3 * blocks * kImageLanes<T>;
}

// A block is as many images as a tile is wide. All from the shape.
template <class T>
struct ImagePlan {
  int64_t tap_cols;  // taps of one line of the kernel
  bool joined;       // they lie side by side in the source
  int64_t blocks, at_once;
  int64_t channel_blocks;
  int64_t source_pixels, out_pixels;

  explicit ImagePlan(const Correlation<T>& c);
  TT_INLINE int64_t first_channel(const Correlation<T>& c, int64_t block) const {
    return task_begin(c.channels, block, channel_blocks);
  }
  TT_INLINE int64_t turned_elements(const Correlation<T>& c) const {  // of one block and group
    return c.channels * source_pixels * kImageLanes<T>;
  }
};

template <class T>
ImagePlan<T>::ImagePlan(const Correlation<T>& c)
    : tap_cols(1),
      joined(true),
      blocks(ceil_div(c.images, kImageLanes<T>)),
      source_pixels(c.y.in * c.x.in),
      out_pixels(c.y.out * c.x.out) {
  constexpr int64_t kBytes = kImageLanes<T> * static_cast<int64_t>(sizeof(T));
  while (tap_cols < c.taps && c.tap_y[tap_cols] == c.tap_y[0]) {
    joined = joined && c.tap_x[tap_cols] == c.tap_x[tap_cols - 1] + 1;
    ++tap_cols;
  }
  const int64_t lines = c.tap_y[c.taps - 1] - c.tap_y[0] + 1;
  channel_blocks =
      ceil_div(c.channels, larger<int64_t>(32, kWindowBytes / (lines * c.x.in * kBytes)));
  at_once = larger<int64_t>(
      1, smaller(blocks, kTurnedBytes / (c.groups * c.channels * source_pixels * kBytes)));
}

// A of every group and panel as [channel block][tap][channel][row]. pack(group, row, height,
// channel, to, step) writes rows [row, row + height) of A for tap t of one channel to `to + t
// step`.
template <class T, class Pack>
void pack_for_images(KernelContext& context, const Correlation<T>& c, T* packed, const Pack& pack) {
  const ImagePlan<T> plan(c);
  const RowPanels panels(c.rows);
  const int64_t units = c.groups * panels.count;
  const int64_t tasks =
      tasks_for(c.groups * c.rows * c.k() * static_cast<int64_t>(sizeof(T)), kGrainBytes, units);
  parallel_for_units(context, units, tasks, [&](int64_t i) {
    const int64_t group = i / panels.count, panel = i % panels.count;
    const int64_t row = panels.begin(panel), height = panels.begin(panel + 1) - row;
    T* to = packed + (group * c.rows + row) * c.k();
    for (int64_t b = 0; b < plan.channel_blocks; ++b) {
      const int64_t c0 = plan.first_channel(c, b), channels = plan.first_channel(c, b + 1) - c0;
      for (int64_t ch = 0; ch < channels; ++ch)
        pack(group, row, height, c0 + ch, to + ch * height, channels * height);
      to += channels * c.taps * height;
    }
  });
}

// One panel of A, all pixels of one block of images of one group.
template <class T>
struct ImageUnit {
  const Correlation<T>& c;
  const ImagePlan<T>& plan;
  const int64_t* offsets;  // of every tap and channel in a source of one channel block, or null
  const T *a, *source, *bias;
  T* sums;  // [height][pixel][lane]
  int64_t height;

  void run() const;
  // To `images` images of the output; `to` is the first row of the first one.
  void write(T* to, int64_t images) const;

 private:
  void add_pixel(int64_t y, int64_t x, int64_t c0, int64_t channels, const T* a_block,
                 Tile<T>& t) const;
  void add_run(int64_t length, const T* a_from, const T* b_from, Tile<T>& t) const;
};

// A chain of multiply-adds for one pixel, in blocks like those of gemm.
template <class T>
TT_INLINE void ImageUnit<T>::add_run(int64_t length, const T* a_from, const T* b_from,
                                     Tile<T>& t) const {
  const TileTable<T>& tiles = tile_table<T>();
  const int64_t kc = k_block(length);
  for (int64_t p = 0; p < length; p += kc) {
    t.k = smaller(kc, length - p);
    t.a = a_from + p * height;
    t.b = t.offsets ? b_from : b_from + p * kImageLanes<T>;
    run_tile(t.offsets ? tiles.indirect : tiles.packed, height, t);
    if (t.offsets) t.offsets += kc;
    t.accumulate = true;
    t.row_bias = nullptr;
  }
}

template <class T>
TT_INLINE void ImageUnit<T>::add_pixel(int64_t y, int64_t x, int64_t c0, int64_t channels,
                                       const T* a_block, Tile<T>& t) const {
  constexpr int64_t kW = kImageLanes<T>;
  const T* const from = source + c0 * plan.source_pixels * kW;
  const int64_t y0 = y * c.y.stride - c.y.before, x0 = x * c.x.stride - c.x.before;
  const int64_t last = c.taps - 1;
  if (offsets && y0 >= 0 && x0 >= 0 && y0 + c.tap_y[last] < c.y.in && x0 + c.tap_x[last] < c.x.in) {
    t.offsets = offsets;
    add_run(c.taps * channels, a_block, from + (y0 * c.x.in + x0) * channels * kW, t);
    return;
  }
  t.offsets = nullptr;
  int64_t first = 0, end = plan.tap_cols;  // of the taps of a line: those inside the image
  while (first < end && x0 + c.tap_x[first] < 0) ++first;
  while (end > first && x0 + c.tap_x[end - 1] >= c.x.in) --end;
  if (first == end) return;
  for (int64_t line = 0; line < c.taps; line += plan.tap_cols) {
    const int64_t at_y = y0 + c.tap_y[line];
    if (at_y < 0 || at_y >= c.y.in) continue;
    const int64_t run = plan.joined ? end - first : 1;
    for (int64_t tap = line + first; tap < line + end; tap += run) {
      add_run(run * channels, a_block + tap * channels * height,
              from + (at_y * c.x.in + x0 + c.tap_x[tap]) * channels * kW, t);
    }
  }
}

template <class T>
void ImageUnit<T>::run() const {
  constexpr int64_t kW = kImageLanes<T>;
  Tile<T> t{};
  t.a_row = 1;
  t.a_step = height;
  t.b_step = kW;
  t.c_row = plan.out_pixels * kW;
  t.cols = kW;
  const T* a_block = a;
  for (int64_t b = 0; b < plan.channel_blocks; ++b) {
    const int64_t c0 = plan.first_channel(c, b), channels = plan.first_channel(c, b + 1) - c0;
    for (int64_t pixel = 0; pixel < plan.out_pixels; ++pixel) {
      t.c = sums + pixel * kW;
      t.accumulate = b > 0;
      t.row_bias = b > 0 ? nullptr : bias;
      add_pixel(pixel / c.x.out, pixel % c.x.out, c0, channels, a_block, t);
      if (t.accumulate) continue;
      for (int64_t row = 0; row < height; ++row) {  // no tap inside the image
        const Vec<T> v = splat(bias ? bias[row] : T{});
        for (int64_t i = 0; i < kW; i += kLanes<T>) store(t.c + row * t.c_row + i, v);
      }
    }
    a_block += channels * c.taps * height;
  }
}

template <class T>
void ImageUnit<T>::write(T* to, int64_t images) const {
  constexpr int64_t kW = kImageLanes<T>;
  const int64_t distance = c.groups * c.rows * c.out_channel, pixels = plan.out_pixels;
  for (int64_t row = 0; row < height; ++row, to += c.out_channel) {
    const T* from = sums + row * pixels * kW;
    if (c.out_step == 1 && c.out_row == c.x.out) {
      pack_transposed(from, kW, images, pixels, pixels, to, distance);
      continue;
    }
    for (int64_t pixel = 0; pixel < pixels; ++pixel, from += kW) {
      T* at = to + pixel / c.x.out * c.out_row + pixel % c.x.out * c.out_step;
      for (int64_t i = 0; i < images; ++i) at[i * distance] = from[i];
    }
  }
}

// Channels of blocks of images from block `block0` on, turned: to [block][group][channel
// block][pixel][channel][lane].
template <class T>
void turn_images(KernelContext& context, const Correlation<T>& c, const ImagePlan<T>& plan,
                 int64_t block0, int64_t blocks, T* to) {
  constexpr int64_t kW = kImageLanes<T>;
  const int64_t units = blocks * c.groups * c.channels;
  const int64_t bytes =
      blocks * c.groups * plan.turned_elements(c) * static_cast<int64_t>(sizeof(T));
  const int64_t tasks = tasks_for(2 * bytes, kGrainBytes, units);
  parallel_for_units(context, units, tasks, [&](int64_t i) {
    const int64_t channel = i % c.channels, group = i / c.channels % c.groups,
                  block = i / c.channels / c.groups, image = (block0 + block) * kW;
    const int64_t part = (channel * plan.channel_blocks + plan.channel_blocks - 1) / c.channels;
    int64_t b = smaller(part, plan.channel_blocks - 1);
    while (plan.first_channel(c, b) > channel) --b;
    const int64_t c0 = plan.first_channel(c, b), channels = plan.first_channel(c, b + 1) - c0;
    pack_transposed(
        c.source + ((image * c.groups + group) * c.channels + channel) * plan.source_pixels,
        c.groups * c.channels * plan.source_pixels, plan.source_pixels,
        smaller(kW, c.images - image), kW,
        to + (block * c.groups + group) * plan.turned_elements(c) +
            (c0 * plan.source_pixels + (channel - c0)) * kW,
        channels * kW);
  });
}

// c.packed is what pack_for_images made.
template <class T>
void correlate_images(KernelContext& context, const Correlation<T>& c) {
  constexpr int64_t kW = kImageLanes<T>;
  const ImagePlan<T> plan(c);
  const RowPanels panels(c.rows);
  const double flops = 2.0 * static_cast<double>(plan.at_once * kW * c.groups * c.rows) *
                       static_cast<double>(plan.out_pixels * c.k());
  const FlopTasks cut(flops, plan.at_once * c.groups * panels.count);
  const bool table = plan.channel_blocks == 1 && plan.tap_cols * c.channels < kShortRun;
  const int64_t offset_bytes = table ? (c.k() * 8 + 63) / 64 * 64 : 0;
  const int64_t turned = plan.at_once * c.groups * plan.turned_elements(c),
                slot_elements = kTileRows * plan.out_pixels * kW;
  Workspace scratch(context,
                    static_cast<size_t>(offset_bytes + (turned + cut.slots * slot_elements) *
                                                           static_cast<int64_t>(sizeof(T))));
  int64_t* const offsets = table ? scratch.as<int64_t>() : nullptr;
  for (int64_t p = 0; p < (table ? c.k() : 0); ++p) {
    const int64_t tap = p / c.channels;
    offsets[p] = ((c.tap_y[tap] * c.x.in + c.tap_x[tap]) * c.channels + p % c.channels) * kW;
  }
  T *const source = reinterpret_cast<T*>(scratch.as<char>() + offset_bytes), *const slot_data =
                                                                                 source + turned;
  for (int64_t block0 = 0; block0 < plan.blocks; block0 += plan.at_once) {
    const int64_t blocks = smaller(plan.at_once, plan.blocks - block0);
    turn_images(context, c, plan, block0, blocks, source);
    const int64_t units = blocks * c.groups * panels.count;
    parallel_for_units(context, units, cut, [&](int64_t i, int slot) {
      const int64_t panel = i % panels.count, part = i / panels.count, group = part % c.groups,
                    image = (block0 + part / c.groups) * kW;
      const int64_t row = panels.begin(panel);
      const ImageUnit<T> unit{c,
                              plan,
                              offsets,
                              c.packed + (group * c.rows + row) * c.k(),
                              source + part * plan.turned_elements(c),
                              c.bias ? c.bias + group * c.rows + row : nullptr,
                              slot_data + slot * slot_elements,
                              panels.begin(panel + 1) - row};
      unit.run();
      unit.write(c.out + ((image * c.groups + group) * c.rows + row) * c.out_channel,
                 smaller(kW, c.images - image));
    });
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
