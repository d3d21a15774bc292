// One device: what all its streams share. It is opened (context, default stream) when it is first
// needed, since a context costs memory and time; until then it only has a number. Never destroyed.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "backends/cuda/allocator.h"
#include "backends/cuda/check.h"
#include "backends/cuda/error_slots.h"
#include "backends/cuda/events.h"
#include "backends/cuda/staging.h"
#include "backends/cuda/stream.h"

namespace tinytorch::cuda {

class Gpu {
 public:
  explicit Gpu(int index);

  // Opens the device if that was not done. DeviceError, OutOfMemoryError.
  void open() {
    if (TT_UNLIKELY(!opened_.load(std::memory_order_acquire))) open_first_time();
  }
  // Opens it and makes it the current one of the calling thread. Throws if it is lost.
  void enter(const char* op) {
    health_.require(op);
    open();
    if (TT_UNLIKELY(current != index_)) make_current(op);
  }
  void enter_quietly() noexcept;

  int index() const noexcept { return index_; }
  const char* label() const noexcept { return label_.c_str(); }  // "cuda:0"
  Health& health() noexcept { return health_; }
  EventPool& events() noexcept { return events_; }
  ErrorSlots& error_slots() noexcept { return error_slots_; }
  Staging& staging() noexcept { return staging_; }
  DeviceAllocator& allocator() noexcept { return allocator_; }
  CudaStream& stream() noexcept { return stream_; }
  const rt::DeviceFacts& facts() const noexcept { return facts_; }

 private:
  TT_COLD void open_first_time();
  TT_COLD void make_current(const char* op);

  static constinit thread_local int current;  // device of the thread; -1: not chosen yet

  const int index_;
  const std::string label_;
  Health health_;
  EventPool events_;
  ErrorSlots error_slots_;
  Staging staging_;
  DeviceAllocator allocator_;
  rt::DeviceFacts facts_{};
  CudaStream stream_;  // the default one
  std::mutex mutex_;   // of opening
  std::atomic<bool> opened_{false};
};

// All devices are made at once, when the backend is created.
void make_gpus(int count);
int gpu_count() noexcept;
Gpu& gpu(int index) noexcept;

// Thrown while a device is opened that the kernels of this build do not run on.
class NoKernelImage : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

}  // namespace tinytorch::cuda
