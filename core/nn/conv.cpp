// Conv2d and the pooling layers.
#include <tinytorch/nn/conv.h>

#include <cmath>

#include <tinytorch/error.h>
#include <tinytorch/nn/init.h>
#include <tinytorch/ops/create.h>

#include "core/nn/repr.h"

namespace tinytorch {

// Checked before the weight is made, so that a wrong layer costs no memory. -> shape of the weight
static Shape checked_weight(int64_t in, int64_t out, Size2d kernel, const Conv2dLayerOptions& o) {
  const auto fail = [&](const std::string& why) {
    throw ValueError("[Conv2d] " + std::to_string(in) + " -> " + std::to_string(out) +
                     " channels, kernel " + repr(kernel) + ": " + why);
  };
  const auto positive = [](Size2d s) { return s.height > 0 && s.width > 0; };
  if (in <= 0 || out <= 0) fail("channels must be positive");
  if (!positive(kernel)) fail("the kernel must be positive");
  if (!positive(o.stride)) fail("stride " + repr(o.stride) + " must be positive");
  if (!positive(o.dilation)) fail("dilation " + repr(o.dilation) + " must be positive");
  if (o.padding.height < 0 || o.padding.width < 0)
    fail("padding " + repr(o.padding) + " must not be negative");
  if (o.groups <= 0 || in % o.groups || out % o.groups)
    fail(std::to_string(o.groups) + " groups must divide both channels");
  return {out, in / o.groups, kernel.height, kernel.width};
}

static Tensor make_parameter(const Shape& shape) {
  CategoryGuard category(Category::parameter);
  return empty(shape, {.dtype = Dtype::f32});
}

Conv2d::Conv2d(int64_t in_channels, int64_t out_channels, Size2d kernel,
               const Conv2dLayerOptions& options)
    : in_(in_channels),
      out_(out_channels),
      kernel_(kernel),
      options_(options),
      op_options_{options.stride, options.padding, options.dilation, options.groups},
      weight(register_parameter(
          "weight", make_parameter(checked_weight(in_channels, out_channels, kernel, options)))),
      bias(register_parameter("bias", options.bias ? make_parameter({out_channels}) : Tensor())) {
  reset_parameters();
}

void Conv2d::reset_parameters() {
  init::kaiming_uniform_(weight, {.a = std::sqrt(5.0)});
  if (!bias.defined()) return;
  const double bound = 1 / std::sqrt(static_cast<double>(init::fans(weight).in));
  init::uniform_(bias, -bound, bound);
}

Tensor Conv2d::forward(const Tensor& x) { return conv2d(x, weight, bias, op_options_); }

std::string Conv2d::extra_repr() const {
  std::string out = std::to_string(in_) + ", " + std::to_string(out_) +
                    ", kernel_size=" + repr(kernel_) + ", stride=" + repr(options_.stride);
  if (options_.padding != Size2d(0)) out += ", padding=" + repr(options_.padding);
  if (options_.dilation != Size2d(1)) out += ", dilation=" + repr(options_.dilation);
  if (options_.groups != 1) out += ", groups=" + std::to_string(options_.groups);
  if (!options_.bias) out += ", bias=False";
  return out;
}

// ---- pooling; the op checks the sizes

static std::string pool_repr(Size2d kernel, const Pool2dOptions& o) {
  const auto size = [](const std::array<int64_t, 2>& a) { return Size2d(a[0], a[1]); };
  return "kernel_size=" + short_repr(kernel) +
         ", stride=" + short_repr(o.stride ? size(*o.stride) : kernel) +
         ", padding=" + short_repr(size(o.padding));
}

MaxPool2d::MaxPool2d(Size2d kernel, const MaxPool2dOptions& options) : kernel_(kernel) {
  if (options.stride) options_.stride = *options.stride;
  options_.padding = options.padding;
  options_.dilation = options.dilation;
}

Tensor MaxPool2d::forward(const Tensor& x) { return max_pool2d(x, kernel_, options_); }

std::string MaxPool2d::extra_repr() const {
  const Size2d dilation(options_.dilation[0], options_.dilation[1]);
  return pool_repr(kernel_, options_) + ", dilation=" + short_repr(dilation) + ", ceil_mode=False";
}

AvgPool2d::AvgPool2d(Size2d kernel, const AvgPool2dOptions& options) : kernel_(kernel) {
  if (options.stride) options_.stride = *options.stride;
  options_.padding = options.padding;
  options_.count_include_pad = options.count_include_pad;
}

Tensor AvgPool2d::forward(const Tensor& x) { return avg_pool2d(x, kernel_, options_); }

std::string AvgPool2d::extra_repr() const { return pool_repr(kernel_, options_); }

AdaptiveAvgPool2d::AdaptiveAvgPool2d(Size2d output_size) : size_(output_size) {
  if (size_.height < 1 || size_.width < 1)
    throw ValueError("[AdaptiveAvgPool2d] output size " + repr(size_) + " must be positive");
}

Tensor AdaptiveAvgPool2d::forward(const Tensor& x) { return adaptive_avg_pool2d(x, size_); }

std::string AdaptiveAvgPool2d::extra_repr() const { return "output_size=" + short_repr(size_); }

}  // namespace tinytorch
