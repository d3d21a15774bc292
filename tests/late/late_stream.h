// A late stream: what is given to it waits in a queue. Bytes from the host are taken at the call,
// bytes to the host arrive before the call returns; everything else happens when the scheduler
// likes.
#pragma once

#include "tests/late/late_allocator.h"
#include "tests/late/scheduler.h"

namespace tinytorch::late {

// What a stream records instead of queueing it. Blocks that are freed meanwhile stay taken.
struct Tape {
  explicit Tape(LateAllocator& owner) : allocator(owner) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  LateAllocator& allocator;
  std::vector<std::unique_ptr<Item>> items;
  std::vector<MemoryBlock> blocks;
};

class LateStream final : public Stream {
 public:
  LateStream(LateAllocator& allocator, Queue& queue);
  ~LateStream() override;  // finishes its work

  KernelContext& context() override { return context_; }
  void copy(void* dst, const void* src, size_t bytes, CopyKind kind) override;
  void synchronize() override;
  Marker mark() override;
  void wait(Marker marker) override;
  bool query(Marker marker) override;
  double elapsed_us(Marker from, Marker to) override;
  bool begin_capture() override;
  std::unique_ptr<RecordedGraph> end_capture() override;

  Tape* tape() const { return tape_.get(); }  // null: nothing is recorded
  void push(Item* item);
  LateAllocator& allocator() const { return allocator_; }
  Queue& queue() const { return queue_; }

 private:
  void finish();  // all work given so far; throws what it threw
  int64_t time_of(Marker marker) const;

  LateAllocator& allocator_;
  Queue& queue_;
  KernelContext context_;
  std::shared_ptr<Tape> tape_;
};

inline LateStream& late(Stream& stream) { return static_cast<LateStream&>(stream); }
inline Queue& queue_of(Stream& stream) { return late(stream).queue(); }

}  // namespace tinytorch::late
