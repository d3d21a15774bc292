// Shared memory of the running block: the dynamic part, then the static arrays as threads reach
// them, each with a red zone before and behind it, all NaN when a block starts. Arrays are aligned
// as their type asks for and no better, as the device may do it.
#pragma once

#include <cstddef>
#include <string>

#include "tests/cuda_twin/shim/calls.h"

namespace tinytorch::twin {

inline constexpr size_t kStaticSharedLimit = size_t{48} << 10;
inline constexpr size_t kSharedLimit = size_t{227} << 10;

class SharedMemory {
 public:
  SharedMemory();
  void start_block(size_t dynamic_bytes);
  // The array that a thread of this block has added, or null.
  void* find(const void* key) const;
  // Why it cannot be had, or empty.
  std::string add(const void* key, size_t bytes, size_t alignment, const char* name, Site);
  void* dynamic() const { return base_ + kDynamicAt; }
  // Which red zone was written into, or empty. Ends the block.
  std::string end_block();

  // For ThreadSanitizer: addresses that stand for a barrier of this block; new in each block.
  static constexpr int kTags = 1024;
  void* tag(int i) {
    in_use_ = true;
    return base_ + i * 8;
  }

 private:
  static constexpr size_t kZone = 64;
  static constexpr size_t kDynamicAt = kTags * 8 + kZone + 16;  // 16 bytes aligned, no more
  static constexpr int kMostArrays = 64;
  struct Array {
    const void* key;
    const char* name;
    Site site;
    size_t at, bytes;
  };
  void zone(size_t at, size_t bytes);
  bool zone_broken(size_t at, size_t bytes) const;

  char* base_;
  size_t dynamic_bytes_ = 0, end_ = 0, static_bytes_ = 0;
  bool in_use_ = false, has_zones_ = false;
  int count_ = 0;
  Array arrays_[kMostArrays];
};

}  // namespace tinytorch::twin
