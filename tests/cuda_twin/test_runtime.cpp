// What the simulated runtime promises of memory, streams, events and copies. What depends on the
// order runs under many seeds; captures, failures and products have files of their own.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/cuda_twin/runtime/rt_fixture.h"

namespace tinytorch::twin {
namespace {

// ---- devices

TEST_F(Runtime, SaysWhatItIs) {
  EXPECT_STREQ(backend_name(), "cudatwin");
  EXPECT_TRUE(simulated());
  int version = 0, count = 0;
  EXPECT_EQ(driver_version(&version), kSuccess);
  EXPECT_EQ(version, 13000);
  EXPECT_EQ(runtime_version(&version), kSuccess);
  EXPECT_EQ(device_count(&count), kSuccess);
  EXPECT_EQ(count, 1);
  DeviceFacts facts;
  ASSERT_EQ(device_facts(0, &facts), kSuccess);
  EXPECT_EQ(facts.major, 9);
  EXPECT_GT(facts.total_bytes, size_t{1} << 30);
  EXPECT_EQ(device_facts(1, &facts), kInvalidDevice);
  EXPECT_EQ(set_device(1), kInvalidDevice);
  EXPECT_EQ(check_kernel_image(), kSuccess);
  const char* message = "";
  EXPECT_EQ(gemm_open(&message), kSuccess);
  EXPECT_EQ(message, nullptr);
}

// ---- memory

TEST_F(Runtime, MemoryIsAlignedPoisonedAndCounted) {
  Host h;
  size_t before = 0, free_bytes = 0, total = 0;
  ASSERT_EQ(memory_info(&before, &total), kSuccess);
  EXPECT_EQ(before, total);
  void* p = nullptr;
  ASSERT_EQ(allocate(&p, 1000), kSuccess);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 256, 0u);
  memory_info(&free_bytes, &total);
  EXPECT_EQ(before - free_bytes, 1024u);
  std::vector<unsigned char> bytes(1000);
  copy(bytes.data(), p, 1000, CopyKind::device_to_host, h.streams[0]);
  EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](unsigned char c) { return c == 0xFF; }));
  EXPECT_EQ(release(p), kSuccess);
  memory_info(&free_bytes, &total);
  EXPECT_EQ(before, free_bytes);
  EXPECT_EQ(release(nullptr), kSuccess);
}

TEST_F(Runtime, MemoryHasAnEnd) {
  size_t free_bytes = 0, total = 0;
  memory_info(&free_bytes, &total);
  void *most = nullptr, *more = nullptr;
  ASSERT_EQ(allocate(&most, total - 4096), kSuccess);
  EXPECT_EQ(allocate(&more, 8192), kOutOfMemory);
  EXPECT_EQ(more, nullptr);
  EXPECT_EQ(allocate(&more, SIZE_MAX), kOutOfMemory);
  EXPECT_EQ(release(most), kSuccess);
  EXPECT_EQ(allocate(&more, 8192), kSuccess);  // not a sticky error
  EXPECT_EQ(release(more), kSuccess);
}

TEST_F(Runtime, ReleaseWaitsForWork) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control().set_seed(static_cast<uint64_t>(seed));
    Host h;
    float *a = h.floats(), *b = h.floats();
    set(h.streams[0], a, 2);
    add(h.streams[0], b, a, a);
    EXPECT_EQ(h.release_now(a), kSuccess);
    EXPECT_TRUE(all_are(read(h.streams[0], b).data(), 4)) << seed;
  }
}

TEST_F(Runtime, NewMemoryDoesNotTakeReleasedAddressesAtOnce) {
  Host h;
  float* a = h.floats();
  h.release_now(a);
  EXPECT_NE(h.floats(), a);
}

TEST_F(Runtime, OverrunsAreFoundAtRelease) {
  Host h;
  float *a = h.floats(), *pointers = h.floats();
  // A kernel that reaches `a` by way of an address it computes: no argument names it.
  launch_one(
      h.streams[0], "far", +[](float* from, int64_t step) { from[step] = 1; }, pointers,
      a - pointers + kLength);
  EXPECT_EQ(h.release_now(a), kIllegalAddress);
  EXPECT_EQ(control().counters().overruns, 1u);
  EXPECT_NE(std::string(control().last_fault()).find("behind the end"), std::string::npos);
}

using RuntimeDeathTest = Runtime;
TEST_F(RuntimeDeathTest, TheHostCannotTouchDeviceMemory) {
  Host h;
  float* a = h.floats();
  EXPECT_DEATH(*static_cast<volatile float*>(a) = 1, "");
  EXPECT_DEATH(std::memcpy(a, &a, sizeof a), "");
  EXPECT_DEATH(
      {
        const volatile float v = *static_cast<volatile float*>(a);
        std::fprintf(stderr, "%f", static_cast<double>(v));
      },
      "");
}

