// Events of one device, kept for reuse: making one costs more than recording it. Any thread.
#pragma once

#include <mutex>
#include <vector>

#include "backends/cuda/check.h"

namespace tinytorch::cuda {

class EventPool {
 public:
  explicit EventPool(Health& health) : health_(health) {}

  // Null if there is none to be had. The thread's current device is the pool's.
  rt::EventHandle take() noexcept;
  rt::EventHandle take_or_throw(const char* op);
  // An event may be given back while a stream waits for it: a wait refers to the record before it.
  void put(rt::EventHandle event) noexcept;

 private:
  rt::EventHandle take_spare() noexcept;
  bool reserve() noexcept;

  Health& health_;
  std::mutex mutex_;
  std::vector<rt::EventHandle> spare_;
  size_t made_ = 0;  // spare_ has room for all of them, so that put cannot fail
};

}  // namespace tinytorch::cuda
