// A program as a user of the library writes it: fits y = 2 x - 1 on the best device and catches one
// of our errors. tests/consumer builds it against the installed package, in three ways.
#include <cstdio>

#include <tinytorch/tinytorch.h>

namespace tt = tinytorch;

int main() {
  tt::manual_seed(1);
  tt::Tensor x = tt::linspace(-1, 1, 32).reshape({32, 1});
  tt::Tensor y = x.mul(tt::full({1}, 2)).sub(tt::ones({1}));
  tt::Tensor weight = tt::zeros({1, 1}, {.requires_grad = true});
  tt::Tensor bias = tt::zeros({1}, {.requires_grad = true});
  for (int step = 0; step < 200; ++step) {
    tt::Tensor difference = x.matmul(weight).add(bias).sub(y);
    difference.square().mean().backward();
    tt::NoGrad no_grad;
    for (tt::Tensor* parameter : {&weight, &bias}) {
      parameter->add_(parameter->grad(), -0.2);
      parameter->zero_grad();
    }
  }
  try {
    tt::ones({2, 3}).matmul(tt::ones({2, 3}));
    return 1;
  } catch (const tt::ShapeError& error) {  // the type crosses the library's border
    std::printf("%s: weight %.4f, bias %.4f; %s\n", tt::Device::best().name().c_str(),
                weight.item(), bias.item(), error.what());
  }
  const double off =
      (weight.item() - 2) * (weight.item() - 2) + (bias.item() + 1) * (bias.item() + 1);
  return off < 1e-6 ? 0 : 1;
}
