// The caching allocator of a late device. A block's free is an item of every queue that may still
// use the block; when the last of them has run, the block is filled with 0xFF (NaN in floating
// dtypes, -1 in integers) and any stream may get it. The stream that freed it may get it before
// that, if no other stream is involved: its order suffices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "tests/late/arena.h"
#include "tests/late/scheduler.h"

namespace tinytorch::late {

class LateAllocator final : public Allocator {
 public:
  LateAllocator(const char* device, size_t bytes);
  ~LateAllocator() override;

  void record_use(MemoryBlock& block, Stream& stream) override;
  MemoryStats stats() const override;
  void reset_peak() override;
  void trim(size_t keep) override;
  void set_limit(size_t bytes) override;

  // The real address of `bytes` bytes at a device address, which must lie inside one live block.
  // Error names `what` otherwise.
  char* real(const void* device_address, int64_t bytes, const char* what) const;
  bool contains(const void* address) const { return arena_.contains(address); }
  const char* device() const { return device_; }
  size_t bytes() const { return arena_.bytes(); }
  void fail_allocation(uint64_t k) { fail_in_ = k; }

 protected:
  MemoryBlock allocate_block(size_t bytes, Stream& stream) override;
  void free_block(MemoryBlock block, Stream& stream) noexcept override;

 private:
  class Release;
  struct Slot {
    char* at = nullptr;  // device address
    size_t given = 0, bytes = 0;
    bool live = false;
    std::unique_ptr<Release>
        release;         // of a live block: its free, made in advance because free() must not fail
    int releasing = 0;   // frees that have not run yet
    uint64_t order = 0;  // the one queue of all those, or 0
    Slot* next = nullptr;  // in its list of free slots
  };

  Slot* take_cached(size_t given, uint64_t queue);
  Slot* take_fresh(size_t given, bool ignore_limit);  // null if there is no room
  void give_out(Slot& slot, size_t bytes, uint64_t queue);
  void put_back(Slot& slot) noexcept;
  void drop_cached(size_t keep);
  void finish_life(Slot& slot, size_t bytes);
  Slot* slot_of(const void* device_address) const;
  [[noreturn]] void refuse(size_t bytes, const char* why) const;

  const char* const device_;
  Arena arena_;
  std::map<const char*, std::unique_ptr<Slot>> slots_;  // by address
  std::map<size_t, Slot*> cached_;                      // by size: the head of a list
  MemoryStats stats_;
  size_t limit_ = 0;
  uint64_t fail_in_ = 0;
};

}  // namespace tinytorch::late
