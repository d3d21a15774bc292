// Shared by the two source files of the caching allocator.
#pragma once

#include <algorithm>

#include "backends/common/caching_allocator.h"

namespace tinytorch {

// Direct access to the thread-local object costs one instruction with the initial-exec model.
extern thread_local constinit ThreadCache this_thread_cache
    __attribute__((tls_model("initial-exec")));
TT_INLINE ThreadCache& thread_cache() { return this_thread_cache; }

// How many free blocks of a bin a thread keeps: 16 KiB worth, within bounds.
constexpr uint32_t list_limit(int bin) {
  return std::clamp<uint32_t>(static_cast<uint32_t>(16384 / small_bytes(bin)), 16, 250);
}

inline constexpr size_t kSlabBytes = 64 << 10;

// Small blocks are cut from these; it starts with this header and lies on a multiple of its size.
struct CachingAllocator::Slab {
  Slab* next;
  uint32_t cut;         // bytes cut so far, the header included
  uint32_t free_bytes;  // in central lists; only take_empty_slabs counts them
};

// Hands a thread's lists back when it ends; a second object, so that the lists themselves need no
// destructor.
struct CachingAllocator::ThreadEnd {
  ~ThreadEnd();
};

}  // namespace tinytorch
