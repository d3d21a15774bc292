// Waiting for streams: fences of pools, events of blocks that several streams used, and the memory
// of recorded graphs. An event that could not be recorded yet (its stream records a graph, or the
// system has none) is tried again later; a later place in the stream is as good.
#include <algorithm>
#include <utility>

#include "backends/cuda/allocator.h"
#include "backends/cuda/gpu.h"

namespace tinytorch::cuda {

// ---- streams

Pool& DeviceAllocator::open_pool(rt::StreamHandle stream) {
  const std::lock_guard lock(mutex_);
  for (const auto& pool : pools_) {
    if (pool->stream) continue;
    pool->stream = stream;
    return *pool;
  }
  auto pool = std::make_unique<Pool>();
  pool->stream = stream;
  return *pools_.emplace_back(std::move(pool));
}

void DeviceAllocator::close_pool(Pool& pool) noexcept {
  const std::lock_guard lock(mutex_);
  gpu_.events().put(std::exchange(pool.fence, nullptr));
  pool.stream = nullptr;
  pool.passed = pool.frees;
}

// Brings `passed` up to date.
void DeviceAllocator::pass_fence(Pool& pool, bool wait) noexcept {
  for (int round = 0; round < 2 && pool.passed < pool.frees; ++round) {
    if (!pool.stream || gpu_.health().lost()) {
      pool.passed = pool.frees;
      return;
    }
    if (!pool.fence) {
      if (pool.recording || !(pool.fence = gpu_.events().take())) return;
      pool.fence_at = pool.frees;
      if (!TT_CUDA_TRY(gpu_.health(), rt::event_record(pool.fence, pool.stream))) {
        gpu_.events().put(std::exchange(pool.fence, nullptr));
        return;
      }
    }
    const bool passed = wait ? TT_CUDA_TRY(gpu_.health(), rt::event_synchronize(pool.fence))
                             : TT_CUDA_TRY(gpu_.health(), rt::event_query(pool.fence));
    if (!passed) return;
    pool.passed = pool.fence_at;
    gpu_.events().put(std::exchange(pool.fence, nullptr));
  }
}

// ---- uses

void DeviceAllocator::start(Use& use) noexcept {
  if (use.event || !use.by->stream || use.by->recording) return;
  use.event = gpu_.events().take();
  if (use.event && !TT_CUDA_TRY(gpu_.health(), rt::event_record(use.event, use.by->stream)))
    gpu_.events().put(std::exchange(use.event, nullptr));
}

bool DeviceAllocator::over(Use& use, bool wait) noexcept {
  if (!use.by->stream || gpu_.health().lost()) return true;
  start(use);
  if (!use.event) return false;
  return wait ? TT_CUDA_TRY(gpu_.health(), rt::event_synchronize(use.event))
              : TT_CUDA_TRY(gpu_.health(), rt::event_query(use.event));
}

// Takes out of the list what has passed.
void DeviceAllocator::drop_over(Use*& uses, bool wait) noexcept {
  for (Use** link = &uses; *link;) {
    Use* use = *link;
    if (!over(*use, wait)) {
      link = &use->next;
      continue;
    }
    *link = use->next;
    gpu_.events().put(std::exchange(use->event, nullptr));
    if (use->on_heap) delete use;
  }
}

// ---- freed chunks

// -> Is the chunk free now?
bool DeviceAllocator::settle(Chunk& chunk, bool wait) noexcept {
  drop_over(chunk.uses, wait);
  if (chunk.uses || (!chunk.pool->home && chunk.pool->recording)) return false;
  finish(chunk);
  return true;
}

void DeviceAllocator::finish(Chunk& chunk) noexcept {
  Pool& pool = *chunk.pool;
  if (!pool.home) {
    if (pool.stream) rt::note_freed(chunk.data, chunk.bytes, pool.stream);
    chunk.freed_at = ++pool.frees;
    if (!pool.stream) pool.passed = pool.frees;
  } else if (pool.life == Pool::Life::recording) {
    rt::note_freed(chunk.data, chunk.bytes, pool.home->stream);
  } else if (pool.life == Pool::Life::recorded) {
    pool.held += chunk.bytes;
    stats_.in_use += static_cast<int64_t>(chunk.bytes);
    stats_.given += static_cast<int64_t>(chunk.bytes);
  }
  chunks_.put(chunk);
}

void DeviceAllocator::add_pending(Chunk& chunk) noexcept {
  chunk.next_pending = nullptr;
  (last_pending_ ? last_pending_->next_pending : pending_) = &chunk;
  last_pending_ = &chunk;
}

void DeviceAllocator::poll(Effort effort) noexcept {
  Chunk* chunk = pending_;
  Chunk* rest = nullptr;
  pending_ = last_pending_ = nullptr;
  while (chunk) {
    Chunk* next = chunk->next_pending;
    if (!settle(*chunk, effort == Effort::wait)) {
      add_pending(*chunk);
      if (effort == Effort::first) {
        rest = next;
        break;
      }
    }
    chunk = next;
  }
  for (; rest; rest = chunk) {  // untouched, in their order
    chunk = rest->next_pending;
    add_pending(*rest);
  }
  poll_graphs(effort == Effort::wait);
  if (effort == Effort::wait)
    for (const auto& pool : pools_) pass_fence(*pool, true);
}

// ---- graphs

Pool& DeviceAllocator::begin_capture(Pool& stream) {
  const std::lock_guard lock(mutex_);
  poll_graphs(false);
  // What the stream freed so far can be waited for only by an event from before it records.
  if (stream.fence_at < stream.frees) gpu_.events().put(std::exchange(stream.fence, nullptr));
  pass_fence(stream, false);
  Pool& graph = *graphs_.emplace_back(std::make_unique<Pool>());
  graph.home = &stream;
  stream.recording = &graph;
  return graph;
}

// What the graph has taken and its step gave back is the graph's, as a planned arena would be.
void DeviceAllocator::end_capture(Pool& stream) noexcept {
  const std::lock_guard lock(mutex_);
  Pool& graph = *std::exchange(stream.recording, nullptr);
  graph.life = Pool::Life::recorded;
  for (const FreeSet& set : graph.free)
    for (const Chunk* chunk : set) graph.held += chunk->bytes;
  stats_.in_use += static_cast<int64_t>(graph.held);
  stats_.given += static_cast<int64_t>(graph.held);
  stats_.peak = std::max(stats_.peak, stats_.in_use);
}

void DeviceAllocator::add_replay(Pool& graph, Pool& stream) {
  const std::lock_guard lock(mutex_);
  for (const Use* use = graph.replays; use; use = use->next)
    if (use->by == &stream) return;
  graph.replays = new Use{&stream, nullptr, graph.replays, true};
}

void DeviceAllocator::retire(Pool& graph) noexcept {
  const std::lock_guard lock(mutex_);
  graph.life = Pool::Life::gone;
  stats_.in_use -= static_cast<int64_t>(graph.held);
  stats_.given -= static_cast<int64_t>(graph.held);
  for (Use* use = graph.replays; use; use = use->next) start(*use);
  graph.next = gone_graphs_;
  gone_graphs_ = &graph;
  poll_graphs(false);
}

void DeviceAllocator::poll_graphs(bool wait) noexcept {
  for (Pool** link = &gone_graphs_; *link;) {
    Pool& graph = **link;
    drop_over(graph.replays, wait);
    if (graph.replays) {
      link = &graph.next;
      continue;
    }
    *link = graph.next;
    hand_over(graph);
  }
}

// All chunks of a graph that is gone go to the stream that recorded it; if that records another,
// which would keep it from saying what has passed, to the default stream.
void DeviceAllocator::hand_over(Pool& graph) noexcept {
  Pool& to = graph.home->recording ? *pools_.front() : *graph.home;
  for (Segment* segment = chunks_.segments(); segment; segment = segment->next)
    for (Chunk* c = segment->first; c; c = c->next)
      if (c->pool == &graph && c->state != ChunkState::free) c->pool = &to;
  for (const FreeSet& set : graph.free) {
    while (!set.empty()) {
      Chunk& chunk = **set.begin();
      chunks_.take(chunk);
      chunk.pool = &to;
      finish(chunk);
    }
  }
  std::erase_if(graphs_, [&](const auto& kept) { return kept.get() == &graph; });
}

}  // namespace tinytorch::cuda
