// The caching allocator of one device. Blocks are chunks of segments (chunks.h), best fit, cut to
// size and merged again. Each stream has a pool of its own, from which it takes back at once what
// it freed; others get that when its work has passed. A block that several streams used waits for
// events. What is allocated during a capture belongs to the recorded graph until the graph is gone
// and its replays are over.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include <tinytorch/backend/backend.h>

#include "backends/cuda/chunks.h"
#include "backends/cuda/events.h"

namespace tinytorch::cuda {

class Gpu;

class DeviceAllocator final : public Allocator {
 public:
  explicit DeviceAllocator(Gpu& gpu) : gpu_(gpu) {}

  void record_use(MemoryBlock& block, Stream& stream) override;
  MemoryStats stats() const override;
  void reset_peak() override;
  void trim(size_t keep) override;  // waits for the device
  void set_limit(size_t bytes) override;

  // Of streams. A pool lives as long as the allocator; a closed one is used again.
  Pool& open_pool(rt::StreamHandle stream);
  void close_pool(Pool& pool) noexcept;  // all its work is done

  // Of graphs. Between begin and end, what the stream allocates comes from the graph's pool.
  Pool& begin_capture(Pool& stream);
  void end_capture(Pool& stream) noexcept;
  void add_replay(Pool& graph, Pool& stream);  // before it is given to the stream
  void retire(Pool& graph) noexcept;           // the graph will not run again

 protected:
  MemoryBlock allocate_block(size_t bytes, Stream& stream) override;
  void free_block(MemoryBlock block, Stream& stream) noexcept override;

 private:
  // With mutex_ held, from here on. allocator.cpp:
  void give_out(Chunk& chunk, size_t given, size_t asked, Pool& by);
  void count_free(const Chunk& chunk) noexcept;
  Chunk* find_free(Pool& by, size_t given);
  Chunk* find_passed(Pool& pool, size_t given, bool small) noexcept;
  // segments.cpp:
  Chunk& take_from_system(Pool& by, size_t given, size_t asked);
  // A free chunk of a new segment; null: no room.
  Chunk* add_segment(Pool& by, size_t given);
  Chunk* try_segment(Pool& by, size_t bytes, bool small);
  rt::Status release_free(size_t keep) noexcept;
  [[noreturn]] void throw_out_of_memory(size_t asked);
  // pending.cpp:
  void pass_fence(Pool& pool, bool wait) noexcept;
  void start(Use& use) noexcept;
  bool over(Use& use, bool wait) noexcept;
  void drop_over(Use*& uses, bool wait) noexcept;
  bool settle(Chunk& chunk, bool wait) noexcept;
  void finish(Chunk& chunk) noexcept;
  void add_pending(Chunk& chunk) noexcept;
  enum class Effort { first, all, wait };
  void poll(Effort effort) noexcept;
  void poll_graphs(bool wait) noexcept;
  void hand_over(Pool& graph) noexcept;

  size_t cached() const { return static_cast<size_t>(stats_.reserved - stats_.given); }

  Gpu& gpu_;
  mutable std::mutex mutex_;
  Chunks chunks_;
  std::vector<std::unique_ptr<Pool>> pools_, graphs_;
  Chunk *pending_ = nullptr, *last_pending_ = nullptr;
  Pool* gone_graphs_ = nullptr;
  MemoryStats stats_;  // without `cached`
  size_t limit_ = 0;
};

inline constexpr size_t kSmallRequest = size_t{1} << 20;  // at most: from small segments

}  // namespace tinytorch::cuda
