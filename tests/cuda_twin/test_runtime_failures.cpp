// What the simulated runtime promises of captures and graphs, lost devices, chosen failures, and
// machines where the device cannot be used.
#include <cstdlib>
#include <string>

#include "tests/cuda_twin/runtime/rt_fixture.h"

namespace tinytorch::twin {
namespace {

bool mentions(const char* text, const char* word) {
  return std::string(text).find(word) != std::string::npos;
}

// ---- captures

TEST_F(Runtime, RecordedWorkRunsWhenItIsReplayed) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control().set_seed(static_cast<uint64_t>(seed));
    Host h;
    float *a = h.floats(), *b = h.floats(), *host = h.pinned();
    set(h.streams[0], a, 1);
    EXPECT_EQ(begin_capture(h.streams[1]), kSuccess);
    copy(b, a, kBytes, CopyKind::device_to_device, h.streams[1]);
    event_record(h.events[0], h.streams[1]);
    EXPECT_EQ(stream_wait(h.streams[1], h.events[0]), kSuccess);
    add(h.streams[1], a, a, b);
    fill_bytes(b, 0, kBytes, h.streams[1]);
    copy(host, a, kBytes, CopyKind::device_to_host, h.streams[1]);
    const GraphHandle graph = h.end(h.streams[1]);
    ASSERT_NE(graph, nullptr);
    EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 1));
    // On two streams in turn: runs of one graph follow each other all the same.
    for (int i = 0; i < 4; ++i) EXPECT_EQ(graph_launch(graph, h.streams[i % 2]), kSuccess);
    EXPECT_EQ(stream_synchronize(h.streams[1]), kSuccess);
    EXPECT_TRUE(all_are(host, 16)) << seed;
  }
}

TEST_F(Runtime, AGraphMayGoBeforeItsRunsHaveRun) {
  Host h;
  float* a = h.floats();
  set(h.streams[0], a, 1);
  begin_capture(h.streams[0]);
  add(h.streams[0], a, a, a);
  GraphHandle graph;
  ASSERT_EQ(end_capture(h.streams[0], &graph), kSuccess);
  graph_launch(graph, h.streams[0]);
  EXPECT_EQ(graph_destroy(graph), kSuccess);
  EXPECT_EQ(graph_launch(graph, h.streams[0]), kInvalidHandle);
  EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 2));
}

TEST_F(Runtime, ACaptureIsRelaxed) {
  Host h;
  float* a = h.floats();
  begin_capture(h.streams[0]);
  float* b = h.floats();
  set(h.streams[1], b, 2);
  event_record(h.events[0], h.streams[1]);
  EXPECT_EQ(event_synchronize(h.events[0]), kSuccess);
  EXPECT_EQ(stream_synchronize(h.streams[1]), kSuccess);
  EXPECT_TRUE(all_are(read(h.streams[1], b).data(), 2));
  float* c = h.floats();
  EXPECT_EQ(h.release_now(c), kSuccess);
  add(h.streams[0], a, b, b);
  Status status;
  const GraphHandle graph = h.end(h.streams[0], &status);
  EXPECT_EQ(status, kSuccess);
  graph_launch(graph, h.streams[0]);
  EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 4));
}

TEST_F(Runtime, ASpoiledCaptureTakesNoMoreAndEnds) {
  Host h;
  float* a = h.floats();
  const auto spoil_by = [&](auto call, Status expected) {
    ASSERT_EQ(begin_capture(h.streams[0]), kSuccess);
    EXPECT_EQ(call(), expected);
    EXPECT_EQ(set(h.streams[0], a, 1), kCaptureInvalidated);
    Status status;
    EXPECT_EQ(h.end(h.streams[0], &status), nullptr);
    EXPECT_EQ(status, kCaptureInvalidated);
    EXPECT_EQ(set(h.streams[0], a, 2), kSuccess);
    EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 2));
  };
  Floats pageable = all(0);
  spoil_by([&] { return stream_synchronize(h.streams[0]); }, kCaptureUnsupported);
  spoil_by([&] { return copy(pageable.data(), a, kBytes, CopyKind::device_to_host, h.streams[0]); },
           kCaptureUnsupported);
  spoil_by([&] { return copy(a, pageable.data(), kBytes, CopyKind::host_to_device, h.streams[0]); },
           kCaptureUnsupported);
  spoil_by(
      [&] {
        event_record(h.events[0], h.streams[0]);
        return event_query(h.events[0]);
      },
      kCaptureUnsupported);
  spoil_by(  // fork and join are not simulated
      [&] {
        event_record(h.events[0], h.streams[0]);
        return stream_wait(h.streams[1], h.events[0]);
      },
      kCaptureUnsupported);
  EXPECT_EQ(event_query(h.events[0]), 907);  // its latest record is part of no graph's run
  event_record(h.events[1], h.streams[1]);
  spoil_by([&] { return stream_wait(h.streams[0], h.events[1]); }, 905);
  spoil_by([&] { return begin_capture(h.streams[0]); }, 401);
}