TEST_F(RuntimeDeathTest, AForkedChildIsRefused) {
  EXPECT_EXIT(
      _exit(set_device(0) == 3 && std::string(name_of(3)) == "cudaErrorInitializationError" ? 7
                                                                                            : 8),
      ::testing::ExitedWithCode(7), "");
}

// ---- streams

TEST_F(Runtime, NothingRunsBeforeItIsAskedFor) {
  Host h;
  float* a = h.floats();
  control().reset_counters();
  for (int i = 0; i < 10; ++i) set(h.streams[0], a, 1);
  EXPECT_EQ(control().counters().items_run, 0u);
  EXPECT_EQ(control().counters().launches, 10u);
  EXPECT_EQ(stream_synchronize(h.streams[0]), kSuccess);
  EXPECT_EQ(control().counters().items_run, 10u);
}

TEST_F(Runtime, OrderInsideAStreamHoldsAndOthersOvertake) {
  control().reset_counters();
  for (int seed = 0; seed < kSeeds; ++seed) {
    control().set_seed(static_cast<uint64_t>(seed));
    Host h;
    float *a = h.floats(), *b = h.floats();
    set(h.streams[0], a, 1);
    for (int i = 0; i < 5; ++i) {
      set(h.streams[1], b, 7);
      add(h.streams[0], a, a, a);
    }
    EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 32)) << seed;
  }
  EXPECT_GT(control().counters().out_of_order, 0u);
}

TEST_F(Runtime, ArgumentsAreTakenAtTheCall) {
  Host h;
  float* a = h.floats();
  struct Both {
    int64_t n;
    float* p;
    float v;
  } both{kLength, a, 3};
  launch_one(
      h.streams[0], "both", +[](Both b) { std::fill(b.p, b.p + b.n, b.v); }, both);
  both = {0, nullptr, 0};
  EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 3));
}

TEST_F(Runtime, ADestroyedStreamRunsWhatItWasGiven) {
  Host h;
  float *a = h.floats(), *host = h.pinned();
  StreamHandle stream;
  stream_create(&stream);
  set(stream, a, 2);
  copy(host, a, kBytes, CopyKind::device_to_host, stream);
  event_record(h.events[0], stream);
  EXPECT_EQ(stream_destroy(stream), kSuccess);
  EXPECT_EQ(event_synchronize(h.events[0]), kSuccess);
  EXPECT_TRUE(all_are(host, 2));
  EXPECT_EQ(stream_synchronize(stream), kInvalidHandle);
}

TEST_F(Runtime, LongQueuesAreBounded) {
  Host h;
  float* a = h.floats();
  control().reset_counters();
  for (int i = 0; i < 6000; ++i) set(h.streams[i % 3], a, 1);
  EXPECT_LE(control().counters().longest_queue, 4097u);
  EXPECT_GE(control().counters().items_run, 6000u - 4097u);
}

TEST_F(Runtime, SeveralThreadsUseIt) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      set_device(0);
      for (int i = 0; i < 20; ++i) {
        Host h;
        float *a = h.floats(), *b = h.floats();
        set(h.streams[0], a, static_cast<float>(t));
        event_record(h.events[0], h.streams[0]);
        stream_wait(h.streams[1], h.events[0]);
        add(h.streams[1], b, a, a);
        EXPECT_TRUE(all_are(read(h.streams[1], b).data(), static_cast<float>(2 * t)));
        range_push("thread");
        EXPECT_EQ(control().range_depth(), 1);
        range_pop();
      }
    });
  for (std::thread& thread : threads) thread.join();
}

// ---- events

TEST_F(Runtime, EventsOrderStreams) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control().set_seed(static_cast<uint64_t>(seed));
    Host h;
    float *a = h.floats(), *b = h.floats();
    set(h.streams[0], a, 3);
    event_record(h.events[0], h.streams[0]);
    stream_wait(h.streams[1], h.events[0]);
    event_record(h.events[0], h.streams[2]);  // the wait given before does not follow
    add(h.streams[1], b, a, a);
    EXPECT_TRUE(all_are(read(h.streams[1], b).data(), 6)) << seed;
  }
}

TEST_F(Runtime, AnEventNeverRecordedIsNoWait) {
  Host h;
  EXPECT_EQ(stream_wait(h.streams[0], h.events[0]), kSuccess);
  EXPECT_EQ(event_query(h.events[0]), kSuccess);
  EXPECT_EQ(event_synchronize(h.events[0]), kSuccess);
  EXPECT_EQ(stream_synchronize(h.streams[0]), kSuccess);
  float milliseconds;
  EXPECT_EQ(event_elapsed(&milliseconds, h.events[0], h.events[0]), kInvalidHandle);
}

