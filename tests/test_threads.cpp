// Many threads: memory that one takes and another frees, independent models with the bits they have
// alone, shared inputs, observers that come and go, first use by several at once. Also run under
// ThreadSanitizer.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include <tinytorch/profiler.h>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

class Threads : public OnDevice {
 protected:
  // Runs f(0) .. f(n - 1), each on a thread whose default device is the one under test.
  void on_threads(int n, const std::function<void(int)>& f) const {
    std::vector<std::thread> all;
    for (int i = 0; i < n; ++i)
      all.emplace_back([this, &f, i] {
        const DeviceGuard guard(device_);
        f(i);
      });
    for (std::thread& t : all) t.join();
  }
};
TT_ON_EVERY_DEVICE(Threads);

class Queue {
 public:
  void push(Tensor t) {
    {
      const std::lock_guard lock(mutex_);
      items_.push_back(std::move(t));
    }
    ready_.notify_one();
  }
  Tensor pop() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return !items_.empty(); });
    Tensor t = std::move(items_.front());
    items_.pop_front();
    return t;
  }
  size_t size() {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Tensor> items_;
};

double train(int seed, int steps) {
  const Generator g(static_cast<uint64_t>(seed));
  const Tensor x = randn({16, 8}, {.generator = g}), y = randint(0, 3, {16}, {.generator = g});
  Tensor w1 = randn({8, 12}, {.generator = g}), w2 = randn({12, 3}, {.generator = g});
  double total = 0;
  for (int s = 0; s < steps; ++s) {
    for (Tensor* w : {&w1, &w2}) {
      *w = w->detach();
      w->requires_grad_();
    }
    const Tensor loss = cross_entropy(matmul(dropout(tanh(matmul(x, w1)), 0.2, true, g), w2), y);
    loss.backward();
    total = total * 1.25 + loss.item();
    const NoGrad off;
    for (Tensor* w : {&w1, &w2}) w->add_(w->grad(), -0.1);
  }
  return total;
}

TEST_P(Threads, MemoryTakenHereAndFreedThereStaysBounded) {
  const int64_t live = memory_stats(device_).in_use;
  int64_t reserved_early = 0;
  {
    Queue queue;
    std::thread consumer([&] {
      const DeviceGuard guard(device_);
      double total = 0;
      for (;;) {
        const Tensor t = queue.pop();
        if (!t.defined()) break;
        total += t.size(0) == 1000 ? 1 : 0;
      }
      EXPECT_EQ(total, 3000);
    });
    for (int i = 0; i < 3000; ++i) {
      while (queue.size() > 8) std::this_thread::yield();
      queue.push(full({1000}, i));
      if (i == 500) reserved_early = memory_stats(device_).reserved;
    }
    queue.push({});
    consumer.join();
  }
  device_.synchronize();
  EXPECT_EQ(memory_stats(device_).in_use, live);
  EXPECT_LE(memory_stats(device_).reserved, reserved_early + (4 << 20));
}

TEST_P(Threads, ThreadsThatEndGiveTheirMemoryOn) {
  train(1, 2);
  const auto round = [&] {
    on_threads(2, [](int i) { train(i, 2); });
    return memory_stats(device_).reserved;
  };
  round();
  const int64_t early = round();
  for (int i = 0; i < 30; ++i) round();
  EXPECT_LE(memory_stats(device_).reserved, early + (2 << 20));
}

TEST_P(Threads, IndependentModelsGetTheBitsTheyGetAlone) {
  std::vector<double> alone(4), together(4);
  for (int i = 0; i < 4; ++i) alone[static_cast<size_t>(i)] = train(i, 10);
  for (int round = 0; round < 3; ++round) {
    on_threads(4, [&](int i) { together[static_cast<size_t>(i)] = train(i, 10); });
    EXPECT_EQ(together, alone);
  }
}

TEST_P(Threads, LargeOpsFromSeveralThreadsAtOnce) {  // they share the pool
  const ThreadsGuard threads(2);
  const Tensor a = rand({160, 160}, {.generator = Generator(1, device_)});
  const double want = sum(matmul(a, exp(a))).item();
  on_threads(3, [&](int) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(sum(matmul(a, exp(a))).item(), want);
  });
}

