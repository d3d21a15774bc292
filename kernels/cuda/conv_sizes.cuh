// The sizes of a convolution, what its problems have in common, and which convolutions are a
// product of matrices as they stand.
#pragma once

#include <string>

#include "kernels/cuda/conv_problem.cuh"
#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

// Sizes of x [N, C, H, W], w [O, C / groups, kh, kw] and out or g [N, O, OH, OW].
struct ConvSizes {
  int64_t images, channels, x[2], filters, group_channels, window[2], out[2], group_filters;
  Conv2dParams p;
  ConvSizes(KernelContext& context, const View& xs, const View& ws, const View& os,
            const Conv2dParams& params)
      : images(xs.shape[0]),
        channels(xs.shape[1]),
        x{xs.shape[2], xs.shape[3]},
        filters(ws.shape[0]),
        group_channels(ws.shape[1]),
        window{ws.shape[2], ws.shape[3]},
        out{os.shape[2], os.shape[3]},
        group_filters(ws.shape[0] / params.groups),
        p(params) {
    for (const int64_t n : {x[0], x[1], out[0], out[1]})
      if (n >= int64_t{1} << 30)
        throw Error("[" + std::string(context.op) + "] images of " + std::to_string(n) +
                    " rows or columns, needed: less than 2^30");
  }
  int64_t x_plane() const { return x[0] * x[1]; }
  int64_t out_plane() const { return out[0] * out[1]; }
  int64_t window_plane() const { return window[0] * window[1]; }
  bool unpadded() const { return p.padding[0] == 0 && p.padding[1] == 0; }
  // The one window of an image is the image: a product of matrices [N, C H W] and [O, C H W].
  bool whole_image() const {
    return p.groups == 1 && unpadded() && window[0] == x[0] && window[1] == x[1];
  }
  // A product [O, C] by [C, H W] for every image, large enough for the library.
  bool large_pointwise() const {
    constexpr int64_t kChannels = 64, kPlane = 128;
    return p.groups == 1 && unpadded() && window_plane() == 1 && p.stride[0] == 1 &&
           p.stride[1] == 1 && channels >= kChannels && filters >= kChannels && x_plane() >= kPlane;
  }
};

inline void assign(int64_t (&to)[3], int64_t a, int64_t b, int64_t c) {
  to[0] = a;
  to[1] = b;
  to[2] = c;
}

// Where b is x: the taps of the window are the terms of the forward pass and the columns of the
// weight's gradient, the pixels of the result the other way round.
struct ConvWalk {
  int64_t q;            // from a channel, or an image, to the next
  const int64_t* step;  // of a tap, or a pixel, in x
};
inline void walk_image(ConvProblem& r, const ConvSizes& s, ConvWalk terms, ConvWalk columns) {
  assign(r.b_term, terms.q, terms.step[0] * s.x[1], terms.step[1]);
  assign(r.b_column, columns.q, columns.step[0] * s.x[1], columns.step[1]);
  r.term_y = static_cast<uint32_t>(terms.step[0]);
  r.term_x = static_cast<uint32_t>(terms.step[1]);
  r.column_y = static_cast<uint32_t>(columns.step[0]);
  r.column_x = static_cast<uint32_t>(columns.step[1]);
  r.height = static_cast<uint32_t>(s.x[0]);
  r.width = static_cast<uint32_t>(s.x[1]);
  r.first.b = -s.p.padding[0] * s.x[1] - s.p.padding[1];
  r.first.y = static_cast<uint32_t>(-s.p.padding[0]);
  r.first.x = static_cast<uint32_t>(-s.p.padding[1]);
  r.phases.count[0] = r.phases.count[1] = 1;
}

}  // namespace tinytorch::TT_KERNEL_NS