TEST_F(Runtime, EndWithoutBegin) {
  Host h;
  GraphHandle graph;
  EXPECT_EQ(end_capture(h.streams[0], &graph), 401);
  EXPECT_EQ(graph, nullptr);
}

TEST_F(Runtime, AFreeInACaptureSpoilsAtEachReplay) {
  Host h;
  float *a = h.floats(), *b = h.floats();
  begin_capture(h.streams[0]);
  set(h.streams[0], a, 2);
  add(h.streams[0], b, a, a);
  note_freed(a, kBytes, h.streams[0]);
  const GraphHandle graph = h.end(h.streams[0]);
  for (int i = 0; i < 2; ++i) {
    set(h.streams[0], a, 1);
    graph_launch(graph, h.streams[0]);
    EXPECT_TRUE(all_are(read(h.streams[0], b).data(), 4));
    const float first = read(h.streams[0], a)[0];
    EXPECT_NE(first, first);
  }
}

// ---- lost devices

// The first error stays, of every call; what frees still does.
TEST_F(Runtime, AFaultOfAKernelLosesTheDevice) {
  Host h;
  float* a = h.floats();
  float x = 0;
  void* arguments[] = {&a, &x, nullptr};
  const size_t sizes[] = {sizeof a, sizeof x, 0};
  const auto invoke = [](const void*, void* const*) {};
  EXPECT_EQ(
      launch({"too_many", nullptr, invoke, arguments, sizes, 2, {}, {2048, 1, 1}, 0}, h.streams[0]),
      kSuccess);
  EXPECT_EQ(stream_synchronize(h.streams[0]), kLaunchFailure);
  EXPECT_TRUE(mentions(text_of(kLaunchFailure), "too_many")) << text_of(kLaunchFailure);
  EXPECT_TRUE(mentions(control().last_fault(), "too_many"));
  EXPECT_EQ(set(h.streams[0], a, 1), kLaunchFailure);
  void* p;
  EXPECT_EQ(allocate(&p, 16), kLaunchFailure);
  EXPECT_EQ(event_query(h.events[0]), kLaunchFailure);
  EXPECT_EQ(event_record(h.events[0], h.streams[0]), kLaunchFailure);
  EXPECT_EQ(set_device(0), kLaunchFailure);
  GraphHandle graph;
  EXPECT_EQ(end_capture(h.streams[0], &graph), 401);
  EXPECT_EQ(h.release_now(a), kLaunchFailure);
  EXPECT_EQ(control().counters().live_allocations, 0u);
  control().reset();
  EXPECT_EQ(stream_synchronize(h.streams[0]), kSuccess);
}

TEST_F(Runtime, ABadArgumentFailsWhenTheKernelRuns) {
  Host h;
  float *a = h.floats(), *b = h.floats();
  h.release_now(b);
  EXPECT_EQ(add(h.streams[0], a, a, b), kSuccess);
  EXPECT_EQ(stream_synchronize(h.streams[0]), kIllegalAddress);
  EXPECT_TRUE(mentions(text_of(kIllegalAddress), "add: argument 2"));
  EXPECT_EQ(control().counters().bad_addresses, 1u);
}

TEST_F(Runtime, OneDeviceIsLostTheOtherNot) {
  control().set_devices(2);
  Host first;
  ASSERT_EQ(set_device(1), kSuccess);
  {
    Host second;
    float *a = second.floats(), *b = second.floats();
    set(second.streams[0], a, 1);
    EXPECT_EQ(copy(b, a, kBytes, CopyKind::device_to_device, first.streams[0]), kSuccess);
    EXPECT_EQ(event_record(first.events[0], second.streams[0]), kInvalidHandle);
    EXPECT_EQ(stream_synchronize(first.streams[0]), kSuccess);
    set(first.streams[0], a, 1);  // memory of the other device
    EXPECT_EQ(stream_synchronize(first.streams[0]), kIllegalAddress);
    EXPECT_EQ(stream_synchronize(second.streams[0]), kSuccess);
  }
  EXPECT_EQ(set_device(0), kIllegalAddress);
  control().reset();
}

