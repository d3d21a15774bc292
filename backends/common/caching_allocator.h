// The allocator of host memory. Small blocks come from free lists of the thread and cost a few
// nanoseconds; larger ones from a shared cache of size classes. In a steady training step nothing
// is taken from the system.
//   Small (up to 1 KiB): bins of 64 bytes, cut from slabs. A thread keeps a bounded number of free
//   blocks per bin and hands surplus, half a list at a time, to a central list; so memory that one
//   thread takes and another frees stays bounded. A thread that ends hands back all. Large: at most
//   64 MB plus the high-water mark of the memory in large blocks stay cached; beyond it those go
//   first whose size was not asked for the longest time.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include <tinytorch/backend/backend.h>

#include "backends/common/block_cache.h"
#include "backends/common/host_memory.h"

namespace tinytorch {

// A free small block. The first of a batch in a central list also knows how many there are and the
// next batch.
struct SmallBlock {
  SmallBlock* next;
  SmallBlock* next_batch;
  uint32_t count;
};

// A counter that one thread writes and others read.
class OwnCounter {
 public:
  int64_t get() const { return value_.load(std::memory_order_relaxed); }
  void set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(int64_t value) { set(get() + value); }

 private:
  std::atomic<int64_t> value_{0};
};

// One thread's free lists and counters: plain data without a destructor, so that it can be used
// until the thread is gone.
struct ThreadCache {
  SmallBlock* heads[kSmallBins];
  uint8_t room[kSmallBins];  // how many more blocks the list takes
  OwnCounter in_use, peak;   // since the last fold
  OwnCounter given, allocs, frees;
  ThreadCache *previous, *next;  // all registered threads
  enum : uint8_t { kNew, kRegistered, kEnded } state;
};

class CachingAllocator final : public Allocator {
 public:
  // The one of this process; never destroyed. Its events bear the name of device "cpu:0".
  static CachingAllocator& host();

  void record_use(MemoryBlock&, Stream&) override {}  // streams of the host run at once
  MemoryStats stats() const override;
  void reset_peak() override;
  void trim(size_t keep) override;
  void set_limit(size_t bytes) override;

 protected:
  MemoryBlock allocate_block(size_t bytes, Stream& stream) override;
  void free_block(MemoryBlock block, Stream& stream) noexcept override;

 private:
  struct Slab;
  struct ThreadEnd;

  CachingAllocator();
  TT_COLD MemoryBlock allocate_slowly(ThreadCache& cache, size_t bytes);
  TT_COLD void free_slowly(ThreadCache& cache, MemoryBlock block) noexcept;
  // With mutex_ held from here on.
  void* take_small(ThreadCache& cache, int bin);
  void* take_large(size_t bytes);
  void put_large(void* data, size_t bytes) noexcept;
  void* take_raw(size_t bytes, size_t alignment) noexcept;
  void give_raw(FreeBlock* chain) noexcept;
  SmallBlock* cut_slab(int bin) noexcept;
  void push_batch(int bin, SmallBlock* head, uint32_t count) noexcept;
  void hand_back(ThreadCache& cache, int bin, uint32_t keep) noexcept;
  FreeBlock* take_empty_slabs() noexcept;
  void enter(ThreadCache& cache) noexcept;
  void leave(ThreadCache& cache) noexcept;
  void fold(ThreadCache& cache) noexcept;
  MemoryStats sum() const noexcept;

  mutable std::mutex mutex_;
  SmallBlock* batches_[kSmallBins] = {};
  Slab* slabs_ = nullptr;  // the first is the one being cut
  BlockCache large_;
  ThreadCache* threads_ = nullptr;
  // Of threads that ended, and what was folded of living ones.
  int64_t in_use_ = 0, peak_ = 0, given_ = 0, allocs_ = 0, frees_ = 0;
  int64_t reserved_ = 0, peak_reserved_ = 0, raw_allocs_ = 0, raw_frees_ = 0, misses_ = 0;
  int64_t large_given_ = 0, large_high_ = 0;
  size_t limit_ = 0;
};

}  // namespace tinytorch
