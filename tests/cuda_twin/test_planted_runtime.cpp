// Planted faults of host code in the order of work and in memory; planted.h says when one counts as
// caught.
#include <algorithm>
#include <vector>

#include "tests/cuda_twin/runtime/planted.h"

namespace tinytorch::twin {
namespace {

// ---- order between streams, and between a stream and the host

std::string produce_and_consume(Host& h, bool record_early, bool wait_early, bool wait_other,
                                bool no_wait) {
  float *a = h.floats(), *b = h.floats();
  set(h.streams[0], a, 1);
  stream_synchronize(h.streams[0]);
  event_record(h.events[1], h.streams[2]);
  if (record_early) event_record(h.events[0], h.streams[0]);
  if (wait_early) stream_wait(h.streams[1], h.events[0]);
  set(h.streams[0], a, 3);
  if (!record_early) event_record(h.events[0], h.streams[0]);
  if (!no_wait && !wait_early) stream_wait(h.streams[1], h.events[wait_other ? 1 : 0]);
  add(h.streams[1], b, a, a);
  return result(h.streams[1], b, 6);
}
std::string missing_wait(Host& h, bool planted) {
  return produce_and_consume(h, false, false, false, planted);
}
std::string recorded_too_early(Host& h, bool planted) {
  return produce_and_consume(h, planted, false, false, false);
}
std::string waited_before_record(Host& h, bool planted) {
  return produce_and_consume(h, false, planted, false, false);
}
std::string waited_for_another(Host& h, bool planted) {
  return produce_and_consume(h, false, false, planted, false);
}

// The next producer must wait for the consumer too.
std::string overwritten_before_read(Host& h, bool planted) {
  float *a = h.floats(), *b = h.floats();
  set(h.streams[0], a, 1);
  event_record(h.events[0], h.streams[0]);
  stream_wait(h.streams[1], h.events[0]);
  add(h.streams[1], b, a, a);
  event_record(h.events[1], h.streams[1]);
  if (!planted) stream_wait(h.streams[0], h.events[1]);
  set(h.streams[0], a, 5);
  return result(h.streams[1], b, 2);
}

std::string read_before_wait(Host& h, bool planted) {
  float *a = h.floats(), *host = h.pinned();
  set(h.streams[0], a, 2);
  copy(host, a, kBytes, CopyKind::device_to_host, h.streams[0]);
  if (!planted) stream_synchronize(h.streams[0]);
  return result(host, 2);
}
std::string waited_for_wrong_stream(Host& h, bool planted) {
  float *a = h.floats(), *host = h.pinned();
  set(h.streams[0], a, 2);
  copy(host, a, kBytes, CopyKind::device_to_host, h.streams[0]);
  stream_synchronize(h.streams[planted ? 1 : 0]);
  return result(host, 2);
}
std::string not_ready_taken_for_ready(Host& h, bool planted) {
  float *a = h.floats(), *host = h.pinned();
  for (int i = 0; i < 5; ++i) set(h.streams[0], a, 2);
  copy(host, a, kBytes, CopyKind::device_to_host, h.streams[0]);
  event_record(h.events[0], h.streams[0]);
  while (event_query(h.events[0]) == kNotReady)
    if (planted) break;
  return result(host, 2);
}
std::string event_synchronized_before_record(Host& h, bool planted) {
  float *a = h.floats(), *host = h.pinned();
  set(h.streams[0], a, 2);
  if (planted) event_record(h.events[0], h.streams[0]);
  copy(host, a, kBytes, CopyKind::device_to_host, h.streams[0]);
  if (!planted) event_record(h.events[0], h.streams[0]);
  event_synchronize(h.events[0]);
  return result(host, 2);
}
std::string pinned_reused_too_early(Host& h, bool planted) {
  float *a = h.floats(), *b = h.floats(), *host = h.pinned();
  std::fill(host, host + kLength, 1.0f);
  copy(a, host, kBytes, CopyKind::host_to_device, h.streams[0]);
  if (!planted) stream_synchronize(h.streams[0]);
  std::fill(host, host + kLength, 2.0f);
  copy(b, host, kBytes, CopyKind::host_to_device, h.streams[0]);
  return result(h.streams[0], a, 1);
}

// ---- memory

std::string used_after_release(Host& h, bool planted) {
  float *a = h.floats(), *b = h.floats();
  set(h.streams[0], a, 1);
  if (planted) h.release_now(a);
  add(h.streams[0], b, a, a);
  return result(h.streams[0], b, 2);
}
std::string copied_from_released(Host& h, bool planted) {
  float* a = h.floats();
  set(h.streams[0], a, 1);
  if (planted) h.release_now(a);
  return result(h.streams[0], a, 1);
}
std::string copied_past_the_end(Host& h, bool planted) {
  float* a = h.floats();
  const std::vector<float> host(kLength + 1, 4.0f);
  const Status status = copy(a, host.data(), kBytes + (planted ? sizeof(float) : 0),
                             CopyKind::host_to_device, h.streams[0]);
  return status != kSuccess ? name_of(status) : result(h.streams[0], a, 4);
}
std::string filled_past_the_end(Host& h, bool planted) {
  float* a = h.floats();
  const Status status = fill_bytes(a + (planted ? 1 : 0), 0, kBytes, h.streams[0]);
  return status != kSuccess ? name_of(status) : result(h.streams[0], a, 0);
}
std::string kernel_writes_past_the_end(Host& h, bool planted) {
  float* a = h.floats();
  launch_one(h.streams[0], "overrun", overrun_kernel, a, kLength + (planted ? 1 : 0));
  return result(h.streams[0], a, 1);
}
std::string wrong_direction(Host& h, bool planted) {
  float* a = h.floats();
  Floats host = all(4);
  return status_word(copy(a, host.data(), kBytes,
                          planted ? CopyKind::device_to_device : CopyKind::host_to_device,
                          h.streams[0]));
}
std::string used_after_free(Host& h, bool planted) {
  float *a = h.floats(), *b = h.floats();
  set(h.streams[0], a, 1);
  if (planted) note_freed(a, kBytes, h.streams[0]);
  add(h.streams[0], b, a, a);
  if (!planted) note_freed(a, kBytes, h.streams[0]);
  return result(h.streams[0], b, 2);
}
// A block that stream 1 still reads is freed in the order of stream 0 and given to stream 2.
std::string reused_before_its_free(Host& h, bool planted) {
  float *a = h.floats(), *b = h.floats();
  set(h.streams[0], a, 1);
  event_record(h.events[0], h.streams[0]);
  stream_wait(h.streams[1], h.events[0]);
  add(h.streams[1], b, a, a);
  event_record(h.events[1], h.streams[1]);
  if (!planted) stream_wait(h.streams[0], h.events[1]);
  note_freed(a, kBytes, h.streams[0]);
  event_record(h.events[2], h.streams[0]);
  stream_wait(h.streams[2], h.events[2]);
  set(h.streams[2], a, 9);
  return result(h.streams[1], b, 2);
}
std::string uninitialised(Host& h, bool planted) {
  float *a = h.floats(), *b = h.floats();
  if (!planted) fill_bytes(a, 0, kBytes, h.streams[0]);
  set(h.streams[0], b, 1);
  add(h.streams[0], b, a, b);
  return result(h.streams[0], b, 1);
}
std::string freed_twice(Host& h, bool planted) {
  float* a = h.floats();
  const Status first = h.release_now(a), second = planted ? release(a) : kSuccess;
  return status_word(first != kSuccess ? first : second);
}
std::string freed_inside(Host& h, bool planted) {
  float* a = h.floats();
  if (!planted) return status_word(h.release_now(a));
  return status_word(release(a + 64 / sizeof(float)));
}
std::string pinned_freed_twice(Host& h, bool planted) {
  float* a = h.pinned();
  const Status first = h.release_pinned_now(a), second = planted ? release_pinned(a) : kSuccess;
  return status_word(first != kSuccess ? first : second);
}
std::string leaked(Host&, bool planted) {
  const uint64_t before = control().counters().live_allocations;
  void* p = nullptr;
  allocate(&p, kBytes);
  if (!planted) release(p);
  const uint64_t after = control().counters().live_allocations;
  if (planted) release(p);
  return after == before ? "right" : "leak";
}

const Fault kFaults[] = {
    {"MissingWait", kWrong, missing_wait},
    {"RecordedTooEarly", kWrong, recorded_too_early},
    {"WaitedBeforeRecord", kWrong, waited_before_record},
    {"WaitedForAnother", kWrong, waited_for_another},
    {"OverwrittenBeforeRead", kWrong, overwritten_before_read},
    {"ReadBeforeWait", kWrong, read_before_wait},
    {"WaitedForWrongStream", kWrong, waited_for_wrong_stream},
    {"NotReadyTakenForReady", kWrong, not_ready_taken_for_ready},
    {"EventSynchronizedBeforeRecord", kWrong, event_synchronized_before_record},
    {"PinnedReusedTooEarly", kWrong, pinned_reused_too_early},
    {"UsedAfterRelease", kIllegal, used_after_release},
    {"CopiedFromReleased", kInvalid, copied_from_released},
    {"CopiedPastTheEnd", kInvalid, copied_past_the_end},
    {"FilledPastTheEnd", kInvalid, filled_past_the_end},
    {"KernelWritesPastTheEnd", kIllegal, kernel_writes_past_the_end},
    {"WrongDirection", kInvalid, wrong_direction},
    {"UsedAfterFree", kWrong, used_after_free},
    {"ReusedBeforeItsFree", kWrong, reused_before_its_free},
    {"Uninitialised", kWrong, uninitialised},
    {"FreedTwice", kInvalid, freed_twice},
    {"FreedInside", kInvalid, freed_inside},
    {"PinnedFreedTwice", kInvalid, pinned_freed_twice},
    {"Leaked", "leak", leaked},
};
TT_PLANTED(PlantedInOrder, kFaults);

}  // namespace
}  // namespace tinytorch::twin
