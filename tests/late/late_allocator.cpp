// Blocks, their caches and their stream-ordered frees. Every function holds the scheduler's mutex.
#include "tests/late/late_allocator.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "tests/late/late_stream.h"

namespace tinytorch::late {

namespace {

constexpr int kPoison = 0xFF;
constexpr uint64_t kNoQueue = ~uint64_t{0};
constexpr size_t kGuard = 64;  // bytes behind every block that nobody may write

using Lock = std::lock_guard<std::recursive_mutex>;

// Eight sizes to a power of two, so that caches hit.
size_t round_up(size_t bytes) {
  bytes += kGuard;
  const size_t step = std::max<size_t>(256, std::bit_floor(bytes) / 8);
  return (bytes + step - 1) / step * step;
}

}  // namespace

// The free of one block: one item for each queue that may use the block; the last one to run gives
// the block away.
class LateAllocator::Release {
 public:
  Release(LateAllocator& allocator, Slot& slot) : allocator_(allocator), slot_(slot) {
    add_queue();
  }

  void add_use(uint64_t queue) {
    if (std::find(uses_.begin(), uses_.end(), queue) != uses_.end()) return;
    add_queue();
    uses_.push_back(queue);
  }

  // Puts the items into the queues. From here on this object belongs to them.
  void give_to_queues(Queue& freed_by) {
    bytes_ = slot_.bytes;
    const int before = slot_.releasing++;
    push(freed_by);
    for (uint64_t id : uses_)
      if (Queue* queue = id == freed_by.id ? nullptr : scheduler().find(id)) push(*queue);
    const bool ordered = left_ == 1 && (before == 0 || slot_.order == freed_by.id);
    slot_.order = ordered ? freed_by.id : 0;
  }

 private:
  struct Part final : Item {
    explicit Part(Release& release) : release(release) {}
    void run() override { release.run(); }
    void done() override {
      if (release.left_ == 0) delete &release;
    }
    Release& release;
  };

  void add_queue() { parts_.push_back(std::make_unique<Part>(*this)); }
  void push(Queue& queue) { scheduler().push(queue, parts_[left_++].get()); }

  void run() {
    if (--left_ != 0) return;
    allocator_.finish_life(slot_, bytes_);
    --slot_.releasing;
  }

