// Load: the large MLP under growing batch and many rounds, several models in parallel threads, and
// shapes that change from step to step. Live bytes must be equal to the byte after every round, and
// what is taken from the system must stop growing. Simulated and slow devices, and the thread
// sanitizer, get a narrower MLP.
#include <gtest/gtest.h>

#include <exception>
#include <thread>

#include <tinytorch/tinytorch.h>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

// 512-1024-512-256-10, or a sixteenth of the widths.
struct Mlp {
  int64_t part;
  Sequential net{Linear(512 / part, 1024 / part), ReLU(), Linear(1024 / part, 512 / part), ReLU(),
                 Linear(512 / part, 256 / part),  ReLU(), Linear(256 / part, 10)};
  Adam optimizer{net.parameters(), 1e-3};
  MSELoss loss;

  explicit Mlp(int64_t part) : part(part) {}
  void step(int64_t batch) {
    optimizer.zero_grad();
    loss(net(randn({batch, 512 / part})), randn({batch, 10})).backward();
    optimizer.step();
  }
};

class Load : public OnDevice {
 protected:
  Load() { randn({1}); }  // the generator's state stays
  bool fast() const {
#if defined(__SANITIZE_THREAD__)
    return false;
#else
    return device_.backend() == "cpu" || device_.backend() == "cuda";
#endif
  }
  int64_t part() const { return fast() ? 1 : 16; }
  int64_t batch(int64_t of_fast) const { return fast() ? of_fast : of_fast / 16; }
  MemoryStats stats() const {
    device_.synchronize();
    return memory_stats(device_);
  }
};
TT_ON_EVERY_DEVICE(Load);

TEST_P(Load, GrowingBatchLeavesTheSameLiveBytesAfterEveryRound) {
  NothingLeaks check(device_);
  Mlp mlp(part());
  mlp.step(batch(16));  // makes gradients and moments
  const int64_t live = stats().in_use;
  int64_t before = 0;
  for (const int64_t of_fast : {16, 32, 64, 128, 256}) {
    reset_peak_memory(device_);
    mlp.step(batch(of_fast));
    const MemoryStats after = stats();
    EXPECT_EQ(after.in_use, live) << "batch " << batch(of_fast);
    EXPECT_GE(after.peak, before) << "batch " << batch(of_fast);
    before = after.peak;
  }
}

TEST_P(Load, ManyRoundsKeepLiveBytesPeakAndReserve) {
  NothingLeaks check(device_);
  Mlp mlp(part());
  for (int i = 0; i < 3; ++i) mlp.step(batch(128));
  const MemoryStats first = stats();
  for (int round = 0; round < 3; ++round) {
    reset_peak_memory(device_);
    for (int i = 0; i < 8; ++i) mlp.step(batch(128));
    const MemoryStats after = stats();
    EXPECT_EQ(after.in_use, first.in_use) << "round " << round;
    EXPECT_LE(after.peak_reserved, first.peak_reserved) << "round " << round;
    EXPECT_EQ(after.allocs - first.allocs, after.frees - first.frees) << "round " << round;
  }
}

// The published report allowed the second peak 1.5 times the first; ours is equal.
TEST_P(Load, FreshModelsHaveEqualPeaks) {
  int64_t peak = 0;
  for (int round = 0; round < 4; ++round) {
    NothingLeaks check(device_);
    const int64_t before = stats().in_use;
    reset_peak_memory(device_);
    Mlp mlp(part());
    for (int i = 0; i < 4; ++i) mlp.step(batch(128));
    const int64_t now = stats().peak - before;
    if (round > 0) {
      EXPECT_EQ(now, peak) << "round " << round;
    }
    peak = now;
  }
}

TEST_P(Load, ParallelModelsLeaveTheSameLiveBytes) {
  constexpr int kThreads = 4;
  NothingLeaks check(device_);
  std::vector<std::unique_ptr<Mlp>> models;
  for (int i = 0; i < kThreads; ++i) {
    models.push_back(std::make_unique<Mlp>(part()));
    models.back()->step(batch(16));
  }
  const int64_t live = stats().in_use;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    std::vector<std::exception_ptr> errors(kThreads);
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] {
        try {
          const DeviceGuard on(device_);
          for (int step = 0; step < 5; ++step) models[i]->step(batch(16 << (step + i) % 4));
          device_.synchronize();
        } catch (...) {
          errors[i] = std::current_exception();
        }
      });
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
    EXPECT_EQ(stats().in_use, live) << "round " << round;
  }
}

TEST_P(Load, ChangingShapesTakeNoMoreFromTheSystem) {
  NothingLeaks check(device_);
  Mlp mlp(part());
  const auto sweep = [&] {
    for (int64_t i = 1; i <= 24; ++i) mlp.step(i * 7 % 24 + 1);
  };
  sweep();
  sweep();
  const MemoryStats first = stats();
  for (int i = 0; i < 4; ++i) sweep();
  const MemoryStats after = stats();
  EXPECT_EQ(after.in_use, first.in_use);
  EXPECT_LE(after.reserved, first.peak_reserved);
  EXPECT_EQ(after.peak, first.peak);
}

}  // namespace
}  // namespace tinytorch::testing
