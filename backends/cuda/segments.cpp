// Memory of the system: taking segments, giving free ones back, and what is tried before a request
// fails.
#include <algorithm>
#include <string>

#include <tinytorch/profiler.h>

#include "backends/cuda/allocator.h"
#include "backends/cuda/gpu.h"

namespace tinytorch::cuda {

namespace {

constexpr size_t kMegabyte = size_t{1} << 20;
constexpr size_t kGranule = 2 * kMegabyte;         // of the driver
constexpr size_t kMediumSegment = 20 * kMegabyte;  // shared by several requests
constexpr size_t kMediumRequest = 10 * kMegabyte;

size_t segment_for(size_t given) {
  if (given <= kSmallRequest) return kGranule;
  if (given < kMediumRequest) return kMediumSegment;
  return (given + kGranule - 1) / kGranule * kGranule;
}

void emit_raw(EventKind kind, const char* device, const void* data, size_t bytes) noexcept {
  if (TT_LIKELY(!observed())) return;
  Event event;
  event.kind = kind;
  event.name = kind == EventKind::raw_alloc ? "raw_alloc" : "raw_free";
  event.device = device;
  event.pointer = data;
  event.bytes = static_cast<int64_t>(bytes);
  emit(event);
}

bool is_free(const Segment& segment) {
  for (const Chunk* c = segment.first; c; c = c->next)
    if (c->state != ChunkState::free || c->pool->home) return false;
  return true;
}

}  // namespace

// A chunk that was not in a pool: of a new segment, or of what had to be waited for. Frees the
// caches and tries once more before it throws.
Chunk& DeviceAllocator::take_from_system(Pool& by, size_t given, size_t asked) {
  Chunk* found = add_segment(by, given);
  if (!found) {
    poll(Effort::wait);
    found = find_free(by, given);
  }
  if (!found) {
    release_free(0);
    found = add_segment(by, given);
  }
  if (!found) throw_out_of_memory(asked);
  chunks_.prepare();
  return *found;
}

// Less than a whole segment will do if there is not room for more.
Chunk* DeviceAllocator::add_segment(Pool& by, size_t given) {
  const size_t whole = segment_for(given);
  const bool small = given <= kSmallRequest;
  Chunk* chunk = try_segment(by, whole, small);
  return chunk || whole == given ? chunk : try_segment(by, given, small);
}

Chunk* DeviceAllocator::try_segment(Pool& by, size_t bytes, bool small) {
  if (limit_ != 0 && static_cast<size_t>(stats_.reserved) + bytes > limit_) return nullptr;
  chunks_.prepare();
  void* data = nullptr;
  gpu_.health().require("alloc");
  const rt::Status status = rt::allocate(&data, bytes);
  if (status == rt::kOutOfMemory) return nullptr;
  gpu_.health().check(status, TT_CUDA_SITE("alloc", rt::allocate(&data, bytes)));
  Chunk& chunk = chunks_.add(static_cast<char*>(data), bytes, small, by);
  chunks_.put(chunk);
  ++stats_.raw_allocs;
  stats_.reserved += static_cast<int64_t>(bytes);
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  emit_raw(EventKind::raw_alloc, gpu_.label(), data, bytes);
  return &chunk;
}

// Releasing waits for the device, so what was freed in the order of a stream may go, too. A segment
// whose release fails is not used again: it may be gone all the same. -> the first such error.
rt::Status DeviceAllocator::release_free(size_t keep) noexcept {
  rt::Status first = rt::kSuccess;
  for (Segment *segment = chunks_.segments(), *next; segment && cached() > keep; segment = next) {
    next = segment->next;
    if (!is_free(*segment)) continue;
    if (!gpu_.health().usable()) break;
    const rt::Status status = rt::release(segment->data);
    if (!gpu_.health().note(status, TT_CUDA_SITE("trim", rt::release(segment->data))) &&
        first == rt::kSuccess)
      first = status;
    const size_t bytes = segment->bytes;
    emit_raw(EventKind::raw_free, gpu_.label(), segment->data, bytes);
    for (Chunk* c = segment->first; c; c = c->next) chunks_.take(*c);
    chunks_.remove(*segment);
    ++stats_.raw_frees;
    stats_.reserved -= static_cast<int64_t>(bytes);
  }
  return first;
}

void DeviceAllocator::trim(size_t keep) {
  gpu_.enter("trim");
  const std::lock_guard lock(mutex_);
  if (cached() <= keep) return;
  poll(Effort::wait);
  gpu_.health().check(release_free(keep), TT_CUDA_SITE("trim", rt::release(segment)));
}

void DeviceAllocator::throw_out_of_memory(size_t asked) {
  size_t free_bytes = 0, total_bytes = 0;
  std::string device;
  if (TT_CUDA_TRY(gpu_.health(), rt::memory_info(&free_bytes, &total_bytes)))
    device =
        "; of the device's " + std::to_string(total_bytes) + " free " + std::to_string(free_bytes);
  throw OutOfMemoryError(
      "[alloc] out of memory on " + std::string(gpu_.label()) + ": " + std::to_string(asked) +
      " bytes asked for; in use " + std::to_string(stats_.in_use) + ", reserved " +
      std::to_string(stats_.reserved) + ", cached " + std::to_string(cached()) +
      (limit_ ? ", limit " + std::to_string(limit_) : std::string(", no limit set")) + device +
      " (bytes)");
}

}  // namespace tinytorch::cuda
