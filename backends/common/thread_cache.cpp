// The caching allocator's threads: how their free lists come, go, exchange surplus and are cut from
// slabs, and their statistics.
#include <pthread.h>

#include <algorithm>
#include <new>

#include "backends/common/caching_allocator_impl.h"

namespace tinytorch {

constinit thread_local ThreadCache this_thread_cache{};
static_assert(sizeof(ThreadCache) <= 256);  // the static TLS space that a dlopen finds is small

CachingAllocator::CachingAllocator() {
  // A fork while another thread holds the lock would leave it locked in the child.
  pthread_atfork([] { host().mutex_.lock(); }, [] { host().mutex_.unlock(); },
                 [] {
                   CachingAllocator& self = host();
                   ThreadCache* mine = &this_thread_cache;
                   // The other threads are gone, and their stacks will be used again: keep their
                   // counts, forget their lists.
                   for (ThreadCache* t = self.threads_; t;) {
                     ThreadCache* next = t->next;
                     if (t != mine) self.leave(*t);
                     t = next;
                   }
                   self.mutex_.unlock();
                 });
}

CachingAllocator& CachingAllocator::host() {
  static CachingAllocator* one = new CachingAllocator;
  return *one;
}

// ---- threads

void CachingAllocator::enter(ThreadCache& cache) noexcept {
  cache.previous = nullptr;
  cache.next = threads_;
  if (threads_) threads_->previous = &cache;
  threads_ = &cache;
  cache.state = ThreadCache::kRegistered;
  for (int bin = 0; bin < kSmallBins; ++bin) {
    cache.room[bin] = kPlainAlloc ? 0 : static_cast<uint8_t>(list_limit(bin));
  }
  static thread_local ThreadEnd end;
  (void)&end;
}

void CachingAllocator::leave(ThreadCache& cache) noexcept {
  fold(cache);
  given_ += cache.given.get();
  allocs_ += cache.allocs.get();
  frees_ += cache.frees.get();
  cache.given.set(0);
  cache.allocs.set(0);
  cache.frees.set(0);
  (cache.previous ? cache.previous->next : threads_) = cache.next;
  if (cache.next) cache.next->previous = cache.previous;
}

CachingAllocator::ThreadEnd::~ThreadEnd() {
  CachingAllocator& self = host();
  ThreadCache& cache = this_thread_cache;
  const std::lock_guard lock(self.mutex_);
  for (int bin = 0; bin < kSmallBins; ++bin) {
    self.hand_back(cache, bin, 0);
    cache.room[bin] = 0;
  }
  self.leave(cache);
  cache.state = ThreadCache::kEnded;
}

// Moves what a thread has in use to the common count. While nothing is folded, in_use_ stays as it
// is and no thread exceeds its own peak, so in_use_ plus all these peaks is never less than what
// was in use at any moment; for one thread it is equal.
void CachingAllocator::fold(ThreadCache& cache) noexcept {
  int64_t peak = in_use_;
  for (ThreadCache* t = threads_; t; t = t->next) peak += t->peak.get();
  if (cache.state == ThreadCache::kEnded) peak += cache.peak.get();
  peak_ = std::max(peak_, peak);
  in_use_ += cache.in_use.get();
  cache.in_use.set(0);
  cache.peak.set(0);
  if (cache.state != ThreadCache::kEnded) return;
  given_ += cache.given.get();
  allocs_ += cache.allocs.get();
  frees_ += cache.frees.get();
  cache.given.set(0);
  cache.allocs.set(0);
  cache.frees.set(0);
}

MemoryStats CachingAllocator::sum() const noexcept {
  MemoryStats s;
  s.in_use = in_use_;
  s.given = given_;
  s.allocs = allocs_;
  s.frees = frees_;
  int64_t peak = in_use_;
  for (const ThreadCache* t = threads_; t; t = t->next) {
    s.in_use += t->in_use.get();
    peak += t->peak.get();
    s.given += t->given.get();
    s.allocs += t->allocs.get();
    s.frees += t->frees.get();
  }
  s.peak = std::max(peak_, peak);
  s.reserved = reserved_;
  s.peak_reserved = peak_reserved_;
  s.cached = std::max<int64_t>(0, reserved_ - s.given);
  s.raw_allocs = raw_allocs_;
  s.raw_frees = raw_frees_;
  s.cache_hits = s.allocs - misses_;
  return s;
}

MemoryStats CachingAllocator::stats() const {
  const std::lock_guard lock(mutex_);
  return sum();
}

void CachingAllocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  for (ThreadCache* t = threads_; t; t = t->next) {
    t->peak.set(t->in_use.get());
  }
  peak_ = sum().in_use;
  peak_reserved_ = reserved_;
}

