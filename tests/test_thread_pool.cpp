// The thread pool: every task once, nested and concurrent regions, exceptions, changing width,
// forks.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "backends/cpu/rt.h"
#include "backends/cpu/thread_pool.h"
#include "tests/kernels/test_stream.h"

namespace tinytorch {
namespace {

// Two threads, also where there is one processor.
class ThreadPool : public testing::Test {
 protected:
  void SetUp() override { cpu::set_num_threads(3); }
  void TearDown() override { cpu::set_num_threads(0); }
};

template <class F>
void run(int64_t tasks, F&& f) {
  cpu::parallel_for(test_context(), tasks, f);
}

TEST_F(ThreadPool, RunsEveryTaskOnce) {
  for (const int64_t tasks : {0, 1, 2, 3, 17, 1000}) {
    std::vector<std::atomic<int>> count(static_cast<size_t>(tasks));
    run(tasks, [&](int64_t t) { count[static_cast<size_t>(t)].fetch_add(1); });
    for (auto& c : count) ASSERT_EQ(c.load(), 1);
  }
}

TEST_F(ThreadPool, ManyShortRegions) {
  int64_t sums[8] = {};
  for (int i = 0; i < 20000; ++i) run(8, [&](int64_t t) { sums[t] += t; });
  for (int64_t t = 0; t < 8; ++t) EXPECT_EQ(sums[t], 20000 * t);
}

TEST_F(ThreadPool, WakesAfterSleep) {
  for (int i = 0; i < 20; ++i) {
    std::atomic<int> count{0};
    run(8, [&](int64_t) { count.fetch_add(1); });
    EXPECT_EQ(count.load(), 8);
    std::this_thread::sleep_for(
        std::chrono::milliseconds(1));  // long enough for the workers to sleep
  }
}

TEST_F(ThreadPool, SlotsAreNeverShared) {
  constexpr int kSlots = 2;
  std::atomic<int> inside[kSlots] = {};
  std::atomic<bool> shared{false}, out_of_range{false};
  for (int i = 0; i < 200; ++i) {
    cpu::parallel_for_slots(test_context(), 50, kSlots, [&](int64_t, int slot) {
      if (slot < 0 || slot >= kSlots) {
        out_of_range = true;
        return;
      }
      if (inside[slot].fetch_add(1) != 0) shared = true;
      inside[slot].fetch_sub(1);
    });
  }
  EXPECT_FALSE(shared);
  EXPECT_FALSE(out_of_range);
}

TEST_F(ThreadPool, NestedRegionsRunSerially) {
  std::atomic<int> count{0};
  run(6, [&](int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    EXPECT_EQ(cpu::slot_count(), 1);
    run(5, [&](int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), outer);
      count.fetch_add(1);
    });
  });
  EXPECT_EQ(count.load(), 30);
  EXPECT_EQ(cpu::slot_count(), 3);
}

TEST_F(ThreadPool, ConcurrentUsersAllFinish) {
  std::vector<std::thread> users;
  std::atomic<int64_t> total{0};
  for (int u = 0; u < 4; ++u) {
    users.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) run(10, [&](int64_t t) { total.fetch_add(t); });
    });
  }
  for (auto& u : users) u.join();
  EXPECT_EQ(total.load(), 4 * 1000 * 45);
}

TEST_F(ThreadPool, ExceptionsReachTheCaller) {
  for (int i = 0; i < 50; ++i) {
    EXPECT_THROW(run(20,
                     [](int64_t t) {
                       if (t == 13) throw std::runtime_error("task");
                     }),
                 std::runtime_error);
    std::atomic<int> count{0};
    run(20, [&](int64_t) { count.fetch_add(1); });
    EXPECT_EQ(count.load(), 20) << "the pool works on";
  }
}

TEST_F(ThreadPool, WidthChangesAtRunTime) {
  for (const int width : {1, 4, 2, 8, 1, 3}) {
    cpu::set_num_threads(width);
    EXPECT_EQ(cpu::num_threads(), width);
    std::atomic<int> count{0};
    std::atomic<bool> bad_slot{false};
    cpu::parallel_for_slots(test_context(), 100, width, [&](int64_t, int slot) {
      if (slot >= width) bad_slot = true;
      count.fetch_add(1);
    });
    EXPECT_EQ(count.load(), 100);
    EXPECT_FALSE(bad_slot);
  }
  cpu::set_num_threads(0);
  EXPECT_EQ(cpu::num_threads(), cpu::usable_processors());
  EXPECT_GE(cpu::usable_processors(), 1);
}

TEST_F(ThreadPool, OneThreadStartsNoWorker) {
  const pid_t child = fork();  // a fresh pool
  ASSERT_GE(child, 0);
  if (child == 0) {
    cpu::set_num_threads(1);
    int64_t sum = 0;
    run(100, [&](int64_t t) { sum += t; });
    _exit(sum == 4950 && cpu::workers_started() == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(ThreadPool, ForkedChildBuildsItsOwn) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer starts no threads in a forked child";
#endif
  run(50, [](int64_t) {});
  for (int round = 0; round < 5; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::atomic<int> count{0};
      for (int i = 0; i < 100; ++i) run(20, [&](int64_t) { count.fetch_add(1); });
      _exit(count.load() == 2000 && cpu::workers_started() == 2 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    std::atomic<int> count{0};
    run(20, [&](int64_t) { count.fetch_add(1); });
    EXPECT_EQ(count.load(), 20);
  }
}

TEST_F(ThreadPool, WorkersTakeNoSignals) {
  std::atomic<bool> all_blocked{true};
  const std::thread::id caller = std::this_thread::get_id();
  for (int i = 0; i < 20; ++i) {
    run(50, [&](int64_t) {
      if (std::this_thread::get_id() == caller) return;
      sigset_t mask;
      pthread_sigmask(SIG_BLOCK, nullptr, &mask);
      if (!sigismember(&mask, SIGINT) || !sigismember(&mask, SIGUSR1)) all_blocked = false;
    });
  }
  EXPECT_TRUE(all_blocked);
}

TEST(TaskCuts, CoverEverythingOnce) {
  for (const int64_t count : {0, 1, 7, 64, 1000}) {
    for (const int64_t tasks : {1, 2, 3, 8, 100}) {
      EXPECT_EQ(cpu::task_begin(count, 0, tasks), 0);
      EXPECT_EQ(cpu::task_begin(count, tasks, tasks), count);
      for (int64_t t = 0; t < tasks; ++t) {
        const int64_t n = cpu::task_begin(count, t + 1, tasks) - cpu::task_begin(count, t, tasks);
        EXPECT_TRUE(n == count / tasks || n == count / tasks + 1);
      }
    }
  }
  EXPECT_EQ(cpu::tasks_for(10, 100, 8), 1);
  EXPECT_EQ(cpu::tasks_for(199, 100, 8), 1);
  EXPECT_EQ(cpu::tasks_for(250, 100, 8), 2);
  EXPECT_EQ(cpu::tasks_for(100000, 100, 8), 8);
}

}  // namespace
}  // namespace tinytorch
