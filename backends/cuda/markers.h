// Markers of streams: the id of a stream and a place, counted in marks. The events of the latest
// few thousand are kept, so that time between them can be told; an older place is as good as the
// oldest kept. Any thread may wait for or ask about the markers of any stream.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include <tinytorch/backend/backend.h>

#include "backends/cuda/check.h"
#include "backends/cuda/events.h"

namespace tinytorch::cuda {

class MarkRing {
 public:
  // The events are of the pool's device.
  explicit MarkRing(EventPool& events, Health& health);
  ~MarkRing();

  Marker mark(rt::StreamHandle stream);
  // Makes `stream`, of any device, wait for the marker, which is one of this ring.
  void make_wait(Marker marker, rt::StreamHandle stream, Health& health);
  bool query(Marker marker);
  double elapsed_us(Marker from, Marker to);
  uint64_t id() const { return id_; }

 private:
  // With mutex_ held.
  rt::EventHandle event_of(Marker marker, const char* op) const;
  uint64_t oldest() const { return given_ - ring_.size() + 1; }

  EventPool& events_;
  Health& health_;
  const uint64_t id_;
  std::mutex mutex_;
  std::vector<rt::EventHandle> ring_;
  uint64_t given_ = 0;
};

std::shared_ptr<MarkRing> open_marks(EventPool& events, Health& health);
void close_marks(const MarkRing& ring) noexcept;  // all its places have been passed
// Of the stream that gave out `marker`; null: every stream has passed the marker. Error for one
// that was never given out.
std::shared_ptr<MarkRing> marks_of(Marker marker, const char* op);

}  // namespace tinytorch::cuda
