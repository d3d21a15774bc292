// 2-D pooling. The gradient of a maximum goes to where the maximum was: gather and scatter_add over
// the plane.
#include <tinytorch/ops/pool.h>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/index.h>
#include <tinytorch/ops/reduce.h>

#include "core/ops/indexing.h"
#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

Pool2dParams params_of(std::array<int64_t, 2> kernel, const Pool2dOptions& o) {
  const std::array<int64_t, 2> stride = o.stride.value_or(kernel);
  return {{kernel[0], kernel[1]},
          {stride[0], stride[1]},
          {o.padding[0], o.padding[1]},
          {o.dilation[0], o.dilation[1]},
          o.count_include_pad};
}

// Dilated windows can have all their taps in the padding.
bool every_window_hits(const Pool2dParams& p, int axis, int64_t size, int64_t outputs) {
  for (int64_t o = 0; o < outputs; ++o) {
    bool hit = false;
    for (int64_t k = 0; k < p.kernel[axis] && !hit; ++k) {
      const int64_t at = o * p.stride[axis] - p.padding[axis] + k * p.dilation[axis];
      hit = at >= 0 && at < size;
    }
    if (!hit) return false;
  }
  return true;
}

Shape output_shape(const char* op, const Tensor& x, const Pool2dParams& p) {
  check_defined(op, x);
  check_floating(op, x);
  const Shape s = shape_of(x);
  auto fail = [&](const char* needed) {
    throw ShapeError("[" + std::string(op) + "] " + show(view_of(x)) + ", kernel " +
                     Shape{p.kernel[0], p.kernel[1]}.str() + ", stride " +
                     Shape{p.stride[0], p.stride[1]}.str() + ", padding " +
                     Shape{p.padding[0], p.padding[1]}.str() + ", dilation " +
                     Shape{p.dilation[0], p.dilation[1]}.str() + ", needed: " + needed);
  };
  if (s.rank() != 4) fail("an input [N, C, H, W]");
  Shape out{s[0], s[1]};
  for (int i = 0; i < 2; ++i) {
    if (p.kernel[i] < 1 || p.stride[i] < 1 || p.dilation[i] < 1 || p.padding[i] < 0)
      fail("kernel, stride and dilation at least 1, padding at least 0");
    if (p.padding[i] > p.kernel[i] / 2) fail("padding of at most half the kernel");
    const int64_t span = s[2 + i] + 2 * p.padding[i] - p.dilation[i] * (p.kernel[i] - 1) - 1;
    if (span < 0 || s[2 + i] < 1) fail("an input at least as large as the dilated kernel");
    out.push_back(span / p.stride[i] + 1);
    if (p.dilation[i] > 1 && !every_window_hits(p, i, s[2 + i], out[2 + i]))
      fail("windows that each hold an element; these step over the input");
  }
  return out;
}

// Adjoint of avg_pool2d.
Tensor avg_pool2d_grad(const Tensor& gradient, const Shape& input_shape,
                       std::array<int64_t, 2> kernel, const Pool2dOptions& o) {
  const Tensor g = gradient.contiguous();
  Tensor out = make(device_of(g), view_of(g).dtype, input_shape);
  if (view_of(out).numel)
    launch<rows::avg_pool2d_grad>("avg_pool2d_grad", device_of(g), view_of(out), use(g),
                                  params_of(kernel, o));
  if (!recording(g)) return out;
  return attach(out, "avg_pool2d_grad", {g},
                [kernel, o](const Tensor& h) { return Grads{avg_pool2d(h, kernel, o)}; });
}

}  // namespace

namespace {

ValuesAndIndices max_pool(const char* op, const Tensor& input, std::array<int64_t, 2> kernel,
                          const Pool2dOptions& o) {
  const Pool2dParams p = params_of(kernel, o);
  const Shape shape = output_shape(op, input, p);
  const Tensor x = input.contiguous();
  Tensor out = make(device_of(x), view_of(x).dtype, shape),
         indices = make(device_of(x), Dtype::i64, shape);
  if (view_of(out).numel)
    launch<rows::max_pool2d>(op, device_of(x), view_of(out), view_of(indices), use(x), p);
  if (!recording(x)) return {out, indices};
  Tensor values = attach(out, op, {x}, [i = Saved(indices), before = shape_of(x)](const Tensor& g) {
    const Shape planes{before[0], before[1], before[2] * before[3]};
    const Shape picked{before[0], before[1], view_of(g).shape[2] * view_of(g).shape[3]};
    return Grads{
        scatter_add_to_zeros(planes, 2, i().reshape(picked), g.reshape(picked)).reshape(before)};
  });
  return {values, indices};
}

}  // namespace