  LateAllocator& allocator_;
  Slot& slot_;
  size_t bytes_ = 0;
  size_t left_ = 0;
  std::vector<uint64_t> uses_;  // queues beside the one that frees
  std::vector<std::unique_ptr<Part>> parts_;
};

LateAllocator::LateAllocator(const char* device, size_t bytes) : device_(device), arena_(bytes) {}
LateAllocator::~LateAllocator() = default;

MemoryBlock LateAllocator::allocate_block(size_t bytes, Stream& stream) {
  const Lock lock(scheduler().mutex);
  const bool workspace = scheduler().running();  // of a kernel that runs now, taken without limit:
                                                 // its launch succeeded long ago
  if (!workspace) {
    ++scheduler().counters.allocations;
    if (fail_in_ != 0 && --fail_in_ == 0) refuse(bytes, "the test asked for this failure");
  }
  if (bytes > arena_.bytes()) refuse(bytes, "more than the device has");
  // A workspace is used at once, not in the order of its stream: a block whose free has not run yet
  // will not do.
  const uint64_t queue = workspace ? kNoQueue : queue_of(stream).id;
  const size_t given = round_up(bytes);

  Slot* slot = take_cached(given, queue);
  if (slot) ++stats_.cache_hits;
  if (!slot) slot = take_fresh(given, workspace);
  if (!slot) {
    if (!workspace) scheduler().run_all();  // frees that have not run hold memory
    drop_cached(0);
    slot = take_fresh(given, workspace);
  }
  if (!slot) refuse(bytes, limit_ != 0 ? "over the limit" : "the device is full");

  give_out(*slot, bytes, queue);
  return {workspace ? arena_.real(slot->at) : slot->at, bytes};
}

void LateAllocator::give_out(Slot& slot, size_t bytes, uint64_t queue) {
  try {
    slot.release = std::make_unique<Release>(*this, slot);
    slot.release->add_use(queue);
  } catch (...) {
    put_back(slot);
    throw;
  }
  slot.live = true;
  slot.bytes = bytes;
  ++stats_.allocs;
  stats_.in_use += static_cast<int64_t>(bytes);
  stats_.given += static_cast<int64_t>(slot.given);
  stats_.peak = std::max(stats_.peak, stats_.in_use);
}

void LateAllocator::free_block(MemoryBlock block, Stream& stream) noexcept {
  const Lock lock(scheduler().mutex);
  const bool workspace = scheduler().running();
  Slot* slot = slot_of(workspace ? arena_.device_address(block.data) : block.data);
  if (!slot || !slot->live) {
    ++scheduler().counters.bad_frees;
    return;
  }
  if (Tape* tape = workspace ? nullptr : late(stream).tape()) {  // its replays will use the block
    tape->blocks.push_back(block);
    return;
  }
  slot->live = false;
  ++stats_.frees;
  stats_.in_use -= static_cast<int64_t>(slot->bytes);
  stats_.given -= static_cast<int64_t>(slot->given);
  put_back(*slot);
  if (workspace) {
    slot->release.reset();
    finish_life(*slot, slot->bytes);
  } else {
    slot->release.release()->give_to_queues(queue_of(stream));
  }
}

void LateAllocator::record_use(MemoryBlock& block, Stream& stream) {
  const Lock lock(scheduler().mutex);
  Slot* slot = slot_of(block.data);
  if (!slot || !slot->live)
    throw DeviceError(std::string("[record_use] not a live block of ") + device_);
  slot->release->add_use(queue_of(stream).id);
}

MemoryStats LateAllocator::stats() const {
  const Lock lock(scheduler().mutex);
  return stats_;
}

void LateAllocator::reset_peak() {
  const Lock lock(scheduler().mutex);
  stats_.peak = stats_.in_use;
  stats_.peak_reserved = stats_.reserved;
}

void LateAllocator::trim(size_t keep) {
  const Lock lock(scheduler().mutex);
  if (static_cast<size_t>(stats_.cached) <= keep) return;
  scheduler().run_all();
  drop_cached(keep);
}

void LateAllocator::set_limit(size_t bytes) {
  const Lock lock(scheduler().mutex);
  limit_ = bytes;
}

char* LateAllocator::real(const void* device_address, int64_t bytes, const char* what) const {
  const Slot* slot = slot_of(device_address);
  const auto* begin = static_cast<const char*>(device_address);
  if (!slot || !slot->live || bytes > static_cast<int64_t>(slot->bytes) - (begin - slot->at))
    throw DeviceError(std::string("[") + what + "] " + std::to_string(bytes) +
                      " bytes were named that are not inside one live " + "block of " + device_);
  return arena_.real(device_address);
}

// ---- slots

LateAllocator::Slot* LateAllocator::take_cached(size_t given, uint64_t queue) {
  const auto list = cached_.find(given);
  if (list == cached_.end()) return nullptr;
  for (Slot** link = &list->second; *link; link = &(*link)->next) {
    Slot* slot = *link;
    if (slot->releasing != 0 && slot->order != queue) continue;
    *link = slot->next;
    stats_.cached -= static_cast<int64_t>(given);
    return slot;
  }
  return nullptr;
}

LateAllocator::Slot* LateAllocator::take_fresh(size_t given, bool ignore_limit) {
  if (!ignore_limit && limit_ != 0 && static_cast<size_t>(stats_.reserved) + given > limit_)
    return nullptr;
  auto slot = std::make_unique<Slot>();
  cached_.try_emplace(given, nullptr);  // so that a free need not
  slot->at = arena_.take(given);
  if (!slot->at) return nullptr;
  slot->given = given;
  std::memset(arena_.real(slot->at), kPoison, given);
  Slot* taken = slot.get();
  slots_[taken->at] = std::move(slot);
  ++stats_.raw_allocs;
  stats_.reserved += static_cast<int64_t>(given);
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  emit({.kind = EventKind::raw_alloc,
        .name = "late",
        .device = device_,
        .pointer = taken->at,
        .bytes = static_cast<int64_t>(given)});
  return taken;
}

void LateAllocator::put_back(Slot& slot) noexcept {
  Slot*& head = cached_.find(slot.given)->second;
  slot.next = head;
  head = &slot;
  stats_.cached += static_cast<int64_t>(slot.given);
}

void LateAllocator::drop_cached(size_t keep) {
  for (auto& [given, head] : cached_)
    for (Slot** link = &head; *link && static_cast<size_t>(stats_.cached) > keep;) {
      Slot* slot = *link;
      if (slot->releasing != 0) {
        link = &slot->next;
        continue;
      }
      *link = slot->next;
      arena_.give(slot->at, given);
      ++stats_.raw_frees;
      stats_.cached -= static_cast<int64_t>(given);
      stats_.reserved -= static_cast<int64_t>(given);
      emit({.kind = EventKind::raw_free,
            .name = "late",
            .device = device_,
            .pointer = slot->at,
            .bytes = static_cast<int64_t>(given)});
      slots_.erase(slot->at);
    }
}

LateAllocator::Slot* LateAllocator::slot_of(const void* device_address) const {
  auto after = slots_.upper_bound(static_cast<const char*>(device_address));
  if (after == slots_.begin()) return nullptr;
  Slot* slot = std::prev(after)->second.get();
  return static_cast<const char*>(device_address) < slot->at + slot->given ? slot : nullptr;
}

// Nothing queued uses the slot any more: looks whether its guard is whole, and poisons it.
void LateAllocator::finish_life(Slot& slot, size_t bytes) {
  const auto* real = reinterpret_cast<const unsigned char*>(arena_.real(slot.at));
  if (std::any_of(real + bytes, real + slot.given, [](unsigned char c) { return c != kPoison; }))
    ++scheduler().counters.overruns;
  std::memset(arena_.real(slot.at), kPoison, slot.given);
}

void LateAllocator::refuse(size_t bytes, const char* why) const {
  throw OutOfMemoryError(std::string("[allocate] ") + std::to_string(bytes) + " bytes on " +
                         device_ + ": " + why + "; in use " + std::to_string(stats_.in_use) +
                         ", reserved " + std::to_string(stats_.reserved) + ", limit " +
                         std::to_string(limit_));
}

}  // namespace tinytorch::late