TEST_F(Runtime, AskingLetsTimePass) {
  Host h;
  float* a = h.floats();
  for (int i = 0; i < 20; ++i) set(h.streams[0], a, 1);
  event_record(h.events[0], h.streams[0]);
  int asked = 1;
  while (event_query(h.events[0]) == kNotReady) ++asked;
  EXPECT_GT(asked, 1);
  EXPECT_LE(asked, 22);
}

TEST_F(Runtime, EventsTellTime) {
  Host h;
  float* a = h.floats();
  event_record(h.events[0], h.streams[0]);
  set(h.streams[0], a, 1);
  event_record(h.events[1], h.streams[0]);
  float milliseconds = -1;
  EXPECT_EQ(event_elapsed(&milliseconds, h.events[0], h.events[1]), kNotReady);
  event_synchronize(h.events[1]);
  EXPECT_EQ(event_elapsed(&milliseconds, h.events[0], h.events[1]), kSuccess);
  EXPECT_GT(milliseconds, 0);
  EXPECT_LT(milliseconds, 1000);
}

// ---- copies

TEST_F(Runtime, PageableBytesAreTakenAtTheCall) {
  Host h;
  float* a = h.floats();
  Floats host = all(3);
  copy(a, host.data(), kBytes, CopyKind::host_to_device, h.streams[0]);
  host = all(4);
  EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 3));
}

TEST_F(Runtime, PinnedBytesAreTakenWhenTheCopyRuns) {
  Host h;
  float *a = h.floats(), *host = h.pinned();
  std::fill(host, host + kLength, 3.0f);
  copy(a, host, kBytes, CopyKind::host_to_device, h.streams[0]);
  std::fill(host, host + kLength, 4.0f);
  EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 4));
}

TEST_F(Runtime, PinnedBytesArriveWhenTheCopyRuns) {
  Host h;
  float *a = h.floats(), *host = h.pinned();
  set(h.streams[0], a, 3);
  copy(host, a, kBytes, CopyKind::device_to_host, h.streams[0]);
  EXPECT_FALSE(all_are(host, 3));
  stream_synchronize(h.streams[0]);
  EXPECT_TRUE(all_are(host, 3));
  // Kernels reach it by the same address.
  set(h.streams[0], host, 5);
  stream_synchronize(h.streams[0]);
  EXPECT_TRUE(all_are(host, 5));
}

TEST_F(Runtime, CopiesAndFillsInsideTheDevice) {
  Host h;
  float *a = h.floats(), *b = h.floats();
  control().reset_counters();
  set(h.streams[0], a, 3);
  EXPECT_EQ(copy(b, a, kBytes, CopyKind::device_to_device, h.streams[0]), kSuccess);
  EXPECT_EQ(fill_bytes(a, 0, kBytes / 2, h.streams[0]), kSuccess);
  EXPECT_TRUE(all_are(read(h.streams[0], b).data(), 3));
  const Floats f = read(h.streams[0], a);
  EXPECT_EQ(f[kLength / 2 - 1], 0);
  EXPECT_EQ(f[kLength / 2], 3);
  const TinytorchTwinCounters c = control().counters();
  EXPECT_EQ(c.device_to_device, 1u);
  EXPECT_EQ(c.device_to_host, 2u);
  EXPECT_EQ(c.host_to_device, 0u);
  EXPECT_EQ(c.fills, 1u);
}

TEST_F(Runtime, EmptyCopiesNeedNoAddress) {
  Host h;
  EXPECT_EQ(copy(nullptr, nullptr, 0, CopyKind::device_to_device, h.streams[0]), kSuccess);
  EXPECT_EQ(fill_bytes(nullptr, 0, 0, h.streams[0]), kSuccess);
}

TEST_F(Runtime, AFreeSpoilsInStreamOrder) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control().set_seed(static_cast<uint64_t>(seed));
    Host h;
    float *a = h.floats(), *b = h.floats();
    set(h.streams[0], a, 3);
    copy(b, a, kBytes, CopyKind::device_to_device, h.streams[0]);
    note_freed(a, kBytes, h.streams[0]);
    EXPECT_TRUE(all_are(read(h.streams[0], b).data(), 3)) << seed;
    const Floats f = read(h.streams[0], a);
    EXPECT_TRUE(std::none_of(f.begin(), f.end(), [](float v) { return v == v; })) << seed;
  }
}

}  // namespace
}  // namespace tinytorch::twin
