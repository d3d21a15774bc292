// Page-locked memory through which copies from pageable host memory go: the runtime's own way waits
// until the stream has come to the copy, this one until the bytes are taken. Buffers are made when
// they are needed, up to a limit, and kept, since locking pages costs more than a copy. Any thread.
#pragma once

#include <mutex>
#include <vector>

#include "backends/cuda/events.h"

namespace tinytorch::cuda {

class Staging {
 public:
  Staging(Health& health, EventPool& events);

  // In stream order; the bytes of `src` are taken when it returns.
  void copy(void* dst, const void* src, size_t bytes, rt::StreamHandle stream);

 private:
  struct Sent {
    char* buffer;
    rt::EventHandle passed;
  };

  char* take() noexcept;
  char* take_free() noexcept;
  void collect_passed() noexcept;
  void send(char* buffer, void* dst, size_t bytes, rt::StreamHandle stream);
  void put(char* buffer) noexcept;

  Health& health_;
  EventPool& events_;
  std::mutex mutex_;
  std::vector<char*> free_;
  std::vector<Sent> sent_;  // oldest first
  size_t made_ = 0;
};

}  // namespace tinytorch::cuda
