// What a capture refuses and how it ends then, what a graph keeps alive, threads and forks, and the
// plan of the arena.
#include "tests/testing.h"

#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include <tinytorch/tinytorch.h>

#include "core/runtime/arena_plan.h"

namespace tinytorch::testing {
namespace {

class GraphRules : public OnDevice {
 protected:
  // fn is refused, and the next capture works.
  template <class F>
  void expect_refused(F&& fn, const std::vector<std::string>& parts) {
    const NothingLeaks leaks(device_);
    expect_error<CaptureError>([&] { capture(device_, fn); }, parts);
    Tensor out;
    Graph graph = capture(device_, [&] { out = mul(x_, 2.0); });
    x_.fill_(3);
    graph.replay();
    EXPECT_EQ(values(out), (std::vector<double>{6, 6, 6}));
    x_.fill_(1);
  }
  Tensor x_ = ones({3});
};
TT_ON_EVERY_DEVICE(GraphRules);

TEST_P(GraphRules, WaitingAndReadingAreRefused) {
  expect_refused([&] { sum(x_).item(); }, {"[item]", "after replay()"});
  expect_refused([&] { x_.to_vector<float>(); }, {"[to_vector]", "after replay()"});
  expect_refused([&] { x_.str(); }, {"[to_vector]"});
  expect_refused([&] { device_.synchronize(); }, {"[synchronize]", "after replay()"});
  expect_refused([&] { (void)default_generator(device_).state(); }, {"[copy to the host]"});
  if (device_.info().host_memory) expect_refused([&] { x_.data<float>()[0] = 2; }, {"[data]"});
}

// In a pause what the step has made has values only where core replays the launches.
TEST_P(GraphRules, TensorsOfTheStepInAPause) {
  const auto look = [&] {
    const Tensor t = mul(x_, 3.0);
    const CapturePause pause;
    EXPECT_EQ(values(t), (std::vector<double>{3, 3, 3}));
  };
  if (device_.info().synchronous) {
    capture(device_, look);
  } else if (device_.backend() == "cudatwin") {
    expect_refused(look, {"[CapturePause]", device_.name()});
  }
}

TEST_P(GraphRules, WaitingForStreamsIsRefused) {
  const auto other = create_stream(device_);
  expect_refused([&] { wait_stream(*other, current_stream(device_)); }, {"[wait_stream]"});
  expect_refused([&] { wait_stream(current_stream(device_), *other); }, {"[wait_stream]"});
  const Device there(device_.backend() == "reference" ? "cpu" : "reference");
  expect_error<DeviceError>([&] { wait_stream(*other, current_stream(there)); },
                            {"[wait_stream]", device_.name(), there.name()});
}

TEST_P(GraphRules, ValuesOfTheHostAreRefused) {
  expect_refused([&] { add(x_, tensor<float>({1, 2, 3})); }, {"[tensor]", "copy_"});
  expect_refused([&] { manual_seed(1); }, {"[tensor]"});
}

TEST_P(GraphRules, OtherDevicesAreRefused) {
  const Device other(device_.backend() == "reference" ? "cpu" : "reference");
  const Tensor there = ones({3}, {.device = other});
  expect_refused([&] { mul(there, 2.0); }, {"[mul] on " + other.name(), device_.name()});
  expect_refused([&] { x_.to(other); }, {"[to]", "copy_"});
  expect_refused([&] { x_.copy_(there); }, {"[to]"});
}

TEST_P(GraphRules, StreamsAndModesAreRefused) {
  const auto stream = create_stream(device_);
  expect_refused(
      [&] {
        const StreamGuard guard(device_, *stream);
        mul(x_, 2.0);
      },
      {"[mul]", "another stream"});
  expect_refused(
      [&] {
        const AnomalyMode mode;
        mul(x_, 2.0);
      },
      {"[mul]", "anomaly mode"});
}

TEST_P(GraphRules, NestingIsRefused) {
  Tensor out;
  Graph graph = capture(device_, [&] { out = mul(x_, 2.0); });
  expect_refused([&] { graph.replay(); }, {"[replay] inside a capture"});
  expect_error<CaptureError>([&] { capture(device_, [&] { capture(device_, [] {}); }); },
                             {"inside a capture"});
  expect_error<CaptureError>([] { Graph().replay(); }, {"empty"});
  Graph moved = std::move(graph);
  EXPECT_FALSE(graph);
  EXPECT_TRUE(moved);
  moved.replay();
}

// Swallowing the refusal does not make a graph of half a step.
TEST_P(GraphRules, ARefusalCannotBeSwallowed) {
  expect_refused(
      [&] {
        try {
          sum(x_).item();
        } catch (const CaptureError&) {
        }
        mul(x_, 2.0);
      },
      {"item"});
}

// Nor does swallowing what a kernel reported.
TEST_P(GraphRules, AFailedLaunchCannotBeSwallowed) {
  if (!device_.info().synchronous) GTEST_SKIP() << "there it is reported after the capture";
  const Tensor table = ones({4, 2}), index = full({3}, 9);
  expect_refused(
      [&] {
        try {
          embedding(table, index);
        } catch (const IndexError&) {
        }
      },
      {"[embedding] failed inside the capture"});
}

TEST_P(GraphRules, WhatTheStepThrowsPassesThrough) {
  struct Own {};
  const NothingLeaks leaks(device_);
  EXPECT_THROW(capture(device_,
                       [&] {
                         mul(x_, 2.0);
                         throw Own();
                       }),
               Own);
  EXPECT_THROW(capture(device_, [&] { add(x_, ones({2})); }), ShapeError);
  EXPECT_EQ(values(mul(x_, 2.0))[0], 2);
}

TEST_P(GraphRules, BadValuesAreReportedByReplays) {
  const Tensor table = ones({4, 2});
  const Tensor index = zeros({3}, {.dtype = Dtype::i64});
  Tensor out;
  Graph graph = capture(device_, [&] { out = embedding(table, index); });
  Tensor(index).fill_(9);
  expect_error<IndexError>(
      [&] {
        graph.replay();
        device_.synchronize();
      },
      {"embedding", "9"});
  Tensor(index).fill_(1);
  graph.replay();
  EXPECT_EQ(values(out)[0], 1);
  EXPECT_THROW(
      {
        Tensor(index).fill_(7);
        capture(device_, [&] { out = embedding(table, index); });
        device_.synchronize();
      },
      IndexError);
}

TEST_P(GraphRules, OutOfMemoryEndsTheCapture) {
  const NothingLeaks leaks(device_);
  const auto limited = [&](int64_t room) {
    trim_memory(device_);
    set_memory_limit(device_, static_cast<size_t>(memory_stats(device_).reserved + room));
  };
  const Tensor big = ones({4 << 20});  // no device keeps as much in reserve
  const auto step = [&] {
    Tensor t = mul(big, 2.0);
    for (int i = 0; i < 4; ++i) t = mul(t, 2.0);
  };
  limited(24 << 20);
  EXPECT_THROW(capture(device_, step), OutOfMemoryError);
  set_memory_limit(device_, 0);
  EXPECT_NO_THROW(capture(device_, step));
}

// The graph keeps what it uses; the model may go.
TEST_P(GraphRules, GraphsOutliveTensors) {
  const NothingLeaks leaks(device_);
  Graph graph;
  Tensor out;
  {
    const Tensor scratch = mul(x_, 5.0), weight = full({3}, 4.0);
    Tensor dropped = full({3}, 2.0);  // freed inside, after a launch has read it
    graph = capture(device_, [&] {
      out = mul(x_, weight);
      out = add(out, dropped);
      dropped = Tensor();
      out = add(out, scratch);
    });
  }
  std::vector<Tensor> others;
  for (int i = 0; i < 64; ++i) others.push_back(full({3}, -1.0));
  x_.fill_(10);
  graph.replay();
  EXPECT_EQ(values(out), (std::vector<double>{47, 47, 47}));
  others.clear();
  out = Tensor();
  graph.replay();
  graph = Graph();
  x_.fill_(1);
}

TEST_P(GraphRules, TwoGraphsOfOneModel) {
  Linear net(3, 2);
  SGD optimizer(net.parameters(), 0.1);
  const Tensor x = ones({4, 3}), y = ones({2, 3});
  Tensor loss, seen;
  const auto train = [&] {
    optimizer.zero_grad();
    loss = mse_loss(net(x), zeros({4, 2}));
    loss.backward();
    optimizer.step();
  };
  train();
  Graph training = capture(device_, train);
  Graph evaluation = capture(device_, [&] {
    const NoGrad off;
    seen = net(y);
  });
  for (int i = 0; i < 5; ++i) {
    training.replay();
    evaluation.replay();
    EXPECT_EQ(values(seen), values(net(y)));
  }
}

// The captured step itself was an ordinary one, also where the device recorded it first.
TEST_P(GraphRules, TheCapturedForwardHasAGradient) {
  Tensor w = ones({3}), y;
  w.requires_grad_();
  Graph graph = capture(device_, [&] { y = sum(exp(mul(w, w))); });
  y.backward();
  EXPECT_NEAR(values(w.grad())[0], 2 * std::exp(1.0), 1e-5);
}

// A tensor that was saved for a gradient and changed by a replay is an error, never a wrong result.
TEST_P(GraphRules, ReplaysCountAsChangesInPlace) {
  Tensor w = ones({3});
  w.requires_grad_();
  Graph graph = capture(device_, [&] {
    const NoGrad off;
    w.mul_(2.0);
  });
  const Tensor y = sum(mul(w, w));
  graph.replay();
  EXPECT_THROW(y.backward(), AutogradError);
}

TEST_P(GraphRules, PausesAreNotRecorded) {
  Tensor state, out;
  const auto step = [&] {
    if (!state.defined()) {
      const CapturePause once;
      state = tensor<float>({1, 2, 3});
    }
    state.add_(1.0);
    out = mul(state, x_);
  };
  Graph graph = capture(device_, step);
  for (int i = 0; i < 3; ++i) graph.replay();
  EXPECT_EQ(values(out), (std::vector<double>{5, 6, 7}));
}

TEST_P(GraphRules, EmptyStepsAndEmptyTensors) {
  Graph nothing = capture(device_, [] {});
  nothing.replay();
  Tensor out;
  const Tensor none = ones({0, 3});
  Graph graph = capture(device_, [&] { out = add(sum(mul(none, 2.0), {0}), x_); });
  graph.replay();
  EXPECT_EQ(values(out), (std::vector<double>{1, 1, 1}));
}

TEST_P(GraphRules, AnotherThreadMayReplay) {
  Tensor out;
  Graph graph = capture(device_, [&] { out = exp(mul(x_, 0.0)); });
  const Tensor kept = out;
  std::thread([&, moved = std::move(graph)]() mutable {
    x_.fill_(5);
    moved.replay();
    device_.synchronize();
  }).join();
  EXPECT_EQ(values(kept), (std::vector<double>{1, 1, 1}));
}

// Threads capture at the same time, and read the same tensor, which no replay says it has changed.
TEST_P(GraphRules, ThreadsCaptureAtTheSameTime) {
  const uint32_t version = x_.version();
  std::vector<std::thread> threads;
  std::vector<double> results[4];
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const DeviceGuard guard(device_);
      Tensor out;
      Graph graph = capture(device_, [&] {
        out = mul(x_, static_cast<double>(i));
        for (int k = 0; k < 20; ++k) out = add(out, x_);
      });
      for (int k = 0; k < 10; ++k) graph.replay();
      results[i] = values(out);
    });
  }
  for (std::thread& t : threads) t.join();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(results[i][0], 20 + i);
  EXPECT_EQ(x_.version(), version);
}

