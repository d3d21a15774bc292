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
  int64_t reach_y, reach_x;      // the largest, in steps of stride
  int64_t rows;                  // of A: output channels of one group
  const T* packed;  // of each group as pack_rows makes it (pack_for_images for conv_images.h)
  const T* bias;    // [groups rows] or null
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
    if (stride_y == 1 && stride_x == 1) return ty * width + tx;
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
  height = rows + c.reach_y;
  width = c.x.out + c.reach_x;
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

// Output pixels are numbered through the images of a band. Walks over [pixel, end) in runs:
// stretches that are contiguous in P.
template <class T>
class Runs {
 public:
  TT_INLINE Runs(const Correlation<T>& c, const SourceGrid<T>& grid, int64_t rows, int64_t pixel,
                 int64_t end)
      : left_(end - pixel), image_step_(grid.image) {
    const bool joined = grid.width == c.x.out;  // lines without a gap follow each other
    line_ = joined ? rows * c.x.out : c.x.out;
    lines_ = joined ? 1 : rows;
    line_step_ = grid.width;
    // 32-bit divisions take half the time.
    const uint32_t line = static_cast<uint32_t>(line_), lines = static_cast<uint32_t>(lines_);
    const uint32_t at_line = static_cast<uint32_t>(pixel) / line, image = at_line / lines;
    y_ = at_line - image * lines;
    x_ = static_cast<uint32_t>(pixel) - at_line * line;
    image_ = image * image_step_;
  }
  TT_INLINE bool more() const { return left_ > 0; }
  TT_INLINE int64_t length() const { return smaller(line_ - x_, left_); }
  TT_INLINE int64_t offset() const { return image_ + y_ * line_step_ + x_; }  // in P
  TT_INLINE void next() {
    left_ -= line_ - x_;
    x_ = 0;
    if (++y_ < lines_) return;
    y_ = 0;
    image_ += image_step_;
  }

 private:
  int64_t left_, image_step_, line_, lines_, line_step_;
  int64_t image_, y_, x_;
};

}  // namespace tinytorch::TT_KERNEL_NS
