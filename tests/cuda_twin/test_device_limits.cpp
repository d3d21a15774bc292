// When the CUDA backend's memory is short, on the twin: limits, trimming, requests that fail,
// events of the system's memory; and the memory of recorded graphs, which is the graph's until it
// is gone and its replays are over.
#include "tests/cuda_twin/backend_fixture.h"
#include "tests/testing.h"

namespace tinytorch::twin {
namespace {

using testing::expect_error;

constexpr size_t kMega = size_t{1} << 20;

class DeviceLimits : public OnTwin {};

TEST_F(DeviceLimits, ALimitFreesCachesAndThenThrows) {
  allocator().set_limit(4 * kMega);
  for (int i = 0; i < 20; ++i) {  // different sizes: only what is given back makes room
    const MemoryBlock a = allocator().allocate(kMega + static_cast<size_t>(i) * 100000, stream());
    fill(stream(), a, 1);
    release(a, stream());
  }
  const MemoryBlock a = allocator().allocate(2 * kMega, stream()),
                    b = allocator().allocate(kMega, stream());
  expect_error<OutOfMemoryError>(
      [&] { (void)allocator().allocate(2 * kMega, stream()); },
      {"2097152 bytes asked for", "cudatwin:0", "limit 4194304", "in use 3145728"});
  expect_error<OutOfMemoryError>([&] { (void)allocator().allocate(~size_t{0}, stream()); },
                                 {"bytes"});
  EXPECT_LE(allocator().stats().reserved, static_cast<int64_t>(4 * kMega));
  release(a, stream());
  const MemoryBlock c = allocator().allocate(2 * kMega, stream());
  release(b, stream());
  release(c, stream());
}

// Blocks that other streams still use are waited for before a request fails.
TEST_F(DeviceLimits, PendingFreesAreWaitedFor) {
  const auto reader = another();
  allocator().set_limit(1024);
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    MemoryBlock a = floats(stream(), 200);
    allocator().record_use(a, *reader);
    for (int i = 0; i < 5; ++i) fill(*reader, a, 1);
    release(a, stream());
    const MemoryBlock b = floats(stream(), 200);
    fill(stream(), b, 2);
    reader->synchronize();
    EXPECT_TRUE(all_equal(read(stream(), b), 2)) << "seed " << seed;
    release(b, stream());
  }
}

TEST_F(DeviceLimits, TrimGivesBackWholeSegments) {
  const MemoryBlock a = allocator().allocate(12 * kMega, stream()),
                    b = allocator().allocate(100, stream());
  const MemoryBlock c = allocator().allocate(100, stream());
  fill(stream(), a, 1);
  release(a, stream());
  release(c, stream());
  allocator().trim(20 * kMega);
  EXPECT_EQ(allocator().stats().raw_frees, before_.raw_frees);
  allocator().trim(3 * kMega);
  EXPECT_EQ(allocator().stats().reserved, static_cast<int64_t>(2 * kMega));
  allocator().trim(0);
  EXPECT_EQ(allocator().stats().reserved, static_cast<int64_t>(2 * kMega)) << "a block is in use";
  release(b, stream());
  allocator().trim(0);
  EXPECT_EQ(allocator().stats().reserved, 0);
}

// The first failure of the system is made good by giving caches back.
TEST_F(DeviceLimits, AFailedRequestIsTriedOnceMore) {
  const MemoryBlock cached = allocator().allocate(3 * kMega, stream());
  release(cached, stream());
  for (uint64_t k = 1; k <= 2; ++k) {
    control_->fail("allocate", k, kOutOfMemory);
    const MemoryBlock a = allocator().allocate(30 * kMega, stream());
    release(a, stream());
    allocator().trim(0);
  }
  control_->fail("allocate", 0, kOutOfMemory);
  expect_error<OutOfMemoryError>([&] { (void)allocator().allocate(40 * kMega, stream()); },
                                 {"41943040", "cudatwin:0", "free"});
  EXPECT_EQ(allocator().stats().in_use, before_.in_use);
  control_->fail("allocate", 0, 0);
  const MemoryBlock a = allocator().allocate(40 * kMega, stream());
  fill(stream(), a, 3);
  EXPECT_TRUE(all_equal(read(stream(), a), 3));
  release(a, stream());
}

TEST_F(DeviceLimits, OtherFailuresAreDeviceErrors) {
  control_->fail("allocate", 1, kUnknown);
  expect_error<DeviceError>(
      [&] { (void)allocator().allocate(30 * kMega, stream()); },
      {"rt::allocate", "cudaErrorUnknown", "999", "backends/cuda/segments.cpp:"});
  control_->fail("release", 0, kUnknown);
  const MemoryBlock a = allocator().allocate(100, stream());
  release(a, stream());
  EXPECT_THROW(allocator().trim(0), DeviceError);
  control_->fail("release", 0, 0);
}

TEST_F(DeviceLimits, EventsTellOfTheSystemsMemory) {
  struct Count : Observer {
    void on_event(const Event& e) noexcept override {
      if (e.kind == EventKind::raw_alloc) taken += e.bytes;
      if (e.kind == EventKind::raw_free) given_back += e.bytes;
      if ((e.kind == EventKind::raw_alloc || e.kind == EventKind::raw_free) &&
          std::string(e.device) != "cudatwin:0")
        ++strange;
    }
    int64_t taken = 0, given_back = 0;
    int strange = 0;
  } count;
  {
    const Subscription subscription(count);
    const MemoryBlock a = allocator().allocate(7, stream());
    release(a, stream());
    allocator().trim(0);
  }
  EXPECT_EQ(count.taken, static_cast<int64_t>(2 * kMega));
  EXPECT_EQ(count.given_back, static_cast<int64_t>(2 * kMega));
  EXPECT_EQ(count.strange, 0);
}

// ---- memory of graphs

// temporary = a + a; a = temporary + a, so that each run trebles a.
class GraphMemory : public OnTwin {
 protected:
  std::unique_ptr<RecordedGraph> trebling(Stream& recorder, const MemoryBlock& a,
                                          MemoryBlock* temporary) {
    recorder.begin_capture();
    *temporary = floats(recorder);
    add(recorder, *temporary, a, a);
    add(recorder, a, *temporary, a);
    release(*temporary, recorder);
    return recorder.end_capture();
  }
};

TEST_F(GraphMemory, BelongsToTheGraphUntilItIsGone) {
  const auto recorder = another();
  const MemoryBlock a = floats(stream());
  fill(stream(), a, 1);
  stream().synchronize();
  const int64_t in_use = allocator().stats().in_use;
  MemoryBlock temporary;
  std::unique_ptr<RecordedGraph> graph = trebling(*recorder, a, &temporary);
  EXPECT_GE(allocator().stats().in_use, in_use + 400) << "what replays use is in use";
  std::vector<MemoryBlock> others;
  for (Stream* s : {&stream(), recorder.get()})
    for (int i = 0; i < 50; ++i) {
      others.push_back(floats(*s));
      EXPECT_NE(others.back().data, temporary.data);
    }
  for (size_t i = 0; i < others.size(); ++i) release(others[i], i < 50 ? stream() : *recorder);
  graph->replay(stream());
  graph.reset();
  EXPECT_EQ(allocator().stats().in_use, in_use);
  EXPECT_TRUE(all_equal(read(stream(), a), 3));
  release(a, stream());
}

TEST_F(GraphMemory, IsReusedInsideACapture) {
  const auto recorder = another();
  recorder->begin_capture();
  const MemoryBlock a = floats(*recorder);
  fill(*recorder, a, 1);
  release(a, *recorder);
  const MemoryBlock b = floats(*recorder);
  EXPECT_EQ(a.data, b.data);
  release(b, *recorder);
  recorder->end_capture();
}

TEST_F(GraphMemory, IsTakenFromTheSystemDuringACaptureIfNeedBe) {
  const auto recorder = another();
  const MemoryBlock a = floats(stream());
  recorder->begin_capture();
  const MemoryBlock large = allocator().allocate(30 * kMega, *recorder);
  fill(*recorder, a, 4);
  release(large, *recorder);
  const std::unique_ptr<RecordedGraph> graph = recorder->end_capture();
  graph->replay(stream());
  EXPECT_TRUE(all_equal(read(stream(), a), 4));
  release(a, stream());
}

// A graph is destroyed while its replays have not run: its memory is not given out before.
TEST_F(GraphMemory, OutlivesTheGraphWhileReplaysRun) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const auto recorder = another(), runner = another(), other = another();
    const MemoryBlock a = floats(*runner);
    fill(*runner, a, 1);
    MemoryBlock temporary;
    std::unique_ptr<RecordedGraph> graph = trebling(*recorder, a, &temporary);
    for (int i = 0; i < 3; ++i) graph->replay(*runner);
    graph.reset();
    std::vector<std::pair<MemoryBlock, Stream*>> others;
    for (Stream* s : {recorder.get(), other.get(), recorder.get(), other.get()}) {
      others.emplace_back(floats(*s), s);
      fill(*s, others.back().first, 100);
    }
    EXPECT_TRUE(all_equal(read(*runner, a), 27)) << "seed " << seed;
    for (const auto& [block, s] : others) {
      EXPECT_TRUE(all_equal(read(*s, block), 100)) << "seed " << seed;
      release(block, *s);
    }
    release(a, *runner);
  }
}