// ---- chosen failures

TEST_F(Runtime, TheKthUseFailsOnce) {
  Host h;
  float* a = h.floats();
  EXPECT_TRUE(control().fail("launch", 2, kOutOfMemory));
  EXPECT_EQ(set(h.streams[0], a, 1), kSuccess);
  EXPECT_EQ(set(h.streams[0], a, 2), kOutOfMemory);
  EXPECT_TRUE(mentions(text_of(kOutOfMemory), "launch"));
  EXPECT_EQ(set(h.streams[0], a, 3), kSuccess);
  EXPECT_TRUE(all_are(read(h.streams[0], a).data(), 3));
  EXPECT_FALSE(control().fail("lunch", 1, kOutOfMemory));
}

TEST_F(Runtime, EveryUseFailsUntilToldOtherwise) {
  control().fail("check_kernel_image", 0, kNoKernelImage);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(check_kernel_image(), kNoKernelImage);
  control().fail("check_kernel_image", 0, kSuccess);
  EXPECT_EQ(check_kernel_image(), kSuccess);
}

TEST_F(Runtime, AFailureThatLosesTheDevice) {
  Host h;
  control().fail("stream_synchronize", 1, kLaunchFailure);
  EXPECT_EQ(stream_synchronize(h.streams[0]), kLaunchFailure);
  EXPECT_EQ(stream_synchronize(h.streams[0]), kLaunchFailure);
}

TEST_F(Runtime, WhatFreesFreesAlthoughItFails) {
  void* p;
  allocate(&p, 64);
  control().fail("release", 1, kUnknown);
  EXPECT_EQ(release(p), kUnknown);
  allocate_pinned(&p, 64);
  control().fail("release_pinned", 1, kUnknown);
  EXPECT_EQ(release_pinned(p), kUnknown);
  EventHandle event;
  event_create(&event);
  control().fail("event_destroy", 1, kUnknown);
  EXPECT_EQ(event_destroy(event), kUnknown);
  StreamHandle stream;
  stream_create(&stream);
  begin_capture(stream);
  GraphHandle graph;
  control().fail("end_capture", 1, kUnknown);
  EXPECT_EQ(end_capture(stream, &graph), kUnknown);
  control().fail("stream_destroy", 1, kUnknown);
  EXPECT_EQ(stream_destroy(stream), kUnknown);
}

// ---- machines without a usable device

TEST_F(Runtime, NoDriverOldDriverNoDevice) {
  int version = -1, count = -1;
  control().set_driver(0);
  EXPECT_EQ(driver_version(&version), kSuccess);
  EXPECT_EQ(version, 0);
  EXPECT_EQ(device_count(&count), kInsufficientDriver);
  EXPECT_EQ(set_device(0), kInsufficientDriver);
  void* p;
  EXPECT_EQ(allocate(&p, 64), kInsufficientDriver);
  control().set_driver(12040);
  EXPECT_EQ(driver_version(&version), kSuccess);
  EXPECT_EQ(version, 12040);
  EXPECT_EQ(device_count(&count), kInsufficientDriver);
  control().set_driver(13000);
  control().set_devices(0);
  EXPECT_EQ(device_count(&count), kNoDevice);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(set_device(0), kNoDevice);
}

TEST_F(Runtime, TheEnvironmentChooses) {
  const auto with = [](const char* name, const char* value, auto check) {
    setenv(name, value, 1);
    control().reset();
    check();
    unsetenv(name);
    control().reset();
  };
  int n = 0;
  with("TINYTORCH_TWIN_DRIVER", "12040", [&] {
    driver_version(&n);
    EXPECT_EQ(n, 12040);
  });
  with("TINYTORCH_TWIN_DEVICES", "2", [&] {
    device_count(&n);
    EXPECT_EQ(n, 2);
  });
  with("TINYTORCH_TWIN_DEVICES", "0", [&] { EXPECT_EQ(device_count(&n), kNoDevice); });
  with("TINYTORCH_TWIN_FAIL", "set_device:1:2,check_kernel_image:2:209", [&] {
    EXPECT_EQ(set_device(0), kOutOfMemory);
    EXPECT_EQ(set_device(0), kSuccess);
    EXPECT_EQ(check_kernel_image(), kSuccess);
    EXPECT_EQ(check_kernel_image(), kNoKernelImage);
  });
}

}  // namespace
}  // namespace tinytorch::twin
