// What tests may ask of the backend `late` beside the backend interface: the order of execution,
// failing allocations, counters. The plugin is opened by core with RTLD_LOCAL, so nothing links to
// it: late_control() finds the one that is loaded already.
#pragma once

#include <dlfcn.h>

#include <cstdint>

extern "C" {

struct TinytorchLateCounters {
  uint64_t items_given;     // kernels, copies, waits, marks and frees put into a queue
  uint64_t items_run;       // of these
  uint64_t out_of_order;    // items that ran while one given earlier, to another stream, had not
  uint64_t longest_queue;   // items waiting at once, over all streams
  uint64_t allocations;     // calls of Allocator::allocate by the host; what fail_allocation counts
  uint64_t host_to_device;  // copies by kind
  uint64_t device_to_host;
  uint64_t overruns;   // blocks found written behind their end when their free ran
  uint64_t bad_frees;  // frees of what is no live block
};

struct TinytorchLateControl {
  // Restarts the pseudo-random order. The environment's TINYTORCH_LATE_SEED sets the initial seed.
  void (*set_seed)(uint64_t seed);
  // The k-th allocation from now on throws OutOfMemoryError, once; 0: none does. Initially
  // TINYTORCH_LATE_FAIL_ALLOCATION.
  void (*fail_allocation)(uint64_t k);
  TinytorchLateCounters (*counters)();
  void (*reset_counters)();
};

// The name under which the plugin exports its control.
using TinytorchLateControlFunction = const TinytorchLateControl*();
const TinytorchLateControl* tinytorch_late_control();
}

namespace tinytorch::late {

// Null while the plugin is not loaded: name the device "late" first.
inline const TinytorchLateControl* late_control() {
  void* plugin = dlopen("libtinytorch_late.so", RTLD_NOW | RTLD_NOLOAD);
  if (!plugin) return nullptr;
  auto* find =
      reinterpret_cast<TinytorchLateControlFunction*>(dlsym(plugin, "tinytorch_late_control"));
  return find ? find() : nullptr;
}

}  // namespace tinytorch::late
