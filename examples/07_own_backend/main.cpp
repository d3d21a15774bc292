// Trains XOR on the device of own_backend.cpp as on any other device, and shows what happens at a
// row that it lacks.
//   TINYTORCH_BACKEND_PATH=<folder of libtinytorch_own.so> own_main
#include <cmath>
#include <cstdio>

#include <tinytorch/tinytorch.h>

namespace tt = tinytorch;

// Mean squared error of a 2-8-1 network after 200 steps.
double train(const tt::Device& device) {
  tt::manual_seed(3);  // random numbers are made on the CPU: backend "own" has no row for them
  const auto parameter = [&](const tt::Shape& shape) {
    return tt::randn(shape).to(device).requires_grad_();
  };
  const tt::Tensor x = tt::tensor<float>({{0, 0}, {0, 1}, {1, 0}, {1, 1}}).to(device);
  const tt::Tensor y = tt::tensor<float>({{0}, {1}, {1}, {0}}).to(device);
  tt::Tensor w1 = parameter({2, 8}), b1 = parameter({8}), w2 = parameter({8, 1}),
             b2 = parameter({1});
  tt::Tensor loss;
  for (int step = 0; step < 200; ++step) {
    const tt::Tensor hidden = x.matmul(w1).add(b1).tanh();
    loss = hidden.matmul(w2).add(b2).sub(y).square().mean();
    loss.backward();
    const tt::NoGrad no_grad;
    for (tt::Tensor* p : {&w1, &b1, &w2, &b2}) {
      p->add_(p->grad(), -0.1);
      p->zero_grad();
    }
  }
  return loss.item<float>();  // the cast to double would be a kernel that "own" lacks
}

int main() {
  const tt::BackendStatus status = tt::backend_status("own");
  if (status.unusable.why != tt::Why::usable) {
    std::printf("backend 'own' cannot be used: %s; %s\n", status.unusable.reason.c_str(),
                status.unusable.fix.c_str());
    return 1;
  }
  const tt::Device own("own");
  const double here = train(own), there = train(tt::Device("cpu"));
  std::printf("XOR after 200 steps: loss %.6f on %s, %.6f on cpu\n", here, own.name().c_str(),
              there);
  std::printf("most memory in use: %lld bytes\n",
              static_cast<long long>(tt::memory_stats(own).peak));

  bool refused = false;
  try {
    tt::conv2d(tt::ones({1, 1, 4, 4}, {.device = own}), tt::ones({1, 1, 3, 3}, {.device = own}));
  } catch (const tt::DeviceError& error) {
    refused = true;
    std::printf("%s\n", error.what());
  }
  return refused && here < 0.01 && std::abs(here - there) < 1e-3 ? 0 : 1;
}
