// ResNet-18 for images of 32 x 32 (He et al. 2016, with the small stem usual for CIFAR). Layers are
// members: each line registers one under its name, which is what save() and load() use.
#pragma once

#include <tinytorch/tt.h>

namespace models {

// Two convolutions, and the input added to what they make: x [N, in, H, W] -> [N, out, H / stride,
// W / stride].
struct ResidualBlock : tt::Module {
  const int64_t in, out, stride;
  tt::Conv2d& conv1 = register_module(
      "conv1", tt::Conv2d(in, out, 3, {.stride = stride, .padding = 1, .bias = false}));
  tt::BatchNorm2d& norm1 = register_module("norm1", tt::BatchNorm2d(out));
  tt::Conv2d& conv2 =
      register_module("conv2", tt::Conv2d(out, out, 3, {.padding = 1, .bias = false}));
  tt::BatchNorm2d& norm2 = register_module("norm2", tt::BatchNorm2d(out));
  tt::Sequential& shortcut = register_module("shortcut", make_shortcut());

  ResidualBlock(int64_t in, int64_t out, int64_t stride) : in(in), out(out), stride(stride) {}

  tt::Tensor forward(const tt::Tensor& x) override {
    const tt::Tensor h = norm1(conv1(x)).relu();
    return (norm2(conv2(h)) + shortcut(x)).relu();
  }

 private:
  // The input itself, or, where shapes differ, a projection of it.
  tt::Sequential make_shortcut() const {
    if (in == out && stride == 1) return {};
    return tt::Sequential(tt::Conv2d(in, out, 1, {.stride = stride, .bias = false}),
                          tt::BatchNorm2d(out));
  }
};

// x [N, 3, 32, 32] -> logits [N, classes].
struct ResNet18 : tt::Module {
  tt::Sequential& stem =
      register_module("stem", tt::Sequential(tt::Conv2d(3, 64, 3, {.padding = 1, .bias = false}),
                                             tt::BatchNorm2d(64), tt::ReLU()));
  tt::Sequential& blocks = register_module("blocks", tt::Sequential());
  tt::Sequential& head;

  explicit ResNet18(int64_t classes)
      : head(register_module("head", tt::Sequential(tt::AdaptiveAvgPool2d(1), tt::Flatten(),
                                                    tt::Linear(512, classes)))) {
    int64_t in = 64;
    for (const int64_t out : {64, 128, 256, 512}) {
      blocks.push_back(ResidualBlock(in, out, in == out ? 1 : 2));
      blocks.push_back(ResidualBlock(out, out, 1));
      in = out;
    }
  }

  tt::Tensor forward(const tt::Tensor& x) override { return head(blocks(stem(x))); }
};

}  // namespace models