// ---- central lists and slabs

void CachingAllocator::push_batch(int bin, SmallBlock* head, uint32_t count) noexcept {
  head->count = count;
  head->next_batch = batches_[bin];
  batches_[bin] = head;
}

void CachingAllocator::hand_back(ThreadCache& cache, int bin, uint32_t keep) noexcept {
  SmallBlock** end = &cache.heads[bin];
  uint32_t kept = 0;
  for (; kept < keep && *end; ++kept) end = &(*end)->next;
  SmallBlock* surplus = *end;
  if (!surplus) return;
  *end = nullptr;
  const uint32_t limit = list_limit(bin);
  push_batch(bin, surplus, limit - cache.room[bin] - kept);
  cache.room[bin] = static_cast<uint8_t>(limit - kept);
}

// A batch of blocks that were never used; null without memory.
SmallBlock* CachingAllocator::cut_slab(int bin) noexcept {
  const uint32_t size = static_cast<uint32_t>(small_bytes(bin));
  if (!slabs_ || slabs_->cut + size > kSlabBytes) {
    void* data = take_raw(kSlabBytes, kSlabBytes);
    if (!data) return nullptr;
    slabs_ = new (data) Slab{slabs_, kBlockAlignment, 0};
  }
  const uint32_t fits = (static_cast<uint32_t>(kSlabBytes) - slabs_->cut) / size;
  const uint32_t count = std::min({fits, list_limit(bin) / 2, std::max<uint32_t>(4, 4096 / size)});
  char* at = reinterpret_cast<char*>(slabs_) + slabs_->cut;
  slabs_->cut += count * size;
  SmallBlock* head = nullptr;
  for (uint32_t i = count; i-- > 0;) {
    SmallBlock* block = reinterpret_cast<SmallBlock*>(at + i * size);
    block->next = head;
    head = block;
  }
  head->count = count;
  return head;
}

// Slabs all of whose blocks lie in central lists, taken out of these lists: a chain to give to the
// system.
FreeBlock* CachingAllocator::take_empty_slabs() noexcept {
  const auto slab_of = [](const SmallBlock* block) {
    return reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(block) & ~(kSlabBytes - 1));
  };
  for (Slab* slab = slabs_; slab; slab = slab->next) slab->free_bytes = kBlockAlignment;
  for (int bin = 0; bin < kSmallBins; ++bin) {
    for (const SmallBlock* batch = batches_[bin]; batch; batch = batch->next_batch) {
      for (const SmallBlock* b = batch; b; b = b->next)
        slab_of(b)->free_bytes += static_cast<uint32_t>(small_bytes(bin));
    }
  }
  for (int bin = 0; bin < kSmallBins; ++bin) {
    SmallBlock* batch = batches_[bin];
    batches_[bin] = nullptr;
    while (batch) {
      SmallBlock *next_batch = batch->next_batch, *kept = nullptr;
      uint32_t count = 0;
      for (SmallBlock *b = batch, *next; b; b = next) {
        next = b->next;
        if (slab_of(b)->free_bytes == slab_of(b)->cut) continue;
        b->next = kept;
        kept = b;
        ++count;
      }
      if (kept) push_batch(bin, kept, count);
      batch = next_batch;
    }
  }
  FreeBlock* chain = nullptr;
  for (Slab** link = &slabs_; *link;) {
    Slab* slab = *link;
    if (slab->free_bytes != slab->cut) {
      link = &slab->next;
      continue;
    }
    *link = slab->next;
    chain = new (slab) FreeBlock{chain, kSlabBytes};
  }
  return chain;
}

}  // namespace tinytorch
