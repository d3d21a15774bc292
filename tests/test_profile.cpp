// Profiles against the allocators' own statistics: every byte has a category and an op, whatever
// lived before, on one thread or several, and with the events in memory or in a file.
#include <tinytorch/profile.h>

#include <fstream>
#include <thread>

#include <nlohmann/json.hpp>

#include <tinytorch/nn.h>
#include <tinytorch/optim.h>
#include <tinytorch/random.h>

#include "tests/nn_support.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

struct Training {
  Sequential net{Linear(24, 96), ReLU(), Linear(96, 64), Tanh(), Linear(64, 4)};
  Adam optimizer{net.parameters(), 1e-2};
  Tensor x, y;

  explicit Training(int64_t batch = 16) {
    const CategoryGuard input(Category::input);
    x = full({batch, 24}, 0.25);
    y = zeros({batch}, {.dtype = Dtype::i64});
  }
  void step() {
    optimizer.zero_grad();
    CrossEntropyLoss()(net(x), y).backward();
    optimizer.step();
  }
};

int64_t of(const CategoryBytes& bytes, Category c) { return bytes[static_cast<size_t>(c)]; }

int64_t bytes_of(const std::vector<LiveBlock>& blocks) {
  int64_t sum = 0;
  for (const LiveBlock& b : blocks) sum += b.bytes;
  return sum;
}

class ProfileOn : public OnDevice {
 protected:
  ProfileOn() : one_thread_(1) {  // the allocator's peak is exact for one thread
    manual_seed(1);
    (void)rand({1});  // the generator of the device
    device_.synchronize();
  }
  const DeviceProfile& mine(const Profile& p) const { return p.device(device_.name()); }
  // What holds for every profile of one thread that reset the peak when it began.
  void expect_exact(const MemoryProfile& m) {
    const MemoryStats now = memory_stats(device_);
    EXPECT_EQ(m.peak_bytes, now.peak);
    EXPECT_EQ(m.unknown_bytes, 0);
    EXPECT_EQ(total(m.at_peak), m.peak_bytes);
    EXPECT_EQ(bytes_of(m.alive_at_peak), m.peak_bytes);
    EXPECT_EQ(total(m.timeline.back().live), m.after.in_use);
    int64_t highest = 0, op = 0;
    for (const MemoryPoint& point : m.timeline) {
      highest = std::max(highest, total(point.live));
      EXPECT_GE(point.op, op);
      op = point.op;
    }
    EXPECT_EQ(highest, m.peak_bytes);
    EXPECT_GE(m.peak_reserved, m.peak_bytes);
    EXPECT_LE(m.tensor_peak_bytes, m.peak_bytes);
  }
  ThreadsGuard one_thread_;
};

TEST_P(ProfileOn, CountsWhatTheAllocatorCounts) {
  reset_peak_memory(device_);
  const int64_t before = memory_stats(device_).in_use;
  Profiler profiler;
  Training t;
  for (int i = 0; i < 3; ++i) {
    t.step();
    profiler.step();
  }
  const Profile p = profiler.stop();
  const MemoryProfile& m = mine(p).memory;
  expect_exact(m);
  const int64_t parameters = (24 * 96 + 96 + 96 * 64 + 64 + 64 * 4 + 4) * 4;
  EXPECT_EQ(of(m.at_peak, Category::parameter), parameters);
  EXPECT_GE(of(m.at_peak, Category::optimizer_state), 2 * parameters);
  EXPECT_EQ(of(m.at_peak, Category::input), 16 * 24 * 4 + 16 * 8);
  EXPECT_EQ(of(m.at_peak, Category::unknown), 0);
  EXPECT_EQ(of(m.at_peak, Category::other), before);
  EXPECT_EQ(p.step_seconds.size(), 3u);
  EXPECT_GT(p.median_step_seconds(), 0);
  EXPECT_EQ(p.lost_events, 0);
  EXPECT_EQ(m.leak_bytes_per_step, 0);
  EXPECT_GT(m.allocs_per_step, 10);
  EXPECT_GT(p.events_per_step, m.allocs_per_step);
  for (const LiveBlock& b : m.alive_at_peak) {
    if (b.category != Category::other) {
      EXPECT_NE(b.op, "") << name_of(b.category);
    }
    EXPECT_TRUE(b.freed == -1 || b.freed >= b.born);
  }
}

TEST_P(ProfileOn, FollowsEveryAllocation) {
  std::vector<int64_t> in_use;
  std::vector<Tensor> kept;
  Profiler profiler;
  for (int64_t n = 1; n <= 40; ++n) {
    kept.push_back(full({n * 37}, 1.0));
    in_use.push_back(memory_stats(device_).in_use);
  }
  const Profile p = profiler.stop();
  std::vector<int64_t> by_op(40);
  for (const MemoryPoint& point : mine(p).memory.timeline)
    if (point.op < 40) by_op[static_cast<size_t>(point.op)] = total(point.live);
  EXPECT_EQ(by_op, in_use);
}

