// Layers over images [N, C, H, W]: Conv2d and pooling.
#pragma once

#include <array>
#include <optional>

#include <tinytorch/nn/module.h>
#include <tinytorch/ops/conv.h>
#include <tinytorch/ops/pool.h>

namespace tinytorch {

// Height and width; one number stands for both.
struct Size2d {
  int64_t height, width;
  constexpr Size2d(int64_t both) : height(both), width(both) {}
  constexpr Size2d(int64_t height, int64_t width) : height(height), width(width) {}
  constexpr operator std::array<int64_t, 2>() const { return {height, width}; }
  constexpr bool operator==(const Size2d&) const = default;
};

struct Conv2dLayerOptions {
  Size2d stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

// Conv2d(3, 16, 3, {.stride = 2, .padding = {1, 0}}): x [N, in, H, W] -> [N, out, OH, OW], as the
// op conv2d says. weight [out, in / groups, kernel] and bias [out] start uniform in +-1 / sqrt(in /
// groups * kernel height * width). ValueError for sizes that are not positive or channels that the
// groups do not divide.
class TT_API Conv2d : public Module {
 public:
  Conv2d(int64_t in_channels, int64_t out_channels, Size2d kernel,
         const Conv2dLayerOptions& options = {});
  Conv2d(Conv2d&&) noexcept = default;

  Tensor forward(const Tensor& x) override;
  void reset_parameters();
  std::string extra_repr() const override;

 private:
  int64_t in_, out_;
  Size2d kernel_;
  Conv2dLayerOptions options_;
  Conv2dOptions op_options_;

 public:
  Tensor& weight;
  Tensor& bias;  // undefined without bias
};

struct MaxPool2dOptions {
  std::optional<Size2d> stride{};  // default: the kernel
  Size2d padding = 0, dilation = 1;
};
struct AvgPool2dOptions {
  std::optional<Size2d> stride{};  // default: the kernel
  Size2d padding = 0;
  bool count_include_pad = true;
};

// x [N, C, H, W] -> [N, C, OH, OW], as the op max_pool2d says.
class TT_API MaxPool2d : public Module {
 public:
  explicit MaxPool2d(Size2d kernel, const MaxPool2dOptions& options = {});
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 private:
  Size2d kernel_;
  Pool2dOptions options_;
};
using MaxPool2D = MaxPool2d;

// x [N, C, H, W] -> [N, C, OH, OW], as the op avg_pool2d says.
class TT_API AvgPool2d : public Module {
 public:
  explicit AvgPool2d(Size2d kernel, const AvgPool2dOptions& options = {});
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 private:
  Size2d kernel_;
  Pool2dOptions options_;
};

// x [N, C, H, W] -> [N, C, OH, OW] for any H and W, as the op adaptive_avg_pool2d says. ValueError
// for a size that is not positive.
class TT_API AdaptiveAvgPool2d : public Module {
 public:
  explicit AdaptiveAvgPool2d(Size2d output_size);
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;

 private:
  Size2d size_;
};

}  // namespace tinytorch