TEST_P(GraphRules, AForkedChildMayReplay) {
#if defined(__SANITIZE_THREAD__)  // it does not follow a fork of a process with threads
  GTEST_SKIP();
#endif
  if (!device_.info().synchronous) GTEST_SKIP() << "such a device stays with the parent";
  Tensor out;
  const Tensor big = ones({200000});
  Graph graph = capture(device_, [&] { out = sum(mul(big, 2.0)); });
  const pid_t child = fork();
  if (child == 0) {
    graph.replay();
    _exit(out.item() == 400000 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// ---- the plan

// Blocks that are alive together never share a byte, and the plan is not much larger than what is
// alive at once.
TEST(ArenaPlan, KeepsLivingBlocksApart) {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    std::vector<PlannedBlock> blocks;
    for (int i = 0; i < 80; ++i) {
      const auto first = static_cast<int64_t>(random() % 100);
      blocks.push_back({random() % 5000, first, first + static_cast<int64_t>(random() % 20)});
    }
    const size_t total = plan_arena(blocks);
    size_t busiest = 0;
    for (int64_t step = 0; step < 120; ++step) {
      size_t alive = 0;
      for (const PlannedBlock& b : blocks)
        if (b.first <= step && step <= b.last) alive += b.bytes + kArenaAlignment;
      busiest = std::max(busiest, alive);
    }
    EXPECT_LE(total, busiest * 3 / 2);
    for (const PlannedBlock& a : blocks) {
      EXPECT_EQ(a.offset % kArenaAlignment, 0u);
      EXPECT_LE(a.offset + a.bytes, total);
      for (const PlannedBlock& b : blocks) {
        if (&a == &b || a.last < b.first || b.last < a.first) continue;
        EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset);
      }
    }
  }
  std::vector<PlannedBlock> none;
  EXPECT_EQ(plan_arena(none), 0u);
}

}  // namespace
}  // namespace tinytorch::testing