TEST_P(ProfileOn, NamesTheOpOfAWorkspace) {
  const Tensor a = full({96, 512}, 0.5), b = full({512, 96}, 0.5);
  Profiler profiler;
  (void)matmul(a, b);
  const Profile p = profiler.stop();
  int64_t workspace = 0;
  for (const LiveBlock& block : mine(p).memory.alive_at_peak) {
    if (block.category != Category::workspace) continue;
    EXPECT_EQ(block.op, "matmul");
    EXPECT_EQ(block.born, 0);
    workspace += block.bytes;
  }
  EXPECT_EQ(workspace, of(mine(p).memory.at_peak, Category::workspace));
  if (device_.backend() == "cpu") {
    EXPECT_GT(workspace, 0);
  }
}

TEST_P(ProfileOn, CountsWhatLivedBefore) {
  Training t;
  const Tensor large = full({100, 100}, 1.0, {.requires_grad = true});
  t.step();
  device_.synchronize();
  reset_peak_memory(device_);
  Profiler profiler;
  t.step();
  const Profile p = profiler.stop();
  const MemoryProfile& m = mine(p).memory;
  expect_exact(m);
  // Blocks from 16 KiB on keep their category.
  EXPECT_EQ(of(m.at_peak, Category::parameter), 96 * 64 * 4 + 40000);
  EXPECT_EQ(of(m.at_peak, Category::optimizer_state), 2 * 96 * 64 * 4);
  EXPECT_GT(of(m.at_peak, Category::other), 0);
}

TEST_P(ProfileOn, NothingIsAPeakToo) {
  const Tensor large = full({100, 100}, 1.0);
  device_.synchronize();
  Profiler profiler;
  const Profile p = profiler.stop();
  const MemoryProfile& m = mine(p).memory;
  EXPECT_EQ(m.peak_bytes, memory_stats(device_).in_use);
  EXPECT_EQ(bytes_of(m.alive_at_peak), m.peak_bytes);
  EXPECT_EQ(m.timeline.size(), 1u);
  EXPECT_EQ(m.unknown_bytes, 0);
}

TEST_P(ProfileOn, BackwardOpsNameTheirForwardOps) {
  Profiler profiler;
  Training t;
  t.step();
  const Profile p = profiler.stop();
  int64_t linked = 0;
  for (const OpProfile& op : mine(p).ops) {
    EXPECT_GT(op.calls, 0);
    EXPECT_EQ(op.device_seconds > 0, !device_.info().synchronous) << op.op;
    if (op.phase != Phase::backward) {
      EXPECT_EQ(op.forward_op, "") << op.op;
    } else if (op.module == "2" && !op.forward_op.empty()) {
      linked += op.calls;
    }
  }
  EXPECT_GT(linked, 0);
  const std::array<double, 3> phases = mine(p).phase_seconds();
  for (double seconds : phases) EXPECT_GT(seconds, 0);
}

TEST_P(ProfileOn, ProfilersNest) {
  Profiler outer;
  Training t;
  t.step();
  Profile inside;
  {
    const ModuleScope scope("part");
    Profiler inner;
    (void)add(t.x, t.x);
    inside = inner.stop();
  }
  { Profiler dropped; }
  t.step();
  const Profile whole = outer.stop();
  EXPECT_LT(inside.events, whole.events);
  ASSERT_EQ(mine(inside).ops.size(), 1u);
  EXPECT_EQ(mine(inside).ops[0].module, "part");
  EXPECT_EQ(mine(inside).memory.unknown_bytes, 0);
  EXPECT_EQ(mine(whole).memory.unknown_bytes, 0);
  EXPECT_THROW(outer.stop(), ValueError);
  EXPECT_THROW(outer.step(), ValueError);
}

TEST_P(ProfileOn, SeesAllThreads) {
  std::vector<Tensor> handed(4);
  for (Tensor& t : handed) t = full({64, 64}, 1.0);  // freed by the threads
  Profiler profiler;
  std::vector<Tensor> made(4);  // by the threads, and freed here
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      const DeviceGuard guard(device_);
      const ModuleScope scope("thread" + std::to_string(i));
      made[i] = full({50}, 1.0);
      Training t;
      for (int k = 0; k < 3; ++k) t.step();
      device_.synchronize();
      handed[i] = Tensor();
    });
  for (std::thread& t : threads) t.join();
  made.clear();
  const Profile p = profiler.stop();
  const MemoryProfile& m = mine(p).memory;
  EXPECT_EQ(m.unknown_bytes, 0);
  EXPECT_EQ(total(m.timeline.back().live), memory_stats(device_).in_use);
  EXPECT_EQ(bytes_of(m.alive_at_peak), m.peak_bytes);
  int64_t calls = 0;
  for (const OpProfile& op : mine(p).ops)
    if (op.module.starts_with("thread2")) calls += op.calls;
  EXPECT_GT(calls, 10);
}

TEST_P(ProfileOn, FindsALeak) {
  std::vector<Tensor> leaked;
  Training t;
  Profiler profiler;
  for (int i = 0; i < 5; ++i) {
    t.step();
    leaked.push_back(full({3, 1000}, 1.0));
    profiler.step();
  }
  const Profile p = profiler.stop();
  EXPECT_NEAR(mine(p).memory.leak_bytes_per_step, 12000, 1e-6);
}

