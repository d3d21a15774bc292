// conv2d and its two gradients. Each of the three is linear in both arguments, and the gradients of
// each are the other two.
#include <tinytorch/ops/conv.h>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/reduce.h>

#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

// For these output and weight shapes. Steps that are never taken are 1: the stride of a single
// output, the dilation of a single tap.
Conv2dParams params_of(const Conv2dOptions& o, const Shape& out, const Shape& w) {
  return {{out[2] == 1 ? 1 : o.stride[0], out[3] == 1 ? 1 : o.stride[1]},
          {o.padding[0], o.padding[1]},
          {w[2] == 1 ? 1 : o.dilation[0], w[3] == 1 ? 1 : o.dilation[1]},
          o.groups};
}

void check_options(const char* op, const Conv2dOptions& o) {
  for (int i = 0; i < 2; ++i) {
    const auto k = static_cast<size_t>(i);
    constexpr int64_t kMost = INT32_MAX;
    if (o.stride[k] < 1 || o.dilation[k] < 1 || o.padding[k] < 0 || o.stride[k] > kMost ||
        o.dilation[k] > kMost || o.padding[k] > kMost)
      throw ShapeError(
          "[" + std::string(op) + "] stride " + std::to_string(o.stride[k]) + ", padding " +
          std::to_string(o.padding[k]) + ", dilation " + std::to_string(o.dilation[k]) +
          ", needed: stride and dilation at least 1, padding at least 0, all below 2^31");
  }
  if (o.groups < 1)
    throw ShapeError("[" + std::string(op) + "] groups " + std::to_string(o.groups) +
                     ", needed: at least 1");
}

// [N, O, OH, OW] of an input and a weight shape.
Shape output_shape(const char* op, const Shape& x, const Shape& w, const Conv2dOptions& o) {
  check_options(op, o);
  auto fail = [&](const char* needed) {
    const auto pair = [](const auto& p) { return Shape{p[0], p[1]}.str(); };
    throw ShapeError("[" + std::string(op) + "] input " + x.str() + ", weight " + w.str() +
                     ", groups " + std::to_string(o.groups) + ", stride " + pair(o.stride) +
                     ", padding " + pair(o.padding) + ", dilation " + pair(o.dilation) +
                     ", needed: " + needed);
  };
  if (x.rank() != 4 || w.rank() != 4) fail("input [N, C, H, W] and weight [O, C / groups, kh, kw]");
  if (w[1] * o.groups != x[1]) fail("a weight for C / groups input channels");
  if (w[0] % o.groups != 0) fail("output channels that groups divide");
  if (w[2] < 1 || w[3] < 1) fail("a kernel of at least 1 x 1");
  Shape out{x[0], w[0]};
  for (int i = 0; i < 2; ++i) {
    const auto k = static_cast<size_t>(i);
    const int64_t span = x[2 + i] + 2 * o.padding[k] - o.dilation[k] * (w[2 + i] - 1) - 1;
    if (span < 0) fail("an input at least as large as the dilated kernel");
    out.push_back(span / o.stride[k] + 1);
  }
  return out;
}

