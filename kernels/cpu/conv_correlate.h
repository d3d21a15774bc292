// What all convolutions come down to: a correlation with unit steps. For every image and group
//   out[row][y][x] (+)= bias[row] + sum over channels c and taps t of A[row][c taps + t] P[c][y +
//   tap_y][x + tap_x],
// where P is the source with its padding, split by stride into stride_h stride_w planes, so that a
// tap is one offset whatever stride and dilation are. P is made for a band of output rows of a few
// images at a time and stays in cache.
#pragma once

#include "kernels/cpu/gemm.h"

namespace tinytorch::TT_KERNEL_NS {

// One axis: source position of output y and tap t is y stride + t - before, in the padded source.
struct ConvAxis {
  int64_t in, out, stride, before;  // before: padding in front, negative: cropped
};

template <class T>
struct Correlation {
  int64_t images, groups, channels;  // channels of the source in one group
  ConvAxis y, x;
  const T* source;  // [images][groups channels][y.in][x.in]
  int64_t taps;
  const int64_t *tap_y, *tap_x;  // not negative, in padded source positions
  int64_t rows;                  // of A: output channels of one group
  const T* packed;               // of each group as pack_rows makes it, k = channels taps
  const T* bias;                 // [groups rows] or null
  T* out;
  int64_t out_channel, out_row,
      out_step;  // distances between output channels, rows and columns; images follow each other

  TT_INLINE int64_t k() const { return channels * taps; }
};

template <class T>
void correlate(KernelContext& context, const Correlation<T>& c);

// ---- shared with the gradient of the weights

// The shape of P for a band of `rows` output rows: for every channel, image and plane
// [height][width].
template <class T>
struct SourceGrid {
  int64_t rows, images;
  int64_t height, width, plane, image, channel;  // distances; plane = height width
  int64_t stride_y, stride_x;
  bool in_place;  // P is the source itself: no padding, unit stride, one image

  SourceGrid(const Correlation<T>& c, int64_t band_rows, int64_t images_at_once);
  TT_INLINE int64_t tap_offset(int64_t ty, int64_t tx) const {
    return (ty % stride_y * stride_x + tx % stride_x) * plane + ty / stride_y * width +
           tx / stride_x;
  }
  // Vectors are read past the end of a row, so there is one tile's width and one vector more than
  // the data.
  TT_INLINE int64_t elements(int64_t channels) const {
    return in_place ? 0 : channels * channel + 2 * kTileCols<T>;
  }
};

template <class T>
SourceGrid<T>::SourceGrid(const Correlation<T>& c, int64_t band_rows, int64_t images_at_once)
    : rows(band_rows), images(images_at_once), stride_y(c.y.stride), stride_x(c.x.stride) {
  int64_t last_y = 0, last_x = 0;
  for (int64_t t = 0; t < c.taps; ++t) {
    last_y = larger(last_y, c.tap_y[t]);
    last_x = larger(last_x, c.tap_x[t]);
  }
  height = rows + last_y / stride_y;
  width = c.x.out + last_x / stride_x;
  plane = height * width;
  image = plane * stride_y * stride_x;
  channel = images * image;
  in_place = stride_y == 1 && stride_x == 1 && c.y.before == 0 && c.x.before == 0 &&
             width == c.x.in && images == 1 && height <= c.y.in;
  if (in_place) channel = c.y.in * c.x.in;
}

// Fills P for output rows from y0 of `count` images from `image`, channels [c0, c1) of the group.
template <class T>
void fill_source(const Correlation<T>& c, const SourceGrid<T>& grid, int64_t group, int64_t image,
                 int64_t count, int64_t y0, int64_t c0, int64_t c1, T* to);

// Where P begins for such a band: `filled`, or the source itself.
template <class T>
TT_INLINE const T* source_of(const Correlation<T>& c, const SourceGrid<T>& grid, int64_t group,
                             int64_t image, int64_t y0, int64_t c0, const T* filled) {
  if (!grid.in_place) return filled;
  return c.source + ((image * c.groups + group) * c.channels + c0) * grid.channel + y0 * grid.width;
}

// Output pixels are numbered through the images of a band. A run is a stretch of them that is
// contiguous in P.
struct Run {
  int64_t length, offset;  // offset in P
};
template <class T>
TT_INLINE Run run_at(const Correlation<T>& c, const SourceGrid<T>& grid, int64_t rows,
                     int64_t pixel, int64_t end) {
  // 32-bit divisions take half the time.
  const uint32_t pixels = static_cast<uint32_t>(rows * c.x.out),
                 line = static_cast<uint32_t>(c.x.out);
  const uint32_t image = static_cast<uint32_t>(pixel) / pixels,
                 inside = static_cast<uint32_t>(pixel) - image * pixels;
  const uint32_t y = inside / line, x = inside - y * line;
  const int64_t length = grid.width == c.x.out
                             ? pixels - inside
                             : c.x.out - x;  // rows without a gap follow each other
  return {smaller(length, end - pixel), image * grid.image + y * grid.width + x};
}

}  // namespace tinytorch::TT_KERNEL_NS