TEST_P(ProfileOn, ChangesNoResult) {
  std::vector<std::vector<double>> results;
  for (const bool profiled : {false, true}) {
    manual_seed(7);
    std::optional<Profiler> profiler;
    if (profiled) profiler.emplace(ProfilerOptions{.most_bytes = 0});
    Training t;
    for (int i = 0; i < 3; ++i) t.step();
    std::vector<double> all;
    for (const Tensor& parameter : t.net.parameters())
      for (double v : values(parameter)) all.push_back(v);
    results.push_back(all);
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_P(ProfileOn, ThinsLongRunsAndKeepsPeaks) {
  Profiler profiler({.most_bytes = 0});
  Tensor high;
  for (int i = 0; i < 6000; ++i) {
    (void)full({10}, 1.0);
    if (i == 3210) high = full({1000}, 1.0);
    if (i == 3211) high = Tensor();
  }
  const Profile p = profiler.stop();
  const MemoryProfile& m = mine(p).memory;
  EXPECT_LE(m.timeline.size(), 4096u);
  EXPECT_GT(m.timeline.size(), 1024u);
  int64_t highest = 0;
  for (const MemoryPoint& point : m.timeline) highest = std::max(highest, total(point.live));
  EXPECT_EQ(highest, m.peak_bytes);
  EXPECT_EQ(total(m.timeline.back().live), memory_stats(device_).in_use);
}

TEST_P(ProfileOn, SpilledEventsAreTheSame) {
  EventLog all, spilling(0);
  Profile kept, spilled;
  {
    const Subscription a(all), b(spilling);
    Profiler in_memory, in_file({.most_bytes = 0});
    Training t;
    for (int i = 0; i < 60; ++i) t.step();
    spilled = in_file.stop();
    kept = in_memory.stop();
  }
  ASSERT_EQ(all.size(), spilling.size());
  EXPECT_EQ(all.spilled(), 0);
  EXPECT_GT(spilling.spilled(), 0);
  EXPECT_EQ(all.lost() + spilling.lost(), 0);
  std::vector<uint64_t> ids, back;
  all.for_each([&](const Event& e) { ids.push_back(e.id); });
  spilling.for_each([&](const Event& e) { back.push_back(e.id); });
  EXPECT_EQ(ids, back);
  ASSERT_EQ(mine(kept).ops.size(), mine(spilled).ops.size());
  EXPECT_EQ(mine(kept).memory.peak_bytes, mine(spilled).memory.peak_bytes);
  EXPECT_EQ(mine(kept).memory.at_peak, mine(spilled).memory.at_peak);
  EXPECT_EQ(mine(kept).memory.alive_at_peak.size(), mine(spilled).memory.alive_at_peak.size());
}

TEST_P(ProfileOn, TracesAreJsonWithOpsAndCounters) {
  Profiler profiler;
  Training t;
  const ModuleScope scope("a \"quoted\"\nname");
  t.step();
  mark("half");
  t.step();
  const TemporaryFolder folder;
  EXPECT_THROW(profiler.write_chrome_trace(folder.file("early.json")), ValueError);
  const Profile p = profiler.stop();
  profiler.write_chrome_trace(folder.file("trace.json"));
  EXPECT_THROW(profiler.write_chrome_trace(folder.file("no/such/folder.json")), IoError);
  const auto trace = nlohmann::json::parse(read_text(folder.file("trace.json")));
  int64_t ops = 0, on_device = 0, marks = 0, live = 0;
  for (const auto& e : trace["traceEvents"]) {
    if (e["ph"] == "X") (e["tid"] == 0 ? on_device : ops) += 1;
    if (e["ph"] == "i" && e["name"] == "half") ++marks;
    if (e["ph"] != "C") continue;
    live = 0;
    for (const auto& [category, bytes] : e["args"].items()) live += bytes.get<int64_t>();
  }
  int64_t calls = mine(p).copies;
  for (const OpProfile& op : mine(p).ops) calls += op.calls;
  EXPECT_EQ(ops, calls);
  EXPECT_EQ(on_device, device_.info().synchronous ? 0 : calls - mine(p).copies);
  EXPECT_EQ(marks, 1);
  EXPECT_EQ(live, total(mine(p).memory.timeline.back().live));
}

TEST_P(ProfileOn, RooflineBoundsWhatOpsAchieve) {
  const NothingLeaks leaks(device_);
  const Roofline roofline = measure_roofline(device_);
  EXPECT_GT(roofline.flops_per_second, 1e6);
  EXPECT_GT(roofline.bytes_per_second, 1e6);
  OpProfile op;
  op.flops = roofline.flops_per_second;
  op.host_seconds = 2;
  EXPECT_NEAR(achieved_share(op, roofline), 0.5, 1e-9);
  EXPECT_EQ(achieved_share(op, {}), 0);
}

TT_ON_EVERY_DEVICE(ProfileOn);

}  // namespace
}  // namespace tinytorch::testing
