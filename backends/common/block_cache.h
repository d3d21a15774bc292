// Free blocks by size class, and what was taken from the system. Plain bookkeeping without a lock
// and without knowledge of where memory comes from: the allocator that owns it brings both. A
// stream-aware allocator keeps one of these per stream.
#pragma once

#include <cstdint>

#include "backends/common/size_classes.h"

namespace tinytorch {

// Lies in the free block itself.
struct FreeBlock {
  FreeBlock* next;
  size_t bytes;
};

class BlockCache {
 public:
  // A free block of the class, or null.
  FreeBlock* take(SizeClass size) {
    used_[size.index] = ++clock_;
    FreeBlock* block = lists_[size.index];
    if (block) {
      lists_[size.index] = block->next;
      bytes_ -= size.bytes;
    }
    return block;
  }
  void put(void* data, SizeClass size) {
    FreeBlock* block = static_cast<FreeBlock*>(data);
    block->bytes = size.bytes;
    block->next = lists_[size.index];
    lists_[size.index] = block;
    bytes_ += size.bytes;
  }
  // Takes blocks out until at most `keep` bytes stay, first those of sizes that nobody asked for
  // the longest time: a program that repeats itself keeps what it needs. A chain for the caller to
  // give to the system.
  FreeBlock* take_down_to(size_t keep) {
    FreeBlock* chain = nullptr;
    while (bytes_ > keep) {
      FreeBlock*& list = lists_[oldest()];
      while (list && bytes_ > keep) {
        FreeBlock* block = list;
        list = block->next;
        bytes_ -= block->bytes;
        block->next = chain;
        chain = block;
      }
    }
    return chain;
  }
  size_t bytes() const { return bytes_; }

 private:
  // The class with free blocks whose last request lies furthest back.
  int oldest() const {
    int found = -1;
    for (int i = 0; i < kSizeClasses; ++i) {
      if (lists_[i] && (found < 0 || used_[i] < used_[found])) found = i;
    }
    return found;
  }

  FreeBlock* lists_[kSizeClasses] = {};
  uint64_t used_[kSizeClasses] = {};
  uint64_t clock_ = 0;  // requests so far
  size_t bytes_ = 0;
};

}  // namespace tinytorch
