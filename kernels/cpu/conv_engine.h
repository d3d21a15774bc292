// Runs a Correlation on the gemm's tiles; included by conv_f32.cpp and conv_f64.cpp only.
#pragma once

#include "kernels/cpu/conv_source.h"

namespace tinytorch::TT_KERNEL_NS {

constexpr int64_t kSourceBytes =
    256 << 10;                        // of P at once: it shares the L2 cache with a block of panels
constexpr int64_t kPixelBlock = 128;  // output pixels computed at once

// How the tiles get at P. packed: runs of pixels are copied into panels, which serve all rows of A.
// by_rows: tiles read P in place, one line of the output after another. flat: in place too,
// straight on through the lines of P; what falls between them is thrown away.
enum class ConvMode { packed, by_rows, flat };

// All from the shape.
template <class T>
struct ConvPlan {
  ConvMode mode;
  int64_t images_at_once, band_rows, bands, units;
  bool to_block;  // tiles write a block of scratch that is then spread over the output
  SourceGrid<T> grid;
  int64_t source_elements, panel_elements, block_elements;  // scratch of a slot

  explicit ConvPlan(const Correlation<T>& c);
  TT_INLINE int64_t slot_elements() const {
    return source_elements + panel_elements + block_elements;
  }

 private:
  static ConvMode choose(const Correlation<T>& c);
  static int64_t images_for(const Correlation<T>& c, ConvMode mode);
  static int64_t rows_for(const Correlation<T>& c, int64_t images);
};

// Estimated cycles for the pixels of one panel and one k; tiles take about one cycle a row.
template <class T>
ConvMode ConvPlan<T>::choose(const Correlation<T>& c) {
  const SourceGrid<T> grid(c, c.y.out, 1);
  const double rows = static_cast<double>(c.rows), out_x = static_cast<double>(c.x.out),
               lanes = kLanes<T>;
  const double run = grid.width == c.x.out ? 2 * lanes : smaller(out_x, 2 * lanes);
  const double packed = rows + 2 * (2 * lanes / run + 1) + 2;
  const double by_rows = rows * static_cast<double>(ceil_div(c.x.out, kLanes<T>)) * lanes / out_x;
  const double flat =
      rows * static_cast<double>(grid.plane) / static_cast<double>(c.y.out * c.x.out) + 1;
  if (packed <= flat && (packed <= by_rows || c.out_step != 1)) return ConvMode::packed;
  return c.out_step == 1 && c.x.out >= kLanes<T> && by_rows <= flat ? ConvMode::by_rows
                                                                    : ConvMode::flat;
}

template <class T>
int64_t ConvPlan<T>::images_for(const Correlation<T>& c, ConvMode mode) {
  const int64_t pixels = c.y.out * c.x.out;
  if (mode == ConvMode::packed && pixels < 2 * kTileCols<T>)
    return smaller(c.images, ceil_div(kPixelBlock, pixels));
  const SourceGrid<T> one(c, c.y.out, 1);
  if (mode == ConvMode::flat && one.image == one.plane && one.plane < 4 * kTileCols<T>) {
    return smaller(c.images, ceil_div(2 * kPixelBlock, one.plane));
  }
  return 1;
}

template <class T>
int64_t ConvPlan<T>::rows_for(const Correlation<T>& c, int64_t images) {
  if (images > 1) return c.y.out;
  const SourceGrid<T> whole(c, c.y.out, 1);
  int64_t bands =
      whole.in_place
          ? 1
          : ceil_div(c.channels * whole.channel * static_cast<int64_t>(sizeof(T)), kSourceBytes);
  const double flops =
      2.0 * static_cast<double>(c.rows * c.y.out * c.x.out) * static_cast<double>(c.k());
  const int64_t others = c.images * c.groups;
  if (others < 8)
    bands = larger(bands, static_cast<int64_t>(smaller(8.0 / static_cast<double>(others),
                                                       flops / (4.0 * kGrainFlops))));
  return ceil_div(c.y.out, smaller(larger<int64_t>(bands, 1), c.y.out));
}

template <class T>
ConvPlan<T>::ConvPlan(const Correlation<T>& c)
    : mode(choose(c)),
      images_at_once(images_for(c, mode)),
      band_rows(rows_for(c, images_at_once)),
      bands(ceil_div(c.y.out, band_rows)),
      units(ceil_div(c.images, images_at_once) * c.groups * bands),
      grid(c, band_rows, images_at_once) {
  if (grid.in_place && mode != ConvMode::packed) {  // whole vectors are read past the end of rows
    grid.in_place = false;
    grid.channel = grid.image;
  }
  to_block =
      mode == ConvMode::flat || images_at_once > 1 || c.out_step != 1 || c.out_row != c.x.out;
  if (mode == ConvMode::by_rows) to_block = false;
  constexpr int64_t kAlign = kLanes<T>;
  source_elements = (grid.elements(c.channels) + kAlign - 1) / kAlign * kAlign;
  panel_elements = mode == ConvMode::packed ? kPixelBlock * k_block(c.k()) : 0;
  block_elements = to_block ? c.rows * kPixelBlock : 0;
}

// One band of a few images of one group.
template <class T>
struct ConvUnit {
  const Correlation<T>& c;
  const ConvPlan<T>& plan;
  const int64_t* offsets;  // of every k in P
  const T* source;         // P
  T *panels, *block;
  int64_t group, image, images, y0, rows;  // rows of output

