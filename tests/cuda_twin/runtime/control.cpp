// The functions of twin_control.h, and the marks for profiling tools, which only count.
#include <algorithm>
#include <iterator>
#include <string_view>

#include "tests/cuda_twin/runtime/twin.h"
#include "tests/cuda_twin/shim/grid.h"

namespace tinytorch::twin {

using namespace cuda::rt;

namespace {

using Lock = std::lock_guard<std::recursive_mutex>;

thread_local int t_range_depth = 0;

constexpr std::string_view kCalls[] = {"driver_version",
                                       "runtime_version",
                                       "device_count",
                                       "set_device",
                                       "device_facts",
                                       "memory_info",
                                       "check_kernel_image",
                                       "allocate",
                                       "release",
                                       "allocate_pinned",
                                       "release_pinned",
                                       "stream_create",
                                       "stream_destroy",
                                       "stream_synchronize",
                                       "stream_wait",
                                       "event_create",
                                       "event_destroy",
                                       "event_record",
                                       "event_query",
                                       "event_synchronize",
                                       "event_elapsed",
                                       "copy",
                                       "fill_bytes",
                                       "launch",
                                       "begin_capture",
                                       "end_capture",
                                       "graph_launch",
                                       "graph_destroy",
                                       "gemm",
                                       "gemm_open"};

void set_seed(uint64_t seed) {
  const Lock lock(late::scheduler().mutex);
  state();  // which takes the environment's seed first
  late::scheduler().set_seed(seed);
}

void set_order(int order, uint64_t seed) {
  const Lock lock(late::scheduler().mutex);
  grid_options() = {static_cast<ThreadOrder>(order), seed};
}

bool fail(const char* call, uint64_t k, int status) {
  const Lock lock(late::scheduler().mutex);
  if (std::find(std::begin(kCalls), std::end(kCalls), call) == std::end(kCalls)) return false;
  Injection& injection = state().injections[call];
  injection.at = k == 0 ? 0 : injection.uses + k;
  injection.status = status;
  return true;
}

uint64_t uses(const char* call) {
  const Lock lock(late::scheduler().mutex);
  const auto at = state().injections.find(std::string_view(call));
  return at == state().injections.end() ? 0 : at->second.uses;
}

TinytorchTwinCounters counters() {
  const Lock lock(late::scheduler().mutex);
  State& s = state();
  TinytorchTwinCounters c = s.counters;
  const auto& queues = late::scheduler().counters;
  c.items_given = queues.items_given;
  c.items_run = queues.items_run;
  c.out_of_order = queues.out_of_order;
  c.longest_queue = queues.longest_queue;
  for (const auto& device : s.devices)
    if (device) {
      c.live_bytes += device->memory.used();
      c.live_allocations += device->memory.count();
    }
  c.live_pinned = s.pinned.size();
  c.live_streams = s.streams.size();
  c.live_events = s.events.size();
  c.live_graphs = s.graphs.size();
  return c;
}

void reset_counters() {
  const Lock lock(late::scheduler().mutex);
  state().counters = {};
  late::scheduler().counters = {};
}

void reset() {
  const Lock lock(late::scheduler().mutex);
  late::scheduler().run_all();
  State& s = state();
  for (const auto& device : s.devices)
    if (device) device->lost = kSuccess;
  s.read_environment();
  s.texts.clear();
  s.faults.emplace_back();
  reset_counters();
}

const char* last_fault() {
  const Lock lock(late::scheduler().mutex);
  return state().faults.empty() ? "" : state().faults.back().c_str();
}

void set_driver(int version) {
  const Lock lock(late::scheduler().mutex);
  state().driver = version;
}

void set_devices(int count) {
  const Lock lock(late::scheduler().mutex);
  state().device_count = std::min(count, kMostDevices);
}

int range_depth() { return t_range_depth; }

constexpr TinytorchTwinControl kControl{set_seed,   set_order,      fail,       uses,
                                        counters,   reset_counters, reset,      last_fault,
                                        set_driver, set_devices,    range_depth};

}  // namespace
}  // namespace tinytorch::twin

extern "C" const TinytorchTwinControl* tinytorch_twin_control() {
  return &tinytorch::twin::kControl;
}

namespace tinytorch::cuda::rt {

void range_push(const char*) noexcept { ++twin::t_range_depth; }
void range_pop() noexcept { --twin::t_range_depth; }

}  // namespace tinytorch::cuda::rt
