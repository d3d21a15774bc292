// Inside of the event system: ids, device timings that arrive late, and the name of the running
// node.
#pragma once

#include "core/runtime/device_state.h"

namespace tinytorch {

uint64_t next_event_id() noexcept;
void deliver(Event& e) noexcept;                                // emit() in place
void calibrate_host_clock();                                    // once, before the first event
const char* interned(const std::string& name);                  // lives as long as the program
const char* device_label(const Allocator* allocator) noexcept;  // "cpu:0"

// An op on an asynchronous stream: its device time is delivered as a timing event once both markers
// were passed.
void keep_timing(DeviceState* d, Stream* s, const Event& op, Marker begin, Marker end) noexcept;
void flush_timings(Stream* s) noexcept;

// Set by autograd: name of the node whose formula runs on this thread, or null.
extern const char* (*current_node_name)() noexcept;

// Of memory for which no guard says another one.
inline Category usual_category(Phase phase) {
  constexpr Category kOf[] = {Category::activation, Category::gradient, Category::workspace};
  return kOf[static_cast<int>(phase)];
}

// Set by the layer of storages: an alloc event for each listed block of the device.
extern void (*announce_blocks)(DeviceState* d, Observer& to);

// Emits kind copy around a copy between host and device.
void emit_copy(DeviceState* d, size_t bytes, int64_t start_ns) noexcept;
// Announces that `bytes` at `pointer` belong to another category from now on.
void emit_retag(DeviceState* d, const void* pointer, size_t bytes, Category category) noexcept;

}  // namespace tinytorch