  TT_INLINE T* out_at(int64_t row, int64_t of_image, int64_t y, int64_t x) const {
    return c.out + (((image + of_image) * c.groups + group) * c.rows + row) * c.out_channel +
           (y0 + y) * c.out_row + x * c.out_step;
  }
  void run() const;

 private:
  void run_packed() const;
  void run_by_rows() const;
  void run_flat() const;
  void pack_panel(int64_t pixel, int64_t end, int64_t p0, int64_t kb, T* to) const;
  void spread_line(const T* from, int64_t of_image, int64_t y, int64_t x, int64_t count) const;
  template <class Panels>
  void multiply(int64_t begin, int64_t end, int64_t p0, int64_t kb, T* to, int64_t to_row,
                const Panels& panel_of) const;
};

// All rows of A times the columns [begin, end) that panel_of(column, tile) points the tile to; `to`
// is column `begin` of C.
template <class T>
template <class Panels>
TT_INLINE void ConvUnit<T>::multiply(int64_t begin, int64_t end, int64_t p0, int64_t kb, T* to,
                                     int64_t to_row, const Panels& panel_of) const {
  const RowPanels panels_of_a(c.rows);
  const TileTable<T>& tiles = tile_table<T>();
  const bool packed = plan.mode == ConvMode::packed, last = p0 + kb == c.k();
  const T *a = c.packed + group * c.rows * c.k() + c.rows * p0,
          *bias = last && c.bias ? c.bias + group * c.rows : nullptr;
  Tile<T> t{};
  t.k = kb;
  t.a_row = 1;
  t.b_step = kTileCols<T>;
  t.c_row = to_row;
  t.accumulate = p0 > 0;
  t.offsets = offsets + p0;
  for (int64_t i = 0; i < panels_of_a.count; ++i) {
    const int64_t row = panels_of_a.begin(i), height = panels_of_a.begin(i + 1) - row;
    t.a = a + row * kb;
    t.row_bias = bias ? bias + row : nullptr;
    for (int64_t j = begin; j < end; j += kTileCols<T>) {
      t.cols = smaller<int64_t>(kTileCols<T>, end - j);
      t.c = to + row * to_row + (j - begin);
      t.b = panel_of(j);
      run_tile(packed ? tiles.packed : tiles.indirect, height, t);
    }
  }
}

template <class T>
void ConvUnit<T>::pack_panel(int64_t pixel, int64_t end, int64_t p0, int64_t kb, T* to) const {
  constexpr int64_t kW = kLanes<T>, kCols = kTileCols<T>;
  int64_t lane = 0;
  for (Runs<T> runs(c, plan.grid, rows, pixel, end); runs.more(); runs.next()) {
    const int64_t length = runs.length(), offset = runs.offset();
    for (int64_t done = 0; done < length; done += kW) {
      const int64_t n = smaller(kW, length - done);
      const T* from = source + offset + done;
      T* out = to + lane;
      if (n == kW) {
        for (int64_t p = 0; p < kb; ++p) store(out + p * kCols, load(from + offsets[p0 + p]));
      } else {
        const Lanes<T> some(n);
        for (int64_t p = 0; p < kb; ++p) {
          store_lanes(out + p * kCols, load_lanes(from + offsets[p0 + p], some), some);
        }
      }
      lane += n;
    }
  }
  if (lane < kCols) {
    for (int64_t p = 0; p < kb; ++p) zero_line(to + p * kCols + lane, kCols - lane);
  }
}

// Columns of the block that are pixels x .. x + count - 1 of one line go to their places in the
// output.
template <class T>
TT_INLINE void ConvUnit<T>::spread_line(const T* from, int64_t of_image, int64_t y, int64_t x,
                                        int64_t count) const {
  T* to = out_at(0, of_image, y, x);
  const int64_t step = c.out_step, distance = c.out_channel, lines = c.rows;
  if (step == 1 &&
      count <= kLanes<T>) {  // the common case of images so small that they come this way
    const Lanes<T> some(count);
    for (int64_t row = 0; row < lines; ++row, to += distance, from += kPixelBlock) {
      store_lanes(to, load_lanes(from, some), some);
    }
    return;
  }
  for (int64_t row = 0; row < lines; ++row, to += distance, from += kPixelBlock) {
    if (step == 1) {
      copy_line(from, 1, count, to);
    } else {
      for (int64_t i = 0; i < count; ++i) to[i * step] = from[i];
    }
  }
}

template <class T>
void ConvUnit<T>::run_packed() const {
  const int64_t pixels = images * rows * c.x.out, kc = k_block(c.k());
  for (int64_t begin = 0; begin < pixels; begin += kPixelBlock) {
    const int64_t end = smaller(pixels, begin + kPixelBlock);
    T* to = plan.to_block ? block : out_at(0, 0, 0, 0) + begin;
    for (int64_t p0 = 0; p0 < c.k(); p0 += kc) {
      const int64_t kb = smaller(kc, c.k() - p0);
      for (int64_t j = begin; j < end; j += kTileCols<T>) {
        pack_panel(j, smaller<int64_t>(end, j + kTileCols<T>), p0, kb, panels + (j - begin) * kb);
      }
      multiply(begin, end, p0, kb, to, plan.to_block ? kPixelBlock : c.out_channel,
               [&](int64_t j) { return panels + (j - begin) * kb; });
    }
    if (!plan.to_block) continue;
    const uint32_t in_image = static_cast<uint32_t>(rows * c.x.out),
                   in_line = static_cast<uint32_t>(c.x.out);
    for (int64_t pixel = begin, count; pixel < end; pixel += count) {
      const uint32_t of_image = static_cast<uint32_t>(pixel) / in_image,
                     inside = static_cast<uint32_t>(pixel) % in_image;
      // Lines that follow each other in the output as in the block go together.
      const bool whole = c.out_step == 1 && c.out_row == c.x.out;
      count = smaller<int64_t>(end - pixel, whole ? in_image - inside : in_line - inside % in_line);
      spread_line(block + (pixel - begin), of_image, inside / in_line, inside % in_line, count);
    }
  }
}

template <class T>
void ConvUnit<T>::run_by_rows() const {
  const int64_t kc = k_block(c.k());
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t p0 = 0; p0 < c.k(); p0 += kc) {
      multiply(0, c.x.out, p0, smaller(kc, c.k() - p0), out_at(0, 0, y, 0), c.out_channel,
               [&](int64_t x) { return source + y * plan.grid.width + x; });
    }
  }
}

