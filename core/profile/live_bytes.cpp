// Replays allocations and frees. An address that is given out again before its free was seen (an
// event was lost, or a block was announced while its event was on the way) stands for the newer.
#include "core/profile/live_bytes.h"

namespace tinytorch::profiling {

bool LiveBytes::follow(const Event& e) {
  switch (e.kind) {
    case EventKind::alloc:
      allocated(e);
      return e.id != 0;
    case EventKind::free:
      freed(e);
      return true;
    case EventKind::retag:
      if (const auto it = live_.find(e.pointer); it != live_.end()) {
        add(it->second.category, -it->second.bytes);
        it->second.category = e.category;
        add(e.category, it->second.bytes);
        return true;
      }
      return false;
    case EventKind::raw_alloc:
      reserved_ += e.bytes;
      return false;
    case EventKind::raw_free:
      reserved_ -= e.bytes;
      return false;
    default:
      return false;
  }
}

void LiveBytes::allocated(const Event& e) {
  if (e.id == 0) {  // announced: it was counted as unlisted
    unlisted_ -= e.bytes;
    add(Category::other, -e.bytes);
  }
  const auto [it, fresh] = live_.try_emplace(e.pointer);
  if (!fresh) add(it->second.category, -it->second.bytes);
  it->second = {e.category, e.bytes};
  add(e.category, e.bytes);
}

void LiveBytes::freed(const Event& e) {
  const auto it = live_.find(e.pointer);
  if (it == live_.end()) {
    unlisted_ -= e.bytes;
    add(Category::other, -e.bytes);
    return;
  }
  add(it->second.category, -it->second.bytes);
  live_.erase(it);
}

}  // namespace tinytorch::profiling
