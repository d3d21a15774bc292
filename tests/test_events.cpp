// Events by themselves: their clock and ids, one observer call at a time, a log that gives back
// what it got, and forks while a profiler records.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <tuple>

#include <tinytorch/profile.h>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void marks(int count) {
  for (int i = 0; i < count; ++i) mark("mark");
}

void on_threads(int count, const std::function<void()>& f) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(f);
  for (std::thread& t : threads) t.join();
}

TEST(Events, HaveTheSteadyClock) {
  constexpr int64_t kBehind = 20000;
  EventLog log;
  const Subscription calibrates(log);
  int64_t last = 0;
  for (int i = 0; i < 200000; ++i) {
    const int64_t before = steady_ns(), now = host_clock_ns(), after = steady_ns();
    ASSERT_GE(now, before - kBehind);
    ASSERT_LE(now, after);
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Events, HaveIdsOfTheirOwn) {
  EventLog log;
  {
    const Subscription subscription(log);
    on_threads(3, [] { marks(3000); });
  }
  std::set<uint64_t> ids;
  std::map<uint32_t, uint64_t> last;
  log.for_each([&](const Event& e) {
    EXPECT_TRUE(ids.insert(e.id).second);
    EXPECT_GT(e.id, last[e.thread]);
    last[e.thread] = e.id;
  });
  EXPECT_EQ(ids.size(), 9000u);
  EXPECT_EQ(last.size(), 3u);
}

TEST(Events, ComeOneAtATime) {
  struct Count final : Observer {
    void on_event(const Event&) noexcept override { ++events; }
    int64_t events = 0;  // no atomic
  } count;
  {
    const Subscription subscription(count);
    on_threads(4, [] { marks(2000); });
  }
  EXPECT_EQ(count.events, 8000);
}

TEST(Events, StopWithTheSubscription) {
  struct Late final : Observer {
    void on_event(const Event&) noexcept override { late |= ended; }
    bool ended = false, late = false;
  };
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) mark("busy");
  });
  for (int i = 0; i < 200; ++i) {
    Late observer;
    {
      const Subscription subscription(observer);
      std::this_thread::yield();
    }
    observer.ended = true;
    marks(3);
    EXPECT_FALSE(observer.late);
  }
  stop = true;
  busy.join();
}

// Of every size and sign, so that each length of a difference occurs.
std::vector<Event> all_sorts_of_events() {
  std::vector<Event> events;
  uint64_t random = 1;
  const auto next = [&] {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t value = random >> (random & 63);
    return random & 64 ? 0 - value : value;
  };
  for (int i = 0; i < 5000; ++i) {
    Event e;
    e.kind = static_cast<EventKind>(i * 7 % 9);
    e.id = next();
    e.phase = static_cast<Phase>(i % 3);
    e.category = static_cast<Category>(i % kCategoryCount);
    e.thread = static_cast<uint32_t>(next());
    e.name = i % 2 ? "name" : "other";
    e.device = i % 5 ? "cpu:0" : "";
    e.start_ns = static_cast<int64_t>(next());
    e.end_ns = static_cast<int64_t>(next());
    e.pointer = reinterpret_cast<const void*>(static_cast<uintptr_t>(next()));
    e.bytes = i % 11 ? static_cast<int64_t>(next()) : INT64_MIN;
    e.flops = i % 2 ? static_cast<double>(next()) : -0.0;
    e.op = i % 13 ? next() : UINT64_MAX;
    e.forward_op = i % 3 ? "matmul" : "";
    e.module = i % 4 ? "net.2" : "";
    events.push_back(e);
  }
  return events;
}

