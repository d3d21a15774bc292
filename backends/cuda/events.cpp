// Events are never destroyed: their number is that of the events in use at once.
#include "backends/cuda/events.h"

#include <new>

namespace tinytorch::cuda {

rt::EventHandle EventPool::take_spare() noexcept {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return nullptr;
  const rt::EventHandle event = spare_.back();
  spare_.pop_back();
  return event;
}

// Room for one event more.
bool EventPool::reserve() noexcept {
  const std::lock_guard lock(mutex_);
  try {
    if (spare_.capacity() <= made_) spare_.reserve(2 * made_ + 16);
  } catch (const std::bad_alloc&) {
    return false;
  }
  ++made_;
  return true;
}

rt::EventHandle EventPool::take() noexcept {
  rt::EventHandle event = take_spare();
  if (event || !reserve()) return event;
  return TT_CUDA_TRY(health_, rt::event_create(&event)) ? event : nullptr;
}

rt::EventHandle EventPool::take_or_throw(const char* op) {
  health_.require(op);
  rt::EventHandle event = take_spare();
  if (event) return event;
  if (!reserve()) throw std::bad_alloc();
  TT_CUDA_CHECK(health_, op, rt::event_create(&event));
  return event;
}

void EventPool::put(rt::EventHandle event) noexcept {
  if (!event) return;
  const std::lock_guard lock(mutex_);
  spare_.push_back(event);
}

}  // namespace tinytorch::cuda
