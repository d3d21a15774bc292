// The registry's entry for one device: one pointer away from every storage. Never destroyed.
#pragma once

#include <string>
#include <vector>

#include <tinytorch/device.h>

#include "core/runtime/fork.h"
#include "core/runtime/thread_state.h"

namespace tinytorch {

struct Storage;

struct DeviceState {
  Backend* backend = nullptr;
  const KernelTable* kernels = nullptr;
  Allocator* allocator = nullptr;
  Stream* stream = nullptr;  // the default one
  KernelContext context{};   // of the default stream
  int index = 0;
  bool host_memory = false, synchronous = false, test_only = false;
  std::string name;  // "cpu:0"
  std::string backend_name;

  ForkSafeMutex<std::mutex> mutex;  // of what follows
  Storage* listed =
      nullptr;  // live storages of kListedBytes and more, for the report of an out of memory
  std::vector<Stream*> spare_streams;
};

inline constexpr size_t kListedBytes = 16384;

TT_INLINE Stream* current_stream(DeviceState* d) {
  ThreadState& t = thread_state();
  return TT_UNLIKELY(t.stream_device == d) ? t.stream : d->stream;
}

DeviceState* current_device();  // of the thread, else of the process

// Throws the value error that a kernel reported to `word`, and clears it.
[[noreturn]] void throw_value_error(ErrorWord& word);
// Waits for a stream and throws what its kernels reported.
void synchronize(DeviceState* d, Stream* s);

}  // namespace tinytorch
