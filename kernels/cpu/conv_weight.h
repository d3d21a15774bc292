// The gradient of the weights: gw[row][k] = sum over images and pixels of g[row][pixel]
// P[k][pixel], a product whose inner dimension are the pixels. Images are cut into parts by the
// shape alone; each part sums its own, and a tree adds the parts. P is transposed into panels of B,
// or walked over line by line (conv_weight_lines.h).
#pragma once

#include "kernels/cpu/conv_source.h"
#include "kernels/cpu/conv_weight_lines.h"
#include "kernels/cpu/gemm_pack.h"

namespace tinytorch::TT_KERNEL_NS {

constexpr int64_t kWeightCols = 128;     // columns of gw whose P is packed at once
constexpr int64_t kPartBytes = 8 << 20;  // of the sums of all parts, at most
constexpr int64_t kWeightTaskFlops = 16 * kGrainFlops;

// `c` describes the forward convolution; c.packed and c.out are not used.
template <class T>
struct WeightPlan {
  int64_t images_at_once, band_rows, parts, splits;  // splits: of the channels
  SourceGrid<T> grid;
  int64_t block;  // pixels summed in one chain
  bool lines;     // conv_weight_lines.h
  // Scratch: for P; then rows of g and panels of B, or the sums of the lanes.
  int64_t source_elements, rows_elements, panel_elements;

  explicit WeightPlan(const Correlation<T>& c);
  TT_INLINE int64_t slot_elements() const {
    return source_elements + rows_elements + panel_elements;
  }
  TT_INLINE int64_t split_channels(const Correlation<T>& c) const {
    return ceil_div(c.channels, splits);
  }

 private:
  static int64_t rows_for(const Correlation<T>& c, int64_t images);
};

template <class T>
int64_t WeightPlan<T>::rows_for(const Correlation<T>& c, int64_t images) {
  const SourceGrid<T> whole(c, c.y.out, images);
  if (whole.in_place || images > 1) return c.y.out;
  const int64_t bands =
      ceil_div(c.channels * whole.channel * static_cast<int64_t>(sizeof(T)), 256 << 10);
  const int64_t least = ceil_div(kMaxChain, c.x.out);  // lines that make a whole chain
  return smaller(c.y.out, larger(least, ceil_div(c.y.out, bands)));
}

template <class T>
WeightPlan<T>::WeightPlan(const Correlation<T>& c)
    : images_at_once(smaller(c.images, larger<int64_t>(1, kMaxChain / (c.y.out * c.x.out)))),
      band_rows(rows_for(c, images_at_once)),
      grid(c, band_rows, images_at_once),
      lines(suits_lines(c)) {
  const double flops = 2.0 * static_cast<double>(c.images * c.groups * c.rows) *
                       static_cast<double>(c.y.out * c.x.out * c.k());
  const int64_t most =
      static_cast<int64_t>(smaller(8.0, flops / static_cast<double>(kWeightTaskFlops)));
  const int64_t wanted = larger<int64_t>(1, most);
  const int64_t bytes = c.groups * c.rows * c.k() * static_cast<int64_t>(sizeof(T));
  parts = smaller(wanted, ceil_div(c.images, images_at_once));
  if (parts * bytes > kPartBytes) parts = larger<int64_t>(1, smaller(parts, kPartBytes / bytes));
  splits = smaller(c.channels, ceil_div(wanted, parts * c.groups));
  splits = ceil_div(c.channels, split_channels(c));
  const int64_t pixels = images_at_once * band_rows * c.x.out;
  block = smaller(pixels, k_block(pixels));
  constexpr int64_t kAlign = 2 * kTileCols<T>;
  const auto aligned = [](int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; };
  source_elements = aligned(grid.elements(split_channels(c)));
  if (lines) {
    rows_elements = c.rows * split_channels(c) * c.taps * kLanes<T>;
    panel_elements = 0;
    return;
  }
  rows_elements = aligned(c.rows * block);
  panel_elements =
      kWeightCols * block + 4 * kTileCols<T>;  // transposing goes up to three pixels too far
}

template <class T>
struct WeightUnit {
  const Correlation<T>& c;
  const WeightPlan<T>& plan;
  const int64_t* offsets;  // of every k of this split in P
  const T *g, *source;     // g: of this group and band in the first image
  T *rows_block, *panels;
  T* sums;               // [rows][k of all channels], at the first k of this split
  int64_t count;         // k of this split
  int64_t images, rows;  // of this band
  bool first;

  void run(int64_t begin, int64_t end) const;

