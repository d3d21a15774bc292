// Whole training runs against PyTorch from the same weights and data: loss curves, final weights,
// predictions. On the CPU and on the reference backend. Tolerances: f32 rounding, grown over 40
// (MLP) and 24 (CNN) steps.
#include "tests/nn_support.h"

namespace tinytorch {
namespace {

std::vector<double> train(Module& net, Optimizer& optimizer, const Tensor& x, const Tensor& y,
                          int64_t batch, int epochs) {
  CrossEntropyLoss loss_function;
  DataLoader loader(TensorDataset(x, y), {.batch_size = batch});
  std::vector<double> losses;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (const auto& [images, labels] : loader) {
      optimizer.zero_grad();
      const Tensor loss = loss_function(net(images), labels);
      loss.backward();
      optimizer.step();
      losses.push_back(loss.item());
    }
  }
  return losses;
}

void expect_state(const Module& net, const StateDict& want, double absolute, double relative) {
  const StateDict got = net.state_dict();
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want)
    expect_close(got.at(name).cpu(), tensor, absolute, relative, name);
}

class Training : public testing::TestWithParam<const char*> {
 protected:
  Device device{GetParam()};
  DeviceGuard guard{device};
};

TEST_P(Training, MlpFollowsPyTorch) {
  const StateDict golden = load_safetensors(data_path("nn_mlp.safetensors"), device);
  const auto run = [&](const char* name, auto make) {
    SCOPED_TRACE(name);
    Sequential net{Linear(10, 16), ReLU(), Linear(16, 12), Tanh(), Linear(12, 4)};
    net.load_state_dict(below(golden, "start."));
    auto optimizer = make(net.parameters());
    const std::vector<double> losses =
        train(net, optimizer, golden.at("x"), golden.at("y"), 16, 10);
    const std::string prefix = name;
    expect_close(tensor(losses), golden.at("losses." + prefix), 2e-5, 2e-5, "losses");
    expect_state(net, below(golden, prefix + "."), 1e-4, 1e-4);
  };
  using Parameters = std::vector<Tensor>;
  run("sgd", [](Parameters p) {
    return SGD(
        std::move(p),
        SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 1e-3, .nesterov = true});
  });
  run("adam", [](Parameters p) { return Adam(std::move(p), 0.01); });
  run("adamw", [](Parameters p) {
    return AdamW(std::move(p), AdamWOptions{.learning_rate = 0.01, .weight_decay = 0.1});
  });
}

TEST_P(Training, CnnFollowsPyTorch) {
  const StateDict golden = load_safetensors(data_path("nn_cnn.safetensors"), device);
  Sequential net{Conv2d(2, 6, 3, {.padding = 1, .bias = false}),
                 BatchNorm2d(6),
                 ReLU(),
                 MaxPool2d(2),
                 Conv2d(6, 8, {3, 2}, {.stride = {2, 1}, .groups = 2}),
                 GELU(),
                 AvgPool2d({1, 3}, {.stride = 1}),
                 Flatten(),
                 Linear(8, 3)};
  net.load_state_dict(below(golden, "start."));
  Adam optimizer(net.parameters(), 0.005);
  const std::vector<double> losses = train(net, optimizer, golden.at("x"), golden.at("y"), 16, 8);
  expect_close(tensor(losses), golden.at("losses"), 5e-5, 5e-5, "losses");
  expect_state(net, below(golden, "final."), 5e-4, 5e-4);
  net.eval();
  NoGrad no_grad;
  expect_close(net(golden.at("x")), golden.at("logits"), 2e-3, 2e-3, "logits");
}

TEST_P(Training, XorIsLearned) {
  manual_seed(1);
  const Tensor x = tensor<float>({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const Tensor y = tensor<float>({{0}, {1}, {1}, {0}});
  Sequential net{Linear(2, 8), Tanh(), Linear(8, 1), Sigmoid()};
  Adam optimizer(net.parameters(), 0.05);
  MeanSquaredError loss_function;
  double last = 1;
  for (int i = 0; i < 400; ++i) {
    optimizer.zero_grad();
    const Tensor loss = loss_function(net(x), y);
    loss.backward();
    optimizer.step();
    last = loss.item();
  }
  EXPECT_LT(last, 0.01);
}

INSTANTIATE_TEST_SUITE_P(Devices, Training, testing::Values("cpu", "reference"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace tinytorch