// Blocks that were freed on the recording stream, and whose work has not run, are not the graph's.
TEST_F(GraphMemory, ACaptureTakesNothingThatIsStillUsed) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const auto recorder = another(), runner = another();
    const MemoryBlock a = floats(*runner);
    fill(*runner, a, 1);
    const MemoryBlock used = floats(*recorder);
    for (int i = 0; i < 10; ++i) fill(*recorder, used, 50);
    release(used, *recorder);
    MemoryBlock temporary;
    const std::unique_ptr<RecordedGraph> graph = trebling(*recorder, a, &temporary);
    graph->replay(*runner);
    EXPECT_TRUE(all_equal(read(*runner, a), 3)) << "seed " << seed;
    release(a, *runner);
  }
}

TEST_F(GraphMemory, ResultsOfACaptureOutliveTheGraph) {
  const auto recorder = another();
  recorder->begin_capture();
  const MemoryBlock result = floats(*recorder), temporary = floats(*recorder);
  fill(*recorder, temporary, 2);
  add(*recorder, result, temporary, temporary);
  release(temporary, *recorder);
  std::unique_ptr<RecordedGraph> graph = recorder->end_capture();
  graph->replay(*recorder);
  graph.reset();
  for (int i = 0; i < 10; ++i) {
    const MemoryBlock other = floats(*recorder);
    fill(*recorder, other, 9);
    release(other, *recorder);
  }
  EXPECT_TRUE(all_equal(read(*recorder, result), 4));
  release(result, *recorder);
}

TEST_F(GraphMemory, AnAbandonedCaptureGivesAllBack) {
  const auto recorder = another();
  recorder->begin_capture();
  const MemoryBlock a = floats(*recorder);
  fill(*recorder, a, 1);
  release(a, *recorder);
  control_->fail("end_capture", 1, kUnknown);
  EXPECT_THROW(recorder->end_capture(), DeviceError);
  const MemoryBlock b = floats(*recorder);
  fill(*recorder, b, 7);
  EXPECT_TRUE(all_equal(read(*recorder, b), 7));
  release(b, *recorder);
}

}  // namespace
}  // namespace tinytorch::twin
