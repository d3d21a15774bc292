// Layers and initial values; see nets.h.
#include "examples/validate/nets.h"

namespace validate {

using namespace tinytorch;

Sequential xor_net(const Generator& generator) {
  Sequential net{Linear(2, 8), ReLU(), Linear(8, 4), ReLU(), Linear(4, 1), Sigmoid()};
  constexpr double kInitialStd = 0.1;
  for (const Tensor& p : net.parameters()) init::normal_(p, 0, kInitialStd, generator);
  return net;
}

Sequential stripes_net(const Generator& generator) {
  Sequential net{Conv2d(1, 8, 3), ReLU(),    MaxPool2D(2), Conv2d(8, 16, 2),
                 ReLU(),          Flatten(), Linear(64, 3)};
  for (const int layer : {0, 3}) {
    auto& conv = net.at<Conv2d>(layer);
    init::kaiming_normal_(conv.weight,
                          {.nonlinearity = init::Nonlinearity::relu, .generator = generator});
    init::zeros_(conv.bias);
  }
  auto& last = net.at<Linear>(6);
  init::xavier_normal_(last.weight, 1, generator);
  init::zeros_(last.bias);
  return net;
}

Sequential digits_net() {
  return Sequential{Conv2d(1, 16, 3, {.padding = 1}),
                    ReLU(),
                    MaxPool2d(2),
                    Conv2d(16, 32, 3),
                    ReLU(),
                    Flatten(),
                    Linear(128, 64),
                    ReLU(),
                    Linear(64, 10)};
}

Sequential mnist_net() {
  return Sequential{Conv2d(1, 12, 5, {.stride = 2, .padding = 2}),
                    ReLU(),
                    MaxPool2d(2),
                    Conv2d(12, 24, 3, {.padding = 1}),
                    ReLU(),
                    MaxPool2d(2),
                    Flatten(),
                    Linear(216, 10)};
}

}  // namespace validate