void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  check_defined(op, a);
  check_defined(op, b);
  check_device(op, a, b);
  check_floating(op, a);
  if (view_of(a).dtype != view_of(b).dtype)
    throw DtypeError("[" + std::string(op) + "] " + show(view_of(a)) + " and " + show(view_of(b)) +
                     ", needed: one dtype");
}
void check_gradient(const char* op, const Tensor& g, const Shape& expected) {
  if (!(shape_of(g) == expected))
    throw ShapeError("[" + std::string(op) + "] gradient " + show(view_of(g)) +
                     ", needed: " + expected.str());
}
void fill_zero(const char* op, const Tensor& out) {
  launch<rows::fill>(op, device_of(out), view_of(out), ScalarValue{0, 0});
}

}  // namespace

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& o) {
  check_pair("conv2d", input, weight);
  const Shape shape = output_shape("conv2d", shape_of(input), shape_of(weight), o);
  if (bias.defined()) {
    check_pair("conv2d", input, bias);
    if (!(shape_of(bias) == Shape{shape[1]}))
      throw ShapeError("[conv2d] input " + show(view_of(input)) + ", weight " +
                       show(view_of(weight)) + ", bias " + show(view_of(bias)) + ", needed: [" +
                       std::to_string(shape[1]) + "], one per output channel");
  }
  const Tensor x = input.contiguous(), w = weight.contiguous(),
               b = bias.defined() ? bias.contiguous() : bias;
  Tensor out = make(device_of(x), view_of(x).dtype, shape);
  if (view_of(out).numel)
    launch<rows::conv2d>("conv2d", device_of(x), view_of(out), use(x), use(w), use_optional(b),
                         params_of(o, shape, shape_of(w)));
  if (!recording(x, w, b)) return out;
  return attach(out, "conv2d", {x, w, b},
                [x = Saved(used_by(w, x)), w = Saved(used_by(x, w)), xs = shape_of(x),
                 ws = shape_of(w), o](const Tensor& g, Needs need) {
                  return Grads{need[0] ? conv2d_grad_input(g, w(), xs, o) : Tensor(),
                               need[1] ? conv2d_grad_weight(g, x(), ws, o) : Tensor(),
                               need[2] ? sum(g, {0, 2, 3}) : Tensor()};
                });
}

Tensor conv2d_grad_input(const Tensor& gradient, const Tensor& weight, const Shape& input_shape,
                         const Conv2dOptions& o) {
  check_pair("conv2d_grad_input", gradient, weight);
  check_gradient("conv2d_grad_input", gradient,
                 output_shape("conv2d_grad_input", input_shape, shape_of(weight), o));
  const Tensor g = gradient.contiguous(), w = weight.contiguous();
  Tensor out = make(device_of(g), view_of(g).dtype, input_shape);
  if (view_of(g).numel == 0) {
    fill_zero("conv2d_grad_input", out);
  } else if (view_of(out).numel) {
    launch<rows::conv2d_grad_input>("conv2d_grad_input", device_of(g), view_of(out), use(g), use(w),
                                    params_of(o, shape_of(g), shape_of(w)));
  }
  if (!recording(g, w)) return out;
  return attach(out, "conv2d_grad_input", {g, w},
                [g = Saved(used_by(w, g)), w = Saved(used_by(g, w)), ws = shape_of(w), o](
                    const Tensor& h, Needs need) {
                  return Grads{need[0] ? conv2d(h, w(), {}, o) : Tensor(),
                               need[1] ? conv2d_grad_weight(g(), h, ws, o) : Tensor()};
                });
}

Tensor conv2d_grad_weight(const Tensor& gradient, const Tensor& input, const Shape& weight_shape,
                          const Conv2dOptions& o) {
  check_pair("conv2d_grad_weight", gradient, input);
  check_gradient("conv2d_grad_weight", gradient,
                 output_shape("conv2d_grad_weight", shape_of(input), weight_shape, o));
  const Tensor g = gradient.contiguous(), x = input.contiguous();
  Tensor out = make(device_of(g), view_of(g).dtype, weight_shape);
  if (view_of(g).numel == 0) {
    fill_zero("conv2d_grad_weight", out);
  } else if (view_of(out).numel) {
    launch<rows::conv2d_grad_weight>("conv2d_grad_weight", device_of(g), view_of(out), use(g),
                                     use(x), params_of(o, shape_of(g), weight_shape));
  }
  if (!recording(g, x)) return out;
  return attach(out, "conv2d_grad_weight", {g, x},
                [g = Saved(used_by(x, g)), x = Saved(used_by(g, x)), xs = shape_of(x), o](
                    const Tensor& h, Needs need) {
                  return Grads{need[0] ? conv2d(x(), h, {}, o) : Tensor(),
                               need[1] ? conv2d_grad_input(g(), h, xs, o) : Tensor()};
                });
}

}  // namespace tinytorch
