// How captures end, and what outlives them: steps that are given up, threads, loaded optimizers,
// the memory of graphs that are gone.
#include "tests/testing.h"

#include <thread>

#include <tinytorch/tinytorch.h>

namespace tinytorch::testing {
namespace {

class GraphEnds : public OnDevice {
 protected:
  Tensor x_ = ones({3});
};
TT_ON_EVERY_DEVICE(GraphEnds);

// A step that is given up is half done on every device.
TEST_P(GraphEnds, WhatWasBegunIsDone) {
  Tensor kept, weight = ones({3}).requires_grad_();
  expect_error<CaptureError>(
      [&] {
        capture(device_, [&] {
          kept = mul(x_, 2.0);
          weight.mul(kept).sum().backward();
          x_.add_(1.0);
          kept.sum().item();
        });
      },
      {"[item]"});
  EXPECT_EQ(values(kept), (std::vector<double>{2, 2, 2}));
  EXPECT_EQ(values(weight.grad()), (std::vector<double>{2, 2, 2}));
  EXPECT_EQ(values(x_), (std::vector<double>{2, 2, 2}));
  Tensor dropped;
  {
    Capture never_finished(device_);
    dropped = add(x_, x_);
  }
  EXPECT_EQ(values(dropped), (std::vector<double>{4, 4, 4}));
}

TEST_P(GraphEnds, ACaptureEndsOnceOnItsThread) {
  Tensor out;
  Capture recorder(device_);
  out = mul(x_, 3.0);
  std::thread([&] {
    expect_error<CaptureError>([&] { recorder.finish(); }, {"[finish]", "thread"});
  }).join();
  Graph graph = recorder.finish();
  expect_error<CaptureError>([&] { recorder.finish(); }, {"[finish]", "ended"});
  x_.fill_(2);
  graph.replay();
  EXPECT_EQ(values(out), (std::vector<double>{6, 6, 6}));
}

// A loaded state goes where captured steps look for it.
TEST_P(GraphEnds, OptimizersAreLoadedInPlace) {
  Tensor w = ones({3}).requires_grad_();
  Adam optimizer({w}, 0.1);
  const auto step = [&] {
    optimizer.zero_grad();
    mul(w, x_).sum().backward();
    optimizer.step();
  };
  step();
  StateDict saved;
  for (const auto& [name, value] : optimizer.state_dict()) saved.insert({name, value.clone()});
  const Tensor w_saved = w.clone();
  Graph graph = capture(device_, step);
  const auto expected = values(w);
  optimizer.set_learning_rate(7);
  graph.replay();
  optimizer.load_state_dict(saved);
  EXPECT_EQ(optimizer.learning_rate(), 0.1);
  {
    const NoGrad off;
    w.copy_(w_saved);
  }
  graph.replay();
  EXPECT_EQ(values(w), expected);
  EXPECT_EQ(values(optimizer.state_dict().at("state.0.step")), (std::vector<double>{2}));
}

// What dead graphs held serves the next capture.
TEST_P(GraphEnds, CapturesDoNotPileUp) {
  const Tensor x = randn({100, 100});
  device_.synchronize();
  struct Unlimited {
    Device device;
    ~Unlimited() { set_memory_limit(device, 0); }
  } unlimited{device_};
  set_memory_limit(device_, static_cast<size_t>(memory_stats(device_).reserved) + (8 << 20));
  for (int i = 0; i < 40; ++i) {
    Tensor r;
    Graph graph = capture(device_, [&] { r = tanh(matmul(x, x)).sum(); });
    graph.replay();
    device_.synchronize();
  }
}

}  // namespace
}  // namespace tinytorch::testing