 private:
  void pack_g(int64_t begin, int64_t end) const;
  void pack_p(int64_t k0, int64_t k1, int64_t begin, int64_t end, T* to) const;
};

// Pixels [begin, end) of all rows, as panels of A.
template <class T>
void WeightUnit<T>::pack_g(int64_t begin, int64_t end) const {
  const RowPanels panels_of_a(c.rows);
  const int64_t in_band = rows * c.x.out, in_image = c.y.out * c.x.out,
                distance = c.groups * c.rows * in_image;
  for (int64_t i = 0; i < panels_of_a.count; ++i) {
    const int64_t row = panels_of_a.begin(i), height = panels_of_a.begin(i + 1) - row;
    T* to = rows_block + row * (end - begin);
    for (int64_t pixel = begin; pixel < end;) {
      const int64_t image = pixel / in_band, inside = pixel % in_band,
                    n = smaller(end - pixel, in_band - inside);
      pack_transposed(g + image * distance + row * in_image + inside, in_image, n, height, height,
                      to, height);
      to += n * height;
      pixel += n;
    }
  }
}

// Columns [k0, k1) for the pixels [begin, end), as panels of B.
template <class T>
void WeightUnit<T>::pack_p(int64_t k0, int64_t k1, int64_t begin, int64_t end, T* to) const {
  constexpr int64_t kW = kLanes<T>, kCols = kTileCols<T>, kQ = pack_detail::kQuad<T>;
  for (int64_t j = k0; j < k1; j += kCols, to += kCols * (end - begin)) {
    for (int64_t lane = 0; lane < kCols && j + lane < k1; lane += kW) {
      const T* lines[kW];
      const int64_t first_k = j + lane;
      for (int64_t i = 0; i < kW; ++i)
        lines[i] = source + offsets[first_k + i < k1 ? first_k + i : first_k];
      T* out = to + lane;
      for (Runs<T> runs(c, plan.grid, rows, begin, end); runs.more(); runs.next()) {
        const int64_t length = runs.length(), offset = runs.offset();
        // Whole vectors of pixels; those beyond the run are overwritten by the next one.
        const int64_t safe = plan.grid.in_place ? length / kQ * kQ : length;
        int64_t p = 0;
        for (; p < safe; p += kQ) {
          Vec<T> v[kQ];
          pack_detail::transpose_quads<T>(lines, offset + p, v);
          TT_UNROLL for (int q = 0; q < kQ; ++q) store(out + (p + q) * kCols, v[q]);
        }
        for (; p < length; ++p) {
          for (int64_t i = 0; i < kW; ++i) out[p * kCols + i] = lines[i][offset + p];
        }
        out += length * kCols;
      }
    }
  }
}

template <class T>
void WeightUnit<T>::run(int64_t begin, int64_t end) const {
  constexpr int64_t kCols = kTileCols<T>;
  const RowPanels panels_of_a(c.rows);
  const TileTable<T>& tiles = tile_table<T>();
  pack_g(begin, end);
  Tile<T> t{};
  t.k = end - begin;
  t.a_row = 1;
  t.b_step = kCols;
  t.c_row = c.k();
  t.accumulate = !(first && begin == 0);
  for (int64_t k0 = 0; k0 < count; k0 += kWeightCols) {
    const int64_t k1 = smaller(count, k0 + kWeightCols);
    pack_p(k0, k1, begin, end, panels);
    for (int64_t i = 0; i < panels_of_a.count; ++i) {
      const int64_t row = panels_of_a.begin(i), height = panels_of_a.begin(i + 1) - row;
      t.a = rows_block + row * t.k;
      for (int64_t j = k0; j < k1; j += kCols) {
        t.cols = smaller<int64_t>(kCols, k1 - j);
        t.b = panels + (j - k0) * t.k;
        t.c = sums + row * t.c_row + j;
        run_tile(tiles.packed, height, t);
      }
    }
  }
}

// The sums of one part, one split of the channels and one group.
template <class T>
void sum_part(const Correlation<T>& c, const WeightPlan<T>& plan, const int64_t* offsets,
              const T* g, int64_t part, int64_t split, int64_t group, T* sums, T* scratch) {
  const int64_t groups_of_images = ceil_div(c.images, plan.images_at_once);
  const int64_t c0 = split * plan.split_channels(c),
                c1 = smaller(c.channels, c0 + plan.split_channels(c));
  const int64_t in_image = c.y.out * c.x.out;
  bool first = true;
  T *rows_block = scratch + plan.source_elements, *panels = rows_block + plan.rows_elements,
    *gw = sums + group * c.rows * c.k() + c0 * c.taps;
  const int64_t count = (c1 - c0) * c.taps;
  if (plan.lines) zero_line(rows_block, plan.rows_elements);
  const int64_t end = task_begin(groups_of_images, part + 1, plan.parts);
  for (int64_t i = task_begin(groups_of_images, part, plan.parts); i < end; ++i) {
    const int64_t image = i * plan.images_at_once,
                  images = smaller(plan.images_at_once, c.images - image);
    for (int64_t y0 = 0; y0 < c.y.out; y0 += plan.band_rows) {
      const int64_t rows = smaller(plan.band_rows, c.y.out - y0), pixels = images * rows * c.x.out;
      fill_source(c, plan.grid, group, image, images, y0, c0, c1, scratch);
      const T *band = g + (image * c.groups + group) * c.rows * in_image + y0 * c.x.out,
              *source = source_of(c, plan.grid, group, image, y0, c0, scratch);
      if (plan.lines) {
        const int64_t chain = larger<int64_t>(1, kMaxChain / ceil_div(c.x.out, kLanes<T>));
        for (int64_t y = 0; y < rows; y += chain) {
          const LineBlock b{images,          c.groups * c.rows * in_image,
                            plan.grid.image, smaller(chain, rows - y),
                            c.x.out,         plan.grid.width,
                            c.x.out};
          add_all_lines(b, band + y * c.x.out, in_image, c.rows, source + y * plan.grid.width,
                        offsets, count, rows_block);
        }
        continue;
      }
      const WeightUnit<T> unit{c,      plan, offsets, band,   source, rows_block,
                               panels, gw,   count,   images, rows,   first};
      for (int64_t begin = 0; begin < pixels; begin += plan.block)
        unit.run(begin, smaller(pixels, begin + plan.block));
      first = false;
    }
  }
  if (plan.lines) add_lanes(rows_block, c.rows, count, gw, c.k());
}

// out = part 0 + part 1 + ... in a tree; the parts are overwritten.
template <class T>
void add_parts(KernelContext& context, T* sums, int64_t parts, int64_t n, T* out) {
  const int64_t tasks = tasks_for(parts * n * static_cast<int64_t>(sizeof(T)), kGrainBytes, 64);
  parallel_for(context, tasks, [&](int64_t task) {
    const int64_t begin = task_begin(n, task, tasks), end = task_begin(n, task + 1, tasks);
    for (int64_t step = 1; step < parts; step *= 2) {
      for (int64_t p = 0; p + step < parts; p += 2 * step) {
        T* to = 2 * step >= parts && p == 0 ? out : sums + p * n;
        const T *a = sums + p * n, *b = sums + (p + step) * n;
        for (int64_t i = begin; i < end; ++i) to[i] = a[i] + b[i];
      }
    }
  });
}

template <class T>
void weight_gradient(KernelContext& context, const Correlation<T>& c, const T* g, T* gw) {
  const WeightPlan<T> plan(c);
  const int64_t n = c.groups * c.rows * c.k(), tasks = plan.parts * plan.splits * c.groups;
  const int slots = static_cast<int>(smaller<int64_t>(tasks, cpu::slot_count()));
  const int64_t offset_bytes = (c.k() * 8 + 63) / 64 * 64, slot_elements = plan.slot_elements();
  const int64_t sum_elements = plan.parts > 1 ? (plan.parts * n + 63) / 64 * 64 : 0;
  Workspace scratch(context,
                    static_cast<size_t>(offset_bytes + (sum_elements + slots * slot_elements) *
                                                           static_cast<int64_t>(sizeof(T))));
  int64_t* offsets = scratch.as<int64_t>();  // from the first channel of a split on
  for (int64_t t = 0; t < c.taps; ++t) {
    const int64_t offset = plan.grid.tap_offset(c.tap_y[t], c.tap_x[t]);
    for (int64_t ch = 0; ch < c.channels; ++ch)
      offsets[ch * c.taps + t] = ch * plan.grid.channel + offset;
  }
  T *sums = reinterpret_cast<T*>(scratch.as<char>() + offset_bytes),
    *slot_data = sums + sum_elements;
  parallel_for_slots(context, tasks, slots, [&](int64_t task, int slot) {
    const int64_t group = task % c.groups, split = task / c.groups % plan.splits,
                  part = task / c.groups / plan.splits;
    sum_part(c, plan, offsets, g, part, split, group, plan.parts > 1 ? sums + part * n : gw,
             slot_data + slot * slot_elements);
  });
  if (plan.parts > 1) add_parts(context, sums, plan.parts, n, gw);
}

}  // namespace tinytorch::TT_KERNEL_NS