TEST(Events, ComeOutOfALogAsTheyWentIn) {
  const std::vector<Event> events = all_sorts_of_events();
  EventLog kept, spilling(0);
  for (const Event& e : events) {
    kept.on_event(e);
    spilling.on_event(e);
  }
  EXPECT_EQ(kept.spilled(), 0);
  EXPECT_GT(spilling.spilled(), 0);
  for (const EventLog* log : {&kept, &spilling}) {
    ASSERT_EQ(log->size(), static_cast<int64_t>(events.size()));
    EXPECT_EQ(log->lost(), 0);
    size_t i = 0;
    log->for_each([&](const Event& e) {
      const Event& want = events[i++];
      EXPECT_EQ(std::tie(e.id, e.kind, e.phase, e.category, e.thread, e.name, e.device),
                std::tie(want.id, want.kind, want.phase, want.category, want.thread, want.name,
                         want.device));
      EXPECT_EQ(std::tie(e.start_ns, e.end_ns, e.pointer, e.bytes, e.op, e.forward_op, e.module),
                std::tie(want.start_ns, want.end_ns, want.pointer, want.bytes, want.op,
                         want.forward_op, want.module));
      EXPECT_EQ(std::memcmp(&e.flops, &want.flops, sizeof e.flops), 0);
    });
    EXPECT_EQ(i, events.size());
  }
}

TEST(Events, AreReadWhileOthersCome) {
  EventLog log(0);
  std::atomic<bool> stop{false};
  const Subscription subscription(log);
  std::thread busy([&] {
    while (!stop) mark("busy");
  });
  for (int i = 0; i < 10 || log.size() < 20000; ++i) {
    const int64_t size = log.size();
    int64_t read = 0;
    uint64_t last = 0;
    log.for_each([&](const Event& e) {
      EXPECT_GT(e.id, last);
      last = e.id;
      ++read;
    });
    EXPECT_GE(read, size);
  }
  stop = true;
  busy.join();
}

// Sanitizers do not follow a fork of a process with threads: that of threads loses count, and the
// allocator of that of addresses stays locked in the child.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)

class ForkedProfile : public OnDevice {};

// Events of ops and marks come from three threads meanwhile.
TEST_P(ForkedProfile, StaysWholeAndTheChildHasItsOwn) {
  if (!device_.info().host_memory)
    GTEST_SKIP() << "the memory of " << device_.name() << " does not survive a fork";
  const auto work = [](int times) {
    const Tensor x = ones({8});
    for (int i = 0; i < times; ++i) (void)add(x, x);
  };
  EventLog spilling(0);
  std::optional<Subscription> subscription(spilling);
  Profiler profiler({.most_bytes = 0});
  std::atomic<bool> stop{false};
  std::atomic<int64_t> marked{0};
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&] {
      const DeviceGuard guard(device_);
      while (!stop) {
        work(10);
        mark("from a thread");
        ++marked;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    });
  }
  for (int i = 0; i < 8; ++i) {
    work(500);
    std::fflush(nullptr);  // or the child prints it again
    const pid_t child = fork();
    if (child == 0) {
      int status = 1;
      try {
        const int64_t before = spilling.size();
        Profiler own;
        work(2000);
        const bool recorded = own.stop().devices.size() == 1 && spilling.size() >= before + 2000;
        int64_t ids = 0;
        spilling.for_each([&](const Event& e) { ids += e.id != 0; });
        status = recorded && ids == spilling.size() && spilling.lost() == 0 ? 0 : 2;
      } catch (...) {
      }
      if (i % 2) _exit(status);
      std::exit(status);  // runs destructors of statics
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  stop = true;
  for (std::thread& t : busy) t.join();
  const Profile p = profiler.stop();
  subscription.reset();
  EXPECT_EQ(p.lost_events + spilling.lost(), 0);
  EXPECT_GT(spilling.spilled(), 0);
  int64_t marks = 0;
  std::map<uint32_t, uint64_t> last;
  spilling.for_each([&](const Event& e) {
    marks += e.name == std::string("from a thread");
    if (e.kind == EventKind::op) return;  // its id is that of its begin
    EXPECT_GT(e.id, std::exchange(last[e.thread], e.id));
  });
  EXPECT_EQ(marks, marked);
  EXPECT_EQ(p.device(device_.name()).memory.unknown_bytes, 0);
}

TT_ON_EVERY_DEVICE(ForkedProfile);

#endif

}  // namespace
}  // namespace tinytorch::testing
