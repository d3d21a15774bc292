// The ring of events of each stream, and the list of open streams.
#include "backends/cuda/markers.h"

#include <algorithm>
#include <atomic>
#include <string>

namespace tinytorch::cuda {

namespace {

constexpr int kPlaceBits = 40;
constexpr uint64_t kPlaceMask = (uint64_t{1} << kPlaceBits) - 1;
constexpr size_t kKept = 4096;

uint64_t stream_of(Marker marker) { return marker.id >> kPlaceBits; }
uint64_t place_of(Marker marker) { return marker.id & kPlaceMask; }

std::atomic<uint64_t> last_id{0};

struct Rings {
  std::mutex mutex;
  std::vector<std::shared_ptr<MarkRing>> open;
};
Rings& rings() {
  static auto* all = new Rings;
  return *all;
}

[[noreturn]] void refuse(const char* op, Marker marker, const char* why) {
  throw Error("[" + std::string(op) + "] marker " + std::to_string(marker.id) + " " + why);
}

}  // namespace

MarkRing::MarkRing(EventPool& events, Health& health)
    : events_(events), health_(health), id_(++last_id) {}

MarkRing::~MarkRing() {
  for (const rt::EventHandle event : ring_) events_.put(event);
}

// The event of the oldest mark is recorded anew once enough are kept.
Marker MarkRing::mark(rt::StreamHandle stream) {
  const std::lock_guard lock(mutex_);
  const bool fresh = ring_.size() < kKept;
  if (fresh) {
    ring_.reserve(ring_.size() + 1 <= ring_.capacity() ? 0 : 2 * ring_.size() + 16);
    const rt::EventHandle event = events_.take_or_throw("mark");
    const rt::Status status = rt::event_record(event, stream);
    if (status != rt::kSuccess) events_.put(event);
    health_.check(status, TT_CUDA_SITE("mark", rt::event_record(event, stream)));
    ring_.push_back(event);
  } else {
    TT_CUDA_CHECK(health_, "mark", rt::event_record(ring_[given_ % kKept], stream));
  }
  return {id_ << kPlaceBits | ++given_};
}

rt::EventHandle MarkRing::event_of(Marker marker, const char* op) const {
  const uint64_t place = place_of(marker);
  if (place > given_ || place == 0) refuse(op, marker, "was given out by no stream");
  return ring_[(std::max(place, oldest()) - 1) % kKept];
}

void MarkRing::make_wait(Marker marker, rt::StreamHandle stream, Health& health) {
  const std::lock_guard lock(mutex_);
  TT_CUDA_CHECK(health, "wait", rt::stream_wait(stream, event_of(marker, "wait")));
}

bool MarkRing::query(Marker marker) {
  const std::lock_guard lock(mutex_);
  health_.require("query");
  const rt::Status status = rt::event_query(event_of(marker, "query"));
  if (status == rt::kNotReady) return false;
  health_.check(status, TT_CUDA_SITE("query", rt::event_query(event)));
  return true;
}

double MarkRing::elapsed_us(Marker from, Marker to) {
  const std::lock_guard lock(mutex_);
  const rt::EventHandle begin = event_of(from, "elapsed_us"), end = event_of(to, "elapsed_us");
  for (const Marker marker : {from, to})
    if (place_of(marker) < oldest()) refuse("elapsed_us", marker, "is too old to tell its time");
  for (const rt::EventHandle event : {begin, end})
    TT_CUDA_CHECK(health_, "elapsed_us", rt::event_synchronize(event));
  float milliseconds = 0;
  TT_CUDA_CHECK(health_, "elapsed_us", rt::event_elapsed(&milliseconds, begin, end));
  return static_cast<double>(milliseconds) * 1000;
}

std::shared_ptr<MarkRing> open_marks(EventPool& events, Health& health) {
  auto ring = std::make_shared<MarkRing>(events, health);
  const std::lock_guard lock(rings().mutex);
  rings().open.push_back(ring);
  return ring;
}

void close_marks(const MarkRing& ring) noexcept {
  const std::lock_guard lock(rings().mutex);
  std::erase_if(rings().open, [&](const auto& open) { return open.get() == &ring; });
}

std::shared_ptr<MarkRing> marks_of(Marker marker, const char* op) {
  if (marker.id == 0) return nullptr;
  const std::lock_guard lock(rings().mutex);
  for (const auto& ring : rings().open)
    if (ring->id() == stream_of(marker)) return ring;
  if (stream_of(marker) == 0 || stream_of(marker) > last_id.load())
    refuse(op, marker, "was given out by no stream");
  return nullptr;
}

}  // namespace tinytorch::cuda
