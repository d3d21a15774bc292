// Allocating and freeing. segments.cpp has what happens when the pools have nothing, pending.cpp
// the waiting for streams and the memory of graphs.
#include "backends/cuda/allocator.h"

#include <algorithm>
#include <string>

#include "backends/cuda/gpu.h"
#include "backends/cuda/stream.h"

namespace tinytorch::cuda {

namespace {

constexpr size_t kRounding = 512;
constexpr size_t kLargestRequest = size_t{1} << 46;
constexpr int kLooks = 32;  // at chunks of another stream that may have passed

size_t rounded(size_t bytes) {
  return std::max((bytes + kRounding - 1) / kRounding, size_t{1}) * kRounding;
}

Chunk* best_fit(const FreeSet& set, size_t given) {
  const auto at = set.lower_bound(given);
  return at == set.end() ? nullptr : *at;
}

}  // namespace

MemoryBlock DeviceAllocator::allocate_block(size_t bytes, Stream& stream) {
  gpu_.enter("alloc");
  Pool& by = cuda_stream(stream).pool();
  const std::lock_guard lock(mutex_);
  if (bytes > kLargestRequest) throw_out_of_memory(bytes);
  const size_t given = rounded(bytes);
  if ((pending_ || gone_graphs_) && !by.recording) poll(Effort::first);
  chunks_.prepare();
  Chunk* chunk = find_free(by, given);
  if (chunk) {
    ++stats_.cache_hits;
  } else {
    chunk = &take_from_system(by, given, bytes);
  }
  give_out(*chunk, given, bytes, by);
  return {chunk->data, bytes};
}

void DeviceAllocator::give_out(Chunk& chunk, size_t given, size_t asked, Pool& by) {
  chunks_.take(chunk);
  chunk.state = ChunkState::live;
  if (chunk.bytes > given) chunks_.put(chunks_.split(chunk, given));
  chunk.asked = asked;
  chunk.owner = &by;
  chunk.pool = by.recording ? by.recording : &by;
  ++stats_.allocs;
  stats_.in_use += static_cast<int64_t>(asked);
  stats_.given += static_cast<int64_t>(given);
  stats_.peak = std::max(stats_.peak, stats_.in_use);
}

// Of its own pool a stream may take anything. What a capture takes from the stream's pool must have
// passed, since replays are not in the order of the stream.
Chunk* DeviceAllocator::find_free(Pool& by, size_t given) {
  const bool small = given <= kSmallRequest;
  if (Chunk* own = best_fit((by.recording ? *by.recording : by).free[small], given)) return own;
  if (by.recording) {
    if (Chunk* passed = find_passed(by, given, small)) return passed;
  }
  for (const auto& other : pools_) {
    if (other.get() == &by) continue;
    if (Chunk* passed = find_passed(*other, given, small)) return passed;
  }
  return nullptr;
}

Chunk* DeviceAllocator::find_passed(Pool& pool, size_t given, bool small) noexcept {
  const FreeSet& set = pool.free[small];
  auto at = set.lower_bound(given);
  if (at == set.end()) return nullptr;
  pass_fence(pool, false);
  for (int looks = 0; at != set.end() && looks < kLooks; ++at, ++looks) {
    if ((*at)->freed_at <= pool.passed) return *at;
  }
  return nullptr;
}

void DeviceAllocator::record_use(MemoryBlock& block, Stream& stream) {
  gpu_.health().require("record_use");
  if (&cuda_stream(stream).gpu() != &gpu_)
    throw DeviceError("[record_use] of a block of " + std::string(gpu_.label()) +
                      " by a stream of " + cuda_stream(stream).gpu().label());
  Pool& by = cuda_stream(stream).pool();
  const std::lock_guard lock(mutex_);
  Chunk* chunk = chunks_.find(block.data);
  if (!chunk || chunk->state != ChunkState::live)
    throw DeviceError("[record_use] not a live block of " + std::string(gpu_.label()));
  if (&by == chunk->owner) return;
  for (const Use* use = chunk->uses; use; use = use->next)
    if (use->by == &by) return;
  chunk->uses = new Use{&by, nullptr, chunk->uses, true};
}

void DeviceAllocator::count_free(const Chunk& chunk) noexcept {
  ++stats_.frees;
  stats_.in_use -= static_cast<int64_t>(chunk.asked);
  stats_.given -= static_cast<int64_t>(chunk.bytes);
}

// A chunk goes to the pool of the stream that frees it, whose order suffices for that stream's own
// work, or to that of its graph. The latter, and a stream that records, say nothing about when the
// work passes: then the freeing stream is one to wait for.
void DeviceAllocator::free_block(MemoryBlock block, Stream& stream) noexcept {
  if (in_forked_child()) return;
  gpu_.enter_quietly();
  Pool& by = cuda_stream(stream).pool();
  const std::lock_guard lock(mutex_);
  Chunk* chunk = chunks_.find(block.data);
  if (!chunk || chunk->state != ChunkState::live) return;
  count_free(*chunk);
  chunk->state = ChunkState::pending;
  const bool of_graph = chunk->pool->home != nullptr;
  if (!of_graph) chunk->pool = &by;
  if (chunk->owner != &by) {
    chunk->own[0] = {chunk->owner, nullptr, chunk->uses};
    chunk->uses = &chunk->own[0];
  }
  if (of_graph ? chunk->pool->home != &by : by.recording != nullptr) {
    chunk->own[1] = {&by, nullptr, chunk->uses};
    chunk->uses = &chunk->own[1];
  }
  for (Use* use = chunk->uses; use; use = use->next) start(*use);
  if (!settle(*chunk, false)) add_pending(*chunk);
}

// ---- statistics and limits

MemoryStats DeviceAllocator::stats() const {
  const std::lock_guard lock(mutex_);
  MemoryStats stats = stats_;
  stats.cached = stats.reserved - stats.given;
  return stats;
}

void DeviceAllocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  stats_.peak = stats_.in_use;
  stats_.peak_reserved = stats_.reserved;
}

void DeviceAllocator::set_limit(size_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
}

}  // namespace tinytorch::cuda