template <class T>
void ConvUnit<T>::run_flat() const {
  const SourceGrid<T>& grid = plan.grid;
  const int64_t kc = k_block(c.k()), in_image = (rows - 1) * grid.width + c.x.out;
  const bool through_images =
      grid.image == grid.plane;  // nothing but lines that are thrown away between two images
  const int64_t stretches = through_images ? 1 : images,
                length = through_images ? (images - 1) * grid.image + in_image : in_image;
  for (int64_t stretch = 0; stretch < stretches; ++stretch) {
    for (int64_t begin = 0; begin < length; begin += kPixelBlock) {
      const int64_t end = smaller(length, begin + kPixelBlock);
      for (int64_t p0 = 0; p0 < c.k(); p0 += kc) {
        multiply(begin, end, p0, smaller(kc, c.k() - p0), block, kPixelBlock,
                 [&](int64_t q) { return source + stretch * grid.image + q; });
      }
      const uint32_t plane = static_cast<uint32_t>(grid.image),
                     width = static_cast<uint32_t>(grid.width);
      for (int64_t q = begin; q < end;) {  // line by line
        const uint32_t of_image = through_images ? static_cast<uint32_t>(q) / plane : 0;
        const uint32_t inside = static_cast<uint32_t>(q) - of_image * plane, y = inside / width,
                       x = inside - y * width;
        const int64_t count = smaller<int64_t>(end - q, c.x.out - static_cast<int64_t>(x));
        if (y < rows && count > 0)
          spread_line(block + (q - begin), stretch + of_image, y, x, count);
        q += width - x;
      }
    }
  }
}