ValuesAndIndices max_pool2d_with_indices(const Tensor& x, std::array<int64_t, 2> kernel,
                                         const Pool2dOptions& o) {
  return max_pool("max_pool2d_with_indices", x, kernel, o);
}
Tensor max_pool2d(const Tensor& x, std::array<int64_t, 2> kernel, const Pool2dOptions& o) {
  return max_pool("max_pool2d", x, kernel, o).values;
}

Tensor avg_pool2d(const Tensor& input, std::array<int64_t, 2> kernel, const Pool2dOptions& o) {
  const Pool2dParams p = params_of(kernel, o);
  const Shape shape = output_shape("avg_pool2d", input, p);
  if (o.dilation[0] != 1 || o.dilation[1] != 1)
    throw ShapeError("[avg_pool2d] dilation " + Shape{o.dilation[0], o.dilation[1]}.str() +
                     ", needed: [1, 1]");
  const Tensor x = input.contiguous();
  Tensor out = make(device_of(x), view_of(x).dtype, shape);
  if (view_of(out).numel)
    launch<rows::avg_pool2d>("avg_pool2d", device_of(x), view_of(out), use(x), p);
  if (!recording(x)) return out;
  return attach(out, "avg_pool2d", {x}, [before = shape_of(x), kernel, o](const Tensor& g) {
    return Grads{avg_pool2d_grad(g, before, kernel, o)};
  });
}

namespace {

// The windows of adaptive pooling along one dim.
struct Windows {
  int64_t in, out;
  int64_t first(int64_t i) const { return i * in / out; }
  int64_t end(int64_t i) const { return ((i + 1) * in + out - 1) / out; }
  int64_t kernel() const { return end(0); }
  int64_t stride() const { return out > 1 ? first(1) : kernel(); }
  // All of one size at one distance: plain pooling.
  bool regular() const {
    if (stride() < 1) return false;
    for (int64_t i = 0; i < out; ++i)
      if (first(i) != i * stride() || end(i) - first(i) != kernel()) return false;
    return true;
  }
};

// Averages over windows of any sizes along dim: picks the elements of all windows one after another
// and adds up those of each.
Tensor average_windows(const Tensor& x, int dim, const Windows& w) {
  std::vector<int64_t> from, to;
  std::vector<double> sizes;
  for (int64_t i = 0; i < w.out; ++i) {
    for (int64_t at = w.first(i); at < w.end(i); ++at) {
      from.push_back(at);
      to.push_back(i);
    }
    sizes.push_back(static_cast<double>(w.end(i) - w.first(i)));
  }
  const TensorOptions where{.device = x.device()};
  Shape shape = shape_of(x), stretched = {1, 1, 1, 1};
  shape[dim] = stretched[dim] = w.out;
  const Tensor taps = index_select(x, dim, tensor(from, {}, where));
  const Tensor sums = index_add_to_zeros(shape, dim, tensor(to, {}, where), taps);
  return div(sums, tensor(sizes, stretched, where).to(x.dtype()));
}

}  // namespace

Tensor adaptive_avg_pool2d(const Tensor& x, std::array<int64_t, 2> size) {
  check_defined("adaptive_avg_pool2d", x);
  check_floating("adaptive_avg_pool2d", x);
  const Shape s = shape_of(x);
  if (s.rank() != 4 || s[2] < 1 || s[3] < 1 || size[0] < 1 || size[1] < 1)
    throw ShapeError("[adaptive_avg_pool2d] " + show(view_of(x)) + " to " +
                     Shape{size[0], size[1]}.str() +
                     ", needed: an input [N, C, H, W], H and W and the size at least 1");
  if (size[0] == 1 && size[1] == 1) return mean(x, {2, 3}, true);
  const Windows windows[] = {{s[2], size[0]}, {s[3], size[1]}};
  const bool regular[] = {windows[0].regular(), windows[1].regular()};
  std::array<int64_t, 2> kernel{1, 1}, stride{1, 1};
  for (size_t d = 0; d < 2; ++d) {
    if (!regular[d]) continue;
    kernel[d] = windows[d].kernel();
    stride[d] = windows[d].stride();
  }
  Tensor out = x;
  if ((regular[0] && regular[1]) || kernel[0] > 1 || kernel[1] > 1)
    out = avg_pool2d(x, kernel, {.stride = stride});
  for (int d = 0; d < 2; ++d)
    if (!regular[d]) out = average_windows(out, 2 + d, windows[d]);
  return out;
}

}  // namespace tinytorch
