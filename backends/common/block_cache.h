// Free blocks by size class, and what was taken from the system. Plain bookkeeping without a lock and without knowledge of where
// memory comes from: the allocator that owns it brings both. A stream-aware allocator keeps one of these per stream.
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
  // Takes blocks out, the largest first, until at most `keep` bytes stay; a chain for the caller to give to the system.
  FreeBlock* take_down_to(size_t keep) {
    FreeBlock* chain = nullptr;
    for (int i = kSizeClasses - 1; i >= 0 && bytes_ > keep; --i) {
      while (lists_[i] && bytes_ > keep) {
        FreeBlock* block = lists_[i];
        lists_[i] = block->next;
        bytes_ -= block->bytes;
        block->next = chain;
        chain = block;
      }
    }
    return chain;
  }
  size_t bytes() const { return bytes_; }

 private:
  FreeBlock* lists_[kSizeClasses] = {};
  size_t bytes_ = 0;
};

}  // namespace tinytorch