template <class T>
void ConvUnit<T>::run() const {
  switch (plan.mode) {
    case ConvMode::packed:
      return run_packed();
    case ConvMode::by_rows:
      return run_by_rows();
    case ConvMode::flat:
      return run_flat();
  }
}

template <class T>
void correlate(KernelContext& context, const Correlation<T>& c) {
  const ConvPlan<T> plan(c);
  const double flops = 2.0 * static_cast<double>(c.images * c.groups * c.rows) *
                       static_cast<double>(c.y.out * c.x.out * c.k());
  const FlopTasks cut(flops, smaller<int64_t>(plan.units, 64));
  const int64_t offset_bytes = (c.k() * 8 + 63) / 64 * 64, slot_elements = plan.slot_elements();
  Workspace scratch(
      context, static_cast<size_t>(offset_bytes +
                                   cut.slots * slot_elements * static_cast<int64_t>(sizeof(T))));
  int64_t* offsets = scratch.as<int64_t>();
  for (int64_t t = 0; t < c.taps; ++t) {
    const int64_t offset = plan.grid.tap_offset(c.tap_y[t], c.tap_x[t]);
    for (int64_t ch = 0; ch < c.channels; ++ch)
      offsets[ch * c.taps + t] = ch * plan.grid.channel + offset;
  }
  T* slot_data = reinterpret_cast<T*>(scratch.as<char>() + offset_bytes);
  parallel_for_units(context, plan.units, cut, [&](int64_t unit, int slot) {
    T* data = slot_data + slot * slot_elements;
    const int64_t band = unit % plan.bands, group = unit / plan.bands % c.groups,
                  part = unit / plan.bands / c.groups;
    const int64_t image = part * plan.images_at_once,
                  images = smaller(plan.images_at_once, c.images - image);
    const int64_t y0 = band * plan.band_rows, rows = smaller(plan.band_rows, c.y.out - y0);
    fill_source(c, plan.grid, group, image, images, y0, 0, c.channels, data);
    const ConvUnit<T> work{c,
                           plan,
                           offsets,
                           source_of(c, plan.grid, group, image, y0, 0, data),
                           data + plan.source_elements,
                           data + plan.source_elements + plan.panel_elements,
                           group,
                           image,
                           images,
                           y0,
                           rows};
    work.run();
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
