// Taking and freeing blocks; thread_cache.cpp has the life of the per-thread lists and the
// statistics.
#include "backends/common/caching_allocator.h"

#include <algorithm>
#include <string>

#include <tinytorch/error.h>
#include <tinytorch/profiler.h>

#include "backends/common/caching_allocator_impl.h"

namespace tinytorch {
namespace {

constexpr int64_t kCacheSlack = int64_t{64} << 20;

constexpr size_t round_up(size_t bytes) {
  return std::max((bytes + kBlockAlignment - 1) / kBlockAlignment, size_t{1}) * kBlockAlignment;
}
// What a block of `bytes` takes of the reserved memory.
TT_INLINE int64_t given_for(size_t bytes) {
  if (kPlainAlloc) return static_cast<int64_t>(round_up(bytes));
  if (bytes <= kSmallMax) return static_cast<int64_t>(small_bytes(small_bin(bytes)));
  return static_cast<int64_t>(size_class(bytes).bytes);
}
TT_INLINE void count_alloc(ThreadCache& cache, size_t bytes, int64_t given) {
  const int64_t in_use = cache.in_use.get() + static_cast<int64_t>(bytes);
  cache.in_use.set(in_use);
  if (in_use > cache.peak.get()) cache.peak.set(in_use);
  cache.given.add(given);
  cache.allocs.add(1);
}
TT_INLINE void count_free(ThreadCache& cache, size_t bytes, int64_t given) {
  cache.in_use.add(-static_cast<int64_t>(bytes));
  cache.given.add(-given);
  cache.frees.add(1);
}

void emit_raw(EventKind kind, const void* data, size_t bytes) noexcept {
  if (TT_LIKELY(!observed())) return;
  Event event;
  event.kind = kind;
  event.name = kind == EventKind::raw_alloc ? "raw_alloc" : "raw_free";
  event.device = "cpu:0";
  event.pointer = data;
  event.bytes = static_cast<int64_t>(bytes);
  emit(event);
}

[[noreturn]] TT_COLD void throw_out_of_memory(size_t asked, const MemoryStats& stats,
                                              size_t limit) {
  throw OutOfMemoryError(
      "[alloc] out of memory on cpu:0: " + std::to_string(asked) + " bytes asked for; in use " +
      std::to_string(stats.in_use) + ", reserved " + std::to_string(stats.reserved) + ", cached " +
      std::to_string(stats.cached) +
      (limit ? ", limit " + std::to_string(limit) : std::string(", no limit set")) + " (bytes)");
}

}  // namespace

// ---- the quick way: nothing but this thread's data

MemoryBlock CachingAllocator::allocate_block(size_t bytes, Stream&) {
  ThreadCache& cache = thread_cache();
  if (TT_LIKELY(bytes <= kSmallMax)) {
    const int bin = small_bin(bytes);
    SmallBlock* head = cache.heads[bin];
    if (TT_LIKELY(head != nullptr)) {
      cache.heads[bin] = head->next;
      ++cache.room[bin];
      count_alloc(cache, bytes, static_cast<int64_t>(small_bytes(bin)));
      return {head, bytes};
    }
  }
  return allocate_slowly(cache, bytes);
}

void CachingAllocator::free_block(MemoryBlock block, Stream&) noexcept {
  ThreadCache& cache = thread_cache();
  if (TT_LIKELY(block.bytes <= kSmallMax)) {
    const int bin = small_bin(block.bytes);
    if (TT_LIKELY(cache.room[bin] != 0)) {
      SmallBlock* head = static_cast<SmallBlock*>(block.data);
      head->next = cache.heads[bin];
      cache.heads[bin] = head;
      --cache.room[bin];
      count_free(cache, block.bytes, static_cast<int64_t>(small_bytes(bin)));
      return;
    }
  }
  free_slowly(cache, block);
}

// ---- the shared part

MemoryBlock CachingAllocator::allocate_slowly(ThreadCache& cache, size_t bytes) {
  std::unique_lock lock(mutex_);
  if (cache.state == ThreadCache::kNew) enter(cache);
  void* data = nullptr;
  if (bytes <= kLargestRequest) {
    data = kPlainAlloc          ? take_raw(round_up(bytes), kBlockAlignment)
           : bytes <= kSmallMax ? take_small(cache, small_bin(bytes))
                                : take_large(bytes);
  }
  if (!data) {
    const MemoryStats stats = sum();
    const size_t limit = limit_;
    lock.unlock();
    throw_out_of_memory(bytes, stats, limit);
  }
  count_alloc(cache, bytes, given_for(bytes));
  fold(cache);
  return {data, bytes};
}

void CachingAllocator::free_slowly(ThreadCache& cache, MemoryBlock block) noexcept {
  const std::lock_guard lock(mutex_);
  if (cache.state == ThreadCache::kNew) enter(cache);
  if (kPlainAlloc) {
    FreeBlock* single = static_cast<FreeBlock*>(block.data);
    *single = {nullptr, round_up(block.bytes)};
    give_raw(single);
  } else if (block.bytes <= kSmallMax) {
    const int bin = small_bin(block.bytes);
    SmallBlock* head = static_cast<SmallBlock*>(block.data);
    if (cache.state == ThreadCache::kEnded) {
      push_batch(bin, head, 1);
      head->next = nullptr;
    } else {
      if (cache.room[bin] == 0) hand_back(cache, bin, list_limit(bin) / 2);
      head->next = cache.heads[bin];
      cache.heads[bin] = head;
      --cache.room[bin];
    }
  } else {
    put_large(block.data, block.bytes);
  }
  count_free(cache, block.bytes, given_for(block.bytes));
  fold(cache);
}

void* CachingAllocator::take_small(ThreadCache& cache, int bin) {
  SmallBlock* head = batches_[bin];
  if (head) {
    batches_[bin] = head->next_batch;
  } else {
    head = cut_slab(bin);
    if (!head) return nullptr;
  }
  const uint32_t rest = head->count - 1;
  if (cache.state == ThreadCache::kEnded) {
    if (rest) push_batch(bin, head->next, rest);
  } else {
    cache.heads[bin] = head->next;
    cache.room[bin] = static_cast<uint8_t>(list_limit(bin) - rest);
  }
  return head;
}

void* CachingAllocator::take_large(size_t bytes) {
  const SizeClass size = size_class(bytes);
  void* data = large_.take(size);
  if (!data) data = take_raw(size.bytes, kBlockAlignment);
  if (data) {
    large_given_ += static_cast<int64_t>(size.bytes);
    large_high_ = std::max(large_high_, large_given_);
  }
  return data;
}

void CachingAllocator::put_large(void* data, size_t bytes) noexcept {
  const SizeClass size = size_class(bytes);
  large_.put(data, size);
  large_given_ -= static_cast<int64_t>(size.bytes);
  const size_t most = static_cast<size_t>(kCacheSlack + large_high_);
  if (TT_UNLIKELY(large_.bytes() > most)) give_raw(large_.take_down_to(most));
}

// Null after a second try without caches.
void* CachingAllocator::take_raw(size_t bytes, size_t alignment) noexcept {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (limit_ == 0 || static_cast<size_t>(reserved_) + bytes <= limit_) {
      if (void* data = take_host_memory(bytes, alignment)) {
        reserved_ += static_cast<int64_t>(bytes);
        peak_reserved_ = std::max(peak_reserved_, reserved_);
        ++raw_allocs_;
        ++misses_;
        emit_raw(EventKind::raw_alloc, data, bytes);
        return data;
      }
    }
    if (attempt == 0) {
      give_raw(large_.take_down_to(0));
      give_raw(take_empty_slabs());
    }
  }
  return nullptr;
}

void CachingAllocator::give_raw(FreeBlock* chain) noexcept {
  while (chain) {
    FreeBlock* next = chain->next;
    const size_t bytes = chain->bytes;
    emit_raw(EventKind::raw_free, chain, bytes);
    give_host_memory(chain, bytes);
    reserved_ -= static_cast<int64_t>(bytes);
    ++raw_frees_;
    chain = next;
  }
}

// ---- limits

void CachingAllocator::trim(size_t keep) {
  ThreadCache& cache = thread_cache();
  const std::lock_guard lock(mutex_);
  for (int bin = 0; bin < kSmallBins; ++bin) hand_back(cache, bin, 0);
  if (static_cast<size_t>(sum().cached) <= keep) return;
  give_raw(take_empty_slabs());
  const size_t cached = static_cast<size_t>(sum().cached);
  if (cached > keep)
    give_raw(large_.take_down_to(large_.bytes() - std::min(large_.bytes(), cached - keep)));
}

void CachingAllocator::set_limit(size_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
}

}  // namespace tinytorch
