// Saving and loading of models and optimizers: training goes on where it stopped, and wrong files
// change nothing.
#include "tests/nn_support.h"

namespace tinytorch {
namespace {

Sequential make_net() {
  return Sequential{Conv2d(1, 4, 3), BatchNorm2d(4), ReLU(), Flatten(), Linear(4 * 4, 3)};
}

void train(Sequential& net, Optimizer& optimizer, int steps, uint64_t seed) {
  const Generator generator(seed);
  CrossEntropyLoss loss;
  for (int i = 0; i < steps; ++i) {
    const Tensor x = randn({8, 1, 4, 4}, {.generator = generator});
    optimizer.zero_grad();
    loss(net(x), randint(0, 3, {8}, {.generator = generator})).backward();
    optimizer.step();
  }
}

TEST(Checkpoint, TrainingGoesOnBitForBit) {
  TemporaryFolder folder;
  manual_seed(1);
  Sequential net = make_net();
  AdamW optimizer(net.parameters(), 0.01);
  train(net, optimizer, 5, 1);
  save(folder.file("net"), net);
  save(folder.file("optimizer"), optimizer);
  train(net, optimizer, 5, 2);

  Sequential other = make_net();
  AdamW other_optimizer(other.parameters(), 1.0);
  load(folder.file("net"), other);
  load(folder.file("optimizer"), other_optimizer);
  train(other, other_optimizer, 5, 2);
  const StateDict want = net.state_dict(), got = other.state_dict();
  for (const auto& [name, tensor] : want) expect_equal(got.at(name), tensor, name);
}

TEST(Checkpoint, LoadsOnAnotherDevice) {
  TemporaryFolder folder;
  Sequential net = make_net();
  save(folder.file("net"), net);
  Sequential other = make_net();
  other.to(Device("reference"));
  load(folder.file("net"), other);
  EXPECT_EQ(other.at<Linear>(4).weight.device().backend(), "reference");
  expect_equal(other.at<Linear>(4).weight, net.at<Linear>(4).weight);
}

TEST(Checkpoint, WrongFilesAreErrorsAndChangeNothing) {
  TemporaryFolder folder;
  Sequential net = make_net(), small{Linear(2, 2)};
  SGD optimizer(net.parameters(), 0.5);
  save(folder.file("small"), small);
  const std::vector<float> before = net.parameters()[0].to_vector<float>();
  expect_error<ValueError>([&] { load(folder.file("small"), net); },
                           {"missing: 1.bias", "0.weight", "[2, 2]"});
  expect_error<ValueError>([&] { load(folder.file("small"), optimizer); },
                           {"SGD", "missing: groups.0.dampening"});
  expect_error<IoError>([&] { load(folder.file("none"), net); }, {"none"});
  EXPECT_EQ(net.parameters()[0].to_vector<float>(), before);
  EXPECT_EQ(optimizer.learning_rate(), 0.5);

  Sequential longer{Linear(2, 2), Linear(2, 2)};
  const LoadReport report = load(folder.file("small"), longer, false);
  EXPECT_EQ(report.missing, (std::vector<std::string>{"1.bias", "1.weight"}));
  expect_equal(longer.at<Linear>(0).weight, small.at<Linear>(0).weight);
}

}  // namespace
}  // namespace tinytorch