TEST_P(Threads, SharedInputsAreRead) {
  Tensor w = ones({50, 50});
  w.requires_grad_();
  const Tensor x = full({50}, 2.0);
  on_threads(4, [&](int) {
    for (int i = 0; i < 50; ++i) {
      const Tensor g = grad({sum(square(matmul(w, x)))}, {w})[0];  // grad() leaves w alone
      EXPECT_EQ(g.size(0), 50);
      const Tensor copy = w;  // handles are counted across threads
      EXPECT_TRUE(copy.shares_storage(w));
    }
  });
  EXPECT_FALSE(w.grad().defined());
}

TEST_P(Threads, AGraphMayBeHandedOver) {
  Tensor x = ones({100});
  x.requires_grad_();
  Tensor loss = sum(square(mul(x, 3)));
  std::thread([&] {
    const DeviceGuard guard(device_);
    loss.backward();
    loss = Tensor();
  }).join();
  EXPECT_EQ(x.grad().to_vector<double>()[0], 18);
}

TEST_P(Threads, ModesBelongToAThread) {
  const NoGrad off;
  const InferenceMode inference;
  const bool fused = set_fused_kernels(false);
  const CategoryGuard category(Category::input);
  const ModuleScope scope("outer");
  std::thread([&] {
    EXPECT_TRUE(grad_enabled());
    EXPECT_TRUE(set_fused_kernels(true));
    EXPECT_STREQ(module_path(), "");
    const DeviceGuard guard(device_);
    EXPECT_TRUE(mul(zeros({1}, {.requires_grad = true}), 2).requires_grad());
  }).join();
  EXPECT_STREQ(module_path(), "outer");
  EXPECT_FALSE(grad_enabled());
  set_fused_kernels(fused);
}

TEST_P(Threads, ObserversComeAndGoWhileOthersWork) {
  std::atomic<bool> stop{false};
  std::thread watcher([&] {
    while (!stop) {
      EventLog log, bounded(0);
      const Subscription a(log), b(bounded, LiveBlocks::announce);
      std::this_thread::yield();
      log.for_each([](const Event& e) { EXPECT_NE(e.id, 0u); });
    }
  });
  on_threads(3, [](int i) {
    const ModuleScope scope("net" + std::to_string(i));
    for (int k = 0; k < 5; ++k) train(i, 3);
  });
  stop = true;
  watcher.join();
}

TEST_P(Threads, StatisticsAreReadWhileOthersWork) {
  const NothingLeaks leaks(device_);
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      const MemoryStats s = memory_stats(device_);
      EXPECT_GE(s.reserved, 0);
      EXPECT_GE(s.peak_reserved, 0);
      trim_memory(device_, 1 << 16);
      reset_peak_memory(device_);
    }
  });
  on_threads(3, [](int i) { train(i, 20); });
  stop = true;
  reader.join();
}

TEST_P(Threads, ErrorsStayInTheirThread) {
  on_threads(4, [&](int i) {
    const Tensor table = ones({4, 2});
    for (int k = 0; k < 50; ++k) {
      const int64_t index = i % 2 ? 9 : 1;
      const auto look_up = [&] {
        const Tensor r = embedding(table, full({3}, index, {.dtype = Dtype::i64}));
        return sum(r).item();
      };
      if (!device_.info().synchronous) continue;  // there the error belongs to the stream
      if (i % 2) {
        EXPECT_THROW(look_up(), IndexError);
      } else {
        EXPECT_EQ(look_up(), 6);
      }
    }
  });
}

TEST_P(Threads, RegistryIsUsedFirstByManyAtOnce) {
  on_threads(4, [&](int) {
    for (const std::string& name : known_backends())
      EXPECT_FALSE(backend_status(name).name.empty());
    EXPECT_TRUE(Device(device_.name()) == device_);
    Device::all();
    Device::best();
  });
}

TEST_P(Threads, StreamsOfTheirOwn) {
  const Tensor input = full({1000}, 3.0);
  device_.synchronize();
  on_threads(3, [&](int i) {
    const auto stream = create_stream(device_);
    const StreamGuard guard(device_, *stream);
    EXPECT_EQ(&current_stream(device_), stream.get());
    for (int k = 0; k < 20; ++k) EXPECT_EQ(sum(add(mul(input, i), k)).item(), 1000.0 * (3 * i + k));
  });
}

}  // namespace
}  // namespace tinytorch::testing
