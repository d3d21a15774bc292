// A captured step against the same step run eagerly: equal bit for bit, on every device, for whole
// training steps. test_graph_rules.cpp has what a capture refuses, and lifetimes.
#include "examples/models/gpt.h"
#include "tests/testing.h"

#include <tinytorch/tinytorch.h>

#include <cstring>
#include <functional>

namespace tinytorch::testing {
namespace {

// A model with its data; `step` is what is captured, `between` runs before every step but the
// first.
struct Training {
  std::unique_ptr<Module> net;
  Tensor x, y;
  std::unique_ptr<Loss> criterion;
  std::unique_ptr<Optimizer> optimizer;
  bool clip = false;
  Tensor loss, norm;

  void step() {
    optimizer->zero_grad();
    loss = (*criterion)((*net)(x), y);
    loss.backward();
    if (clip) norm = clip_grad_norm_(net->parameters(), 0.5);
    optimizer->step();
  }
};

using Make = std::function<std::unique_ptr<Training>()>;
using Between = std::function<void(Training&, int)>;

template <class Net>
std::unique_ptr<Training> training(Net net, Tensor x, Tensor y) {
  auto t = std::make_unique<Training>();
  t->net = std::make_unique<Net>(std::move(net));
  t->x = std::move(x);
  t->y = std::move(y);
  t->criterion = std::make_unique<CrossEntropyLoss>();
  t->optimizer = std::make_unique<SGD>(t->net->parameters(), 0.05);
  return t;
}

std::unique_ptr<Training> xor_net() {
  auto t = training(Sequential{Linear(2, 8), Tanh(), Linear(8, 1), Sigmoid()},
                    tensor<float>({{0, 0}, {0, 1}, {1, 0}, {1, 1}}),
                    tensor<float>({{0}, {1}, {1}, {0}}));
  t->criterion = std::make_unique<MSELoss>();
  return t;
}
std::unique_ptr<Training> xor_adam() {
  auto t = xor_net();
  t->optimizer = std::make_unique<Adam>(t->net->parameters(), 0.05);
  return t;
}
std::unique_ptr<Training> seed_cnn() {
  return training(Sequential{Conv2d(1, 8, 3), ReLU(), MaxPool2d(2), Conv2d(8, 16, 2), ReLU(),
                             Flatten(), Linear(64, 3)},
                  randn({32, 1, 8, 8}), randint(0, 3, {32}));
}
std::unique_ptr<Training> dropout_mlp() {
  auto t = training(Sequential{Linear(40, 130), ReLU(), Dropout(0.3), Linear(130, 70), GELU(),
                               Dropout(0.5), Linear(70, 10)},
                    randn({33, 40}), randint(0, 10, {33}));
  t->optimizer = std::make_unique<AdamW>(t->net->parameters(), AdamWOptions{.learning_rate = 0.01});
  t->clip = true;
  return t;
}
std::unique_ptr<Training> batch_norm_net() {
  auto t = training(Sequential{Conv2d(3, 8, 3, {.padding = 1}), BatchNorm2d(8), ReLU(), Flatten(),
                               Linear(8 * 36, 20), BatchNorm1d(20), Tanh(), Linear(20, 5)},
                    randn({6, 3, 6, 6}), randint(0, 5, {6}));
  t->optimizer = std::make_unique<SGD>(
      t->net->parameters(), SgdOptions{.learning_rate = 0.05, .momentum = 0.9, .nesterov = true});
  return t;
}
std::unique_ptr<Training> small_gpt() {
  models::Gpt net({.tokens = 17, .context = 12, .width = 32, .heads = 4, .layers = 2});
  auto t = training(std::move(net), randint(0, 17, {3, 12}), randint(0, 17, {36}));
  t->optimizer = std::make_unique<Adam>(t->net->parameters(), 0.01);
  return t;
}

std::string bits(const Tensor& t) {
  const std::vector<double> v = t.to_vector<double>();
  return {reinterpret_cast<const char*>(v.data()), 8 * v.size()};
}

// Bits of loss and gradients after every step, and of everything that lasts at the end.
std::vector<std::string> run(const Make& make, const Between& between, int steps, bool captured) {
  manual_seed(7);
  const std::unique_ptr<Training> t = make();
  Graph graph;
  std::vector<std::string> seen;
  for (int i = 0; i < steps; ++i) {
    if (i && between) between(*t, i);
    if (!captured || i == 0) {
      t->step();
    } else if (!graph) {
      graph = capture(t->x.device(), [&] { t->step(); });
    } else {
      graph.replay();
    }
    seen.push_back(bits(t->loss));
    if (t->norm.defined()) seen.push_back(bits(t->norm));
    for (const Tensor& p : t->net->parameters()) seen.push_back(bits(p.grad()));
  }
  for (const auto& [name, value] : t->net->state_dict()) seen.push_back(bits(value));
  for (const auto& [name, value] : t->optimizer->state_dict()) seen.push_back(bits(value));
  const Generator::State g = default_generator(t->x.device()).state();
  seen.push_back(std::to_string(g.seed) + " " + std::to_string(g.offset));
  return seen;
}

class GraphOn : public OnDevice {
 protected:
  static void expect_equal_to_eager(const Make& make, const Between& between = {}) {
#if defined(__SANITIZE_THREAD__)
    constexpr int kSteps = 4;
#else
    constexpr int kSteps = 20;
#endif
    for (int threads : {1, 2}) {
      const ThreadsGuard guard(threads);
      const auto eager = run(make, between, kSteps, false);
      const auto captured = run(make, between, kSteps, true);
      ASSERT_EQ(eager.size(), captured.size());
      for (size_t i = 0; i < eager.size(); ++i)
        ASSERT_TRUE(eager[i] == captured[i]) << "entry " << i << ", " << threads << " threads";
    }
  }
};
TT_ON_EVERY_DEVICE(GraphOn);

TEST_P(GraphOn, XorSgd) { expect_equal_to_eager(xor_net); }
TEST_P(GraphOn, XorAdam) { expect_equal_to_eager(xor_adam); }
TEST_P(GraphOn, SeedCnn) { expect_equal_to_eager(seed_cnn); }
TEST_P(GraphOn, BatchNormInTraining) { expect_equal_to_eager(batch_norm_net); }
TEST_P(GraphOn, Gpt) { expect_equal_to_eager(small_gpt); }

// The rate, the batch and the gradient's scale change between steps, dropout draws anew, gradients
// are clipped.
TEST_P(GraphOn, WhatChangesBetweenSteps) {
  expect_equal_to_eager(dropout_mlp, [](Training& t, int i) {
    const NoGrad off;
    t.optimizer->set_learning_rate(0.01 / (1 + i));
    t.optimizer->set_grad_scale(1 + 0.1 * i);
    t.x.copy_(randn(t.x.shape()));
    t.y.copy_(randint(0, 10, t.y.shape()));
  });
}

TEST_P(GraphOn, WithoutFusedKernels) {
  const FusedGuard off(false);
  expect_equal_to_eager(xor_adam);
  expect_equal_to_eager(dropout_mlp);
}

// Micro-batches: one graph adds to the gradients, another steps and clears them.
TEST_P(GraphOn, GradientsAddUpOverReplays) {
  const auto accumulate = [](Training& t) {
    t.loss = (*t.criterion)((*t.net)(t.x), t.y);
    t.loss.backward();
  };
  const auto clear = [](Training& t) {
    const NoGrad off;
    for (Tensor p : t.net->parameters()) p.grad().zero_();
  };
  const auto train = [&](bool captured) {
    manual_seed(3);
    const auto t = seed_cnn();
    accumulate(*t);
    Graph add, finish;
    for (int i = 0; i < 6; ++i) {
      for (int k = 0; k < 3; ++k) {
        if (!captured) {
          accumulate(*t);
        } else if (!add) {
          add = capture(t->x.device(), [&] { accumulate(*t); });
        } else {
          add.replay();
        }
      }
      const auto step = [&] {
        t->optimizer->step();
        clear(*t);
      };
      if (!captured) {
        step();
      } else if (!finish) {
        finish = capture(t->x.device(), step);
      } else {
        finish.replay();
      }
    }
    std::vector<std::string> seen;
    for (const Tensor& p : t->net->parameters()) seen.push_back(bits(p) + bits(p.grad()));
    return seen;
  };
  EXPECT_TRUE(train(false) == train(true));
}

// State that a first step makes is made once, also when the first step is the captured one.
TEST_P(GraphOn, FirstStepMayBeTheCapturedOne) {
  for (const Make& make : {Make(xor_net), Make(xor_adam), Make(dropout_mlp)}) {
    std::vector<std::string> seen[2];
    for (bool captured : {false, true}) {
      manual_seed(11);
      const auto t = make();
      Graph graph;
      if (captured) graph = capture(t->x.device(), [&] { t->step(); });
      for (int i = captured; i < 5; ++i) captured ? graph.replay() : t->step();
      for (const Tensor& p : t->net->parameters()) seen[captured].push_back(bits(p));
      for (const auto& [name, v] : t->optimizer->state_dict()) seen[captured].push_back(bits(v));
    }
    EXPECT_TRUE(seen[0] == seen[1]);
  }
}

// What an earlier capture, or a stream that has come back, left behind is from outside for a later
// one, although both have the same stream.
TEST_P(GraphOn, TensorsOfAnEarlierCaptureStayAlive) {
  const Tensor x = ones({1000});
  Tensor left, out, older;
  {
    const std::shared_ptr<Stream> stream = create_stream(device_);
    const StreamGuard current(device_, *stream);
    older = full({1000}, 4.0);
    device_.synchronize();
  }
  Graph first = capture(device_, [&] { left = x.add(x); });
  Graph second = capture(device_, [&] { out = left.add(older); });
  first = {};
  left = older = {};
  std::vector<Tensor> others;
  for (int i = 0; i < 8; ++i) others.push_back(full({1000}, -1.0));
  second.replay();
  EXPECT_EQ(out.to_vector<float>(), std::vector<float>(1000, 6));
}

struct Count final : Observer {
  int64_t ops = 0, allocations = 0;
  double flops = 0;
  void on_event(const Event& e) noexcept override {
    ops += e.kind == EventKind::op;
    allocations += e.kind == EventKind::alloc || e.kind == EventKind::raw_alloc;
    flops += e.flops;
  }
};

TEST_P(GraphOn, ReplayTakesNoMemory) {
  for (const Make& make : {Make(xor_adam), Make(seed_cnn), Make(small_gpt)}) {
    const auto t = make();
    t->step();
    Graph graph = capture(device_, [&] { t->step(); });
    const NothingLeaks leaks(device_);
    graph.replay();
    device_.synchronize();
    const MemoryStats before = memory_stats(device_);
    for (int i = 0; i < 3; ++i) graph.replay();
    device_.synchronize();
    const MemoryStats after = memory_stats(device_);
    EXPECT_EQ(after.peak, before.peak);
    if (!device_.info().synchronous) continue;  // there kernels take workspace from the device
    EXPECT_EQ(after.allocs, before.allocs);
    EXPECT_EQ(after.frees, before.frees);
  }
}

// An observer sees the launches of a replay as those of the step.
TEST_P(GraphOn, ObserversSeeReplays) {
  const auto t = seed_cnn();
  t->step();
  EventLog eager, replayed;
  {
    const Subscription on(eager);
    t->step();
  }
  Graph graph = capture(device_, [&] { t->step(); });
  Count count;
  {
    const Subscription on(replayed), too(count);
    graph.replay();
  }
  if (!device_.info().synchronous) return;
  EXPECT_EQ(count.ops, graph.launches());
  EXPECT_EQ(count.allocations, 0);
  EXPECT_GT(count.flops, 5e5);
  std::map<std::pair<std::string, Phase>, int64_t> calls[2];
  for (int i = 0; i < 2; ++i)
    (i ? replayed : eager).for_each([&](const Event& e) {
      if (e.kind == EventKind::op) ++calls[i][{e.name, e.phase}];
    });
  EXPECT_EQ(calls[0], calls[1]);
}

}  // namespace
}  // namespace tinytorch::testing
