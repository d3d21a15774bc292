// Planted faults of host code in handles, errors, captures and products; planted.h says when one
// counts as caught.
#include <algorithm>
#include <vector>

#include "tests/cuda_twin/runtime/planted.h"

namespace tinytorch::twin {
namespace {

// ---- handles, devices, errors

std::string stream_used_after_destroy(Host& h, bool planted) {
  StreamHandle stream;
  stream_create(&stream);
  if (planted) stream_destroy(stream);
  const Status status = set(stream, h.floats(), 1);
  if (!planted) stream_destroy(stream);
  return status_word(status);
}
std::string event_used_after_destroy(Host& h, bool planted) {
  EventHandle event;
  event_create(&event);
  event_record(event, h.streams[0]);
  if (planted) event_destroy(event);
  const Status status = stream_wait(h.streams[1], event);
  if (!planted) event_destroy(event);
  return status_word(status);
}
std::string time_of_pending_events(Host& h, bool planted) {
  event_record(h.events[0], h.streams[0]);
  set(h.streams[0], h.floats(), 1);
  event_record(h.events[1], h.streams[0]);
  if (!planted) event_synchronize(h.events[1]);
  float milliseconds = -1;
  return status_word(event_elapsed(&milliseconds, h.events[0], h.events[1]));
}
std::string memory_of_another_device(Host& h, bool planted) {
  control().set_devices(2);
  set_device(planted ? 1 : 0);
  float* a = h.floats();
  set_device(0);
  set(h.streams[0], a, 1);
  const std::string end = status_word(stream_synchronize(h.streams[0]));
  return end;
}
std::string ignored_launch_error(Host& h, bool planted) {
  float* a = h.floats();
  set(h.streams[0], a, 1);
  control().fail("launch", 1, 701);  // too many resources requested
  if (set(h.streams[0], a, 2) != kSuccess && !planted) set(h.streams[0], a, 2);
  return result(h.streams[0], a, 2);
}
std::string ignored_allocation_failure(Host& h, bool planted) {
  control().fail("allocate", 1, kOutOfMemory);
  float* a = h.floats();
  if (!a && !planted) a = h.floats();
  return status_word(fill_bytes(a, 0, kBytes, h.streams[0]));
}
std::string range_left_open(Host&, bool planted) {
  const int before = control().range_depth();
  range_push("step");
  if (!planted) range_pop();
  const int after = control().range_depth();
  if (planted) range_pop();
  return after == before ? "right" : "open range";
}

// ---- captures

std::string captured_wait(Host& h, bool planted) {
  float* a = h.floats();
  begin_capture(h.streams[0]);
  set(h.streams[0], a, 1);
  if (planted) stream_synchronize(h.streams[0]);
  Status status;
  const GraphHandle graph = h.end(h.streams[0], &status);
  if (status != kSuccess) return name_of(status);
  graph_launch(graph, h.streams[0]);
  return result(h.streams[0], a, 1);
}
std::string captured_event_wait(Host& h, bool planted) {
  float* a = h.floats();
  begin_capture(h.streams[0]);
  set(h.streams[0], a, 1);
  event_record(h.events[0], h.streams[0]);
  if (planted) event_synchronize(h.events[0]);
  Status status;
  h.end(h.streams[0], &status);
  return status_word(status);
}
std::string captured_pageable_copy(Host& h, bool planted) {
  float *a = h.floats(), *pinned = h.pinned();
  Floats pageable = all(3);
  std::fill(pinned, pinned + kLength, 3.0f);
  begin_capture(h.streams[0]);
  copy(a, planted ? pageable.data() : pinned, kBytes, CopyKind::host_to_device, h.streams[0]);
  Status status;
  const GraphHandle graph = h.end(h.streams[0], &status);
  if (status != kSuccess) return name_of(status);
  graph_launch(graph, h.streams[0]);
  return result(h.streams[0], a, 3);
}
std::string captured_wait_for_outside(Host& h, bool planted) {
  float* a = h.floats();
  set(h.streams[1], a, 1);
  event_record(h.events[0], h.streams[1]);
  if (!planted) stream_wait(h.streams[0], h.events[0]);
  begin_capture(h.streams[0]);
  if (planted) stream_wait(h.streams[0], h.events[0]);
  add(h.streams[0], a, a, a);
  Status status;
  const GraphHandle graph = h.end(h.streams[0], &status);
  if (status != kSuccess) return name_of(status);
  graph_launch(graph, h.streams[0]);
  return result(h.streams[0], a, 2);
}
std::string capture_never_ended(Host& h, bool planted) {
  float* a = h.floats();
  set(h.streams[0], a, 1);
  StreamHandle stream;
  stream_create(&stream);
  begin_capture(stream);
  set(stream, a, 2);
  if (!planted) h.end(stream);
  return status_word(stream_destroy(stream));
}
GraphHandle doubling(Host& h, float* a) {
  begin_capture(h.streams[0]);
  add(h.streams[0], a, a, a);
  return h.end(h.streams[0]);
}
std::string taken_for_run(Host& h, bool planted) {
  float* a = h.floats();
  set(h.streams[0], a, 1);
  const GraphHandle graph = doubling(h, a);
  if (!planted) graph_launch(graph, h.streams[0]);
  return result(h.streams[0], a, 2);
}
std::string replayed_after_release(Host& h, bool planted) {
  float* a = h.floats();
  set(h.streams[0], a, 1);
  const GraphHandle graph = doubling(h, a);
  if (planted) h.release_now(a);
  graph_launch(graph, h.streams[0]);
  return status_word(stream_synchronize(h.streams[0]));
}
std::string replayed_after_free(Host& h, bool planted) {
  float* a = h.floats();
  set(h.streams[0], a, 1);
  const GraphHandle graph = doubling(h, a);
  if (planted) note_freed(a, kBytes, h.streams[0]);
  graph_launch(graph, h.streams[0]);
  return result(h.streams[0], a, 2);
}
std::string replayed_with_released_pinned(Host& h, bool planted) {
  float *a = h.floats(), *pinned = h.pinned();
  begin_capture(h.streams[0]);
  copy(a, pinned, kBytes, CopyKind::host_to_device, h.streams[0]);
  const GraphHandle graph = h.end(h.streams[0]);
  if (planted) h.release_pinned_now(pinned);
  graph_launch(graph, h.streams[0]);
  return status_word(stream_synchronize(h.streams[0]));
}
std::string replay_not_waited_for(Host& h, bool planted) {
  float* a = h.floats();
  set(h.streams[0], a, 1);
  const GraphHandle graph = doubling(h, a);
  graph_launch(graph, h.streams[0]);
  event_record(h.events[0], h.streams[0]);
  if (!planted) stream_wait(h.streams[1], h.events[0]);
  return result(h.streams[1], a, 2);
}

// ---- products

cuda::GemmDesc square(const float* a, const float* b, float* c) {  // 2 x 2
  return {Dtype::f32, 2, 2, 2, 1, a, b, c, false, false, 2, 2, 2, 0, 0, 0};
}
std::string product_past_the_end(Host& h, bool planted) {
  float *a = h.floats(4), *c = h.floats();
  fill_bytes(a, 0, 4 * sizeof(float), h.streams[0]);
  fill_bytes(c, 0, kBytes, h.streams[0]);
  cuda::GemmDesc d = square(a, a, c);
  if (planted) d.lda = 4;
  GemmCall call = product_in(h.streams[0]);
  gemm(d, call);
  return result(h.streams[0], c, 0);
}
std::string product_workspace_in_use(Host& h, bool planted) {
  constexpr int kTerms = 1024;  // so many that they are split
  float *a = h.floats(2 * kTerms), *c = h.floats(16), *work = h.floats(16);
  fill_bytes(a, 0, 2 * kTerms * sizeof(float), h.streams[0]);
  fill_bytes(c, 0, kBytes, h.streams[0]);
  cuda::GemmDesc d = square(a, a, c);
  d.k = d.lda = kTerms;
  GemmCall call = product_in(h.streams[0], planted ? c : work);
  gemm(d, call);
  return result(h.streams[0], c, 0);
}

const Fault kFaults[] = {
    {"StreamUsedAfterDestroy", kHandle, stream_used_after_destroy},
    {"EventUsedAfterDestroy", kHandle, event_used_after_destroy},
    {"TimeOfPendingEvents", "cudaErrorNotReady", time_of_pending_events},
    {"MemoryOfAnotherDevice", kIllegal, memory_of_another_device},
    {"IgnoredLaunchError", kWrong, ignored_launch_error},
    {"IgnoredAllocationFailure", kInvalid, ignored_allocation_failure},
    {"RangeLeftOpen", "open range", range_left_open},
    {"CapturedWait", kSpoiled, captured_wait},
    {"CapturedEventWait", kSpoiled, captured_event_wait},
    {"CapturedPageableCopy", kSpoiled, captured_pageable_copy},
    {"CapturedWaitForOutside", kSpoiled, captured_wait_for_outside},
    {"CaptureNeverEnded", "cudaErrorStreamCaptureUnsupported", capture_never_ended},
    {"TakenForRun", kWrong, taken_for_run},
    {"ReplayedAfterRelease", kIllegal, replayed_after_release},
    {"ReplayedAfterFree", kWrong, replayed_after_free},
    {"ReplayedWithReleasedPinned", kIllegal, replayed_with_released_pinned},
    {"ReplayNotWaitedFor", kWrong, replay_not_waited_for},
    {"ProductPastTheEnd", kIllegal, product_past_the_end},
    {"ProductWorkspaceInUse", kWrong, product_workspace_in_use},
};
TT_PLANTED(PlantedInHandles, kFaults);

}  // namespace
}  // namespace tinytorch::twin
