// What tests may ask of the simulated device runtime beside rt.h: the order of execution, failures
// at chosen calls, counters, the text of the latest fault. The plugin is opened by core with
// RTLD_LOCAL, so nothing links to it: twin_control() finds the one that is loaded, or the one
// linked into the test itself. Environment, read at the first call of the runtime:
// TINYTORCH_TWIN_SEED, _ORDER (grid.h), _FAIL ("allocate:3:2,launch:1:719": call, k, status),
// _DRIVER (0: none, 12040: too old), _DEVICES (0 to 2), _BYTES (of memory, for each device).
#pragma once

#include <dlfcn.h>

#include <cstdint>

extern "C" {

struct TinytorchTwinCounters {
  uint64_t launches;          // kernels given to streams, replays of graphs included
  uint64_t host_to_device;    // copies by kind
  uint64_t device_to_host;    //
  uint64_t device_to_device;  //
  uint64_t fills;
  uint64_t gemms;
  uint64_t allocations;  // rt::allocate that succeeded
  uint64_t releases;     // rt::release that succeeded
  uint64_t pinned_allocations;
  uint64_t pinned_releases;
  uint64_t frees_noted;      // rt::note_freed
  uint64_t waits;            // of the host: synchronisations of streams and events
  uint64_t event_waits;      // of streams, for events
  uint64_t events_recorded;  //
  uint64_t graph_launches;
  uint64_t overruns;       // allocations found written behind their end
  uint64_t bad_addresses;  // uses of device addresses that lie in no live allocation
  uint64_t items_given;    // pieces of work put into queues; markers and waits included
  uint64_t items_run;      //
  uint64_t out_of_order;   // items that ran while one given earlier, to another stream, had not
  uint64_t longest_queue;  // items waiting at once, over all streams
  uint64_t live_bytes;     // not reset by reset_counters: what is allocated now
  uint64_t live_allocations;
  uint64_t live_pinned;
  uint64_t live_streams;
  uint64_t live_events;
  uint64_t live_graphs;
};

struct TinytorchTwinControl {
  // Restarts the pseudo-random order of the streams' work.
  void (*set_seed)(uint64_t seed);
  // The order of a grid's threads and blocks: 0 forward, 1 reverse, 2 random by `seed`.
  void (*set_order)(int order, uint64_t seed);
  // The k-th use from now on of the function of rt.h called `call` answers `status`, once, and does
  // nothing; functions that free or destroy do so first. k = 0: every use; status = 0: none.
  // A status that loses the device (700, 719, ...) does lose it. False: no such function.
  bool (*fail)(const char* call, uint64_t k, int status);
  // Uses of `call` since the start or the last reset, so that a sweep knows how far k goes.
  uint64_t (*uses)(const char* call);
  TinytorchTwinCounters (*counters)();
  void (*reset_counters)();
  // Runs what is pending, then: no device is lost, no call fails, driver and devices are as the
  // environment says, counters and uses are 0, no fault is remembered.
  void (*reset)();
  // The latest fault or refusal in words, "" if there was none. Stays valid.
  const char* (*last_fault)();
  void (*set_driver)(int version);  // 0: there is no driver
  void (*set_devices)(int count);   // 0 to 2
  int (*range_depth)();             // rt::range_push less rt::range_pop of the calling thread
};

// The name under which the plugin exports its control.
using TinytorchTwinControlFunction = const TinytorchTwinControl*();
__attribute__((visibility("default"))) const TinytorchTwinControl* tinytorch_twin_control();
}

namespace tinytorch::twin {

// Null while the plugin is not loaded: name the device "cudatwin" first.
inline const TinytorchTwinControl* twin_control() {
  void* plugin = dlopen("libtinytorch_cudatwin.so", RTLD_NOW | RTLD_NOLOAD);
  auto* find = reinterpret_cast<TinytorchTwinControlFunction*>(
      dlsym(plugin ? plugin : RTLD_DEFAULT, "tinytorch_twin_control"));
  return find ? find() : nullptr;
}

}  // namespace tinytorch::twin
