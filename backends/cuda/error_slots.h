// Places where kernels report bad values: a word in device memory and a flag in pinned host memory,
// which says without a copy whether there is anything to read. A stream has one, and so has every
// recorded graph, since its launches keep the address.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "backends/cuda/check.h"

namespace tinytorch::cuda {

struct ErrorSlot {
  ErrorWord* word = nullptr;
  volatile uint32_t* flag = nullptr;
};

class ErrorSlots {
 public:
  explicit ErrorSlots(Health& health) : health_(health) {}

  // A cleared slot; it goes back when the last copy is gone, which must be after the work that
  // reports to it. `stream` is used to clear fresh ones.
  std::shared_ptr<const ErrorSlot> take(rt::StreamHandle stream);

 private:
  void make(rt::StreamHandle stream);
  void put(const ErrorSlot& slot) noexcept;

  Health& health_;
  std::mutex mutex_;
  std::vector<ErrorSlot> spare_;
  size_t made_ = 0;
};

// Moves what was reported to `word`, if its position is the smallest so far, and clears the slot.
// All work of `stream` is done.
void collect(const ErrorSlot& slot, rt::StreamHandle stream, ErrorWord& word, Health& health);

}  // namespace tinytorch::cuda
