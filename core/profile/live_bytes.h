// The live bytes of one device, replayed from its events: what a profile and a trace draw. Small
// blocks from before the events began are not known one by one: they are `other` as a whole.
#pragma once

#include <cstdint>
#include <unordered_map>

#include <tinytorch/profile.h>

namespace tinytorch::profiling {

inline int64_t& at(CategoryBytes& bytes, Category c) { return bytes[static_cast<size_t>(c)]; }
inline int64_t at(const CategoryBytes& bytes, Category c) { return bytes[static_cast<size_t>(c)]; }

class LiveBytes {
 public:
  // `before`: of the allocator when the events began.
  explicit LiveBytes(const MemoryStats& before)
      : unlisted_(before.in_use), total_(before.in_use), reserved_(before.reserved) {
    at(bytes_, Category::other) = before.in_use;
  }

  // alloc, free, retag, raw_alloc, raw_free. -> did the live bytes change?
  bool follow(const Event& e);

  const CategoryBytes& bytes() const { return bytes_; }
  int64_t total() const { return total_; }
  int64_t reserved() const { return reserved_; }
  // Freed without having lived: 0 if every event came.
  int64_t missing() const { return unlisted_ < 0 ? -unlisted_ : 0; }

 private:
  struct Block {
    Category category;
    int64_t bytes;
  };
  void add(Category category, int64_t bytes) {
    at(bytes_, category) += bytes;
    total_ += bytes;
  }
  void allocated(const Event& e);
  void freed(const Event& e);

  std::unordered_map<const void*, Block> live_;
  CategoryBytes bytes_{};
  int64_t unlisted_;  // alive since before, and not announced
  int64_t total_;
  int64_t reserved_;
};

}  // namespace tinytorch::profiling
