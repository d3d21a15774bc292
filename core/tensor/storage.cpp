// Bytes and their lifetime. Blocks of some size stand in their device's list, so that an out of
// memory, and a profile that begins, can say what is alive.
#include <algorithm>
#include <array>

#include "core/runtime/dry_run.h"
#include "core/runtime/events.h"
#include "core/runtime/recording.h"
#include "core/tensor/tensor_impl.h"

namespace tinytorch {

namespace {

void list_storage(Storage* s) noexcept {
  DeviceState* d = s->device;
  std::lock_guard lock(d->mutex);
  s->known |= kListed;
  s->previous = nullptr;
  s->next = d->listed;
  if (d->listed) d->listed->previous = s;
  d->listed = s;
}

void unlist_storage(Storage* s) noexcept {
  DeviceState* d = s->device;
  std::lock_guard lock(d->mutex);
  (s->previous ? s->previous->next : d->listed) = s->next;
  if (s->next) s->next->previous = s->previous;
}

uint8_t category_of(const Storage* s) {  // a listed one: its owner may change it meanwhile
  return __atomic_load_n(&s->category, __ATOMIC_RELAXED);
}

void announce(DeviceState* d, Observer& to) {
  std::lock_guard lock(d->mutex);
  for (const Storage* s = d->listed; s; s = s->next) {
    Event e;
    e.kind = EventKind::alloc;
    e.name = name_of(e.kind);
    e.device = d->name.c_str();
    e.category = static_cast<Category>(category_of(s));
    e.pointer = s->block.data;
    e.bytes = static_cast<int64_t>(s->block.bytes);
    e.module = "";
    e.start_ns = e.end_ns = host_clock_ns();
    to.on_event(e);
  }
}
[[maybe_unused]] const bool installed = (announce_blocks = announce, true);

// As emit() has it.
Category ambient_category() {
  const ThreadState& t = thread_state();
  if (t.category) return static_cast<Category>(t.category);
  return usual_category(t.current ? Phase::backward : static_cast<Phase>(t.phase));
}

[[noreturn]] TT_COLD void throw_out_of_memory(DeviceState* d, const std::string& why) {
  throw OutOfMemoryError(why + "\n" + memory_report(d));
}

TT_INLINE Storage* make_storage(DeviceState* d, size_t bytes, Stream* stream) {
  auto* s = new (pool_get(sizeof(Storage))) Storage;
  try {
    s->block = d->allocator->allocate(bytes, *stream);
  } catch (const OutOfMemoryError& e) {
    pool_put(s, sizeof(Storage));
    throw_out_of_memory(d, e.what());
  } catch (...) {
    pool_put(s, sizeof(Storage));
    throw;
  }
  s->device = d;
  s->stream = stream;
  s->category = thread_state().category;
  s->inference = thread_state().inference;
  if (TT_UNLIKELY(bytes >= kListedBytes)) {
    s->category = static_cast<uint8_t>(ambient_category());
    list_storage(s);
  }
  return s;
}

// A size without memory.
Storage* make_dry_storage(DryRun& run, size_t bytes) {
  auto* s = new (pool_get(sizeof(Storage))) Storage;
  s->block = {run.memory, bytes};
  s->device = run.device;
  s->category = static_cast<uint8_t>(ambient_category());
  s->inference = thread_state().inference;
  s->known = kDry;
  run.memory->take(s->category, bytes);
  return s;
}

// On a current stream of the thread's own, which may be that of a capture, or in a dry run.
TT_COLD Storage* new_storage_there(DeviceState* d, size_t bytes) {
  if (DryRun* run = thread_state().dry_run; run && run->device == d)
    return make_dry_storage(*run, bytes);
  Storage* s = make_storage(d, bytes, thread_state().stream);
  if (Recording* r = capturing(); r && r->device == d) {
    s->known |= kRecorded;
    try {
      r->allocated(s, s->block);
    } catch (...) {
      destroy(s);
      throw;
    }
  }
  return s;
}

}  // namespace

Storage* new_storage(DeviceState* d, size_t bytes) {
  if (TT_UNLIKELY(thread_state().stream_device == d)) return new_storage_there(d, bytes);
  return make_storage(d, bytes, d->stream);
}

// A deleter may hold the last handle of other foreign memory, and so on: they run one after the
// other, not nested.
static void release_foreign(ForeignMemory* memory) noexcept {
  static constinit thread_local ForeignMemory* waiting = nullptr;
  static constinit thread_local bool running = false;
  memory->next = waiting;
  waiting = memory;
  if (running) return;
  running = true;
  while (ForeignMemory* one = waiting) {
    waiting = one->next;
    try {
      if (one->deleter) one->deleter();
    } catch (...) {  // a deleter must not throw; there is nobody to tell
    }
    delete one;
  }
  running = false;
}

// -> it had no memory, and is gone.
TT_COLD static bool forget(Storage* s) noexcept {
  if (s->known & kRecorded) Recording::freed(s, s->block);
  if (s->known & kListed) unlist_storage(s);
  if (!(s->known & kDry)) return false;
  static_cast<DryMemory*>(s->block.data)->give(s->category, s->block.bytes);
  s->~Storage();
  pool_put(s, sizeof(Storage));
  return true;
}

void destroy(Storage* s) noexcept {
  if (TT_UNLIKELY(s->known != 0) && forget(s)) return;
  if (TT_UNLIKELY(s->foreign != nullptr)) {
    release_foreign(s->foreign);
  } else {
    s->device->allocator->free(s->block, *s->stream);
  }
  s->~Storage();
  pool_put(s, sizeof(Storage));
}

void destroy(TensorImpl* p) noexcept {
  if (p->link) release_node(p->link);
  release(p->storage);
  pool_put(p, sizeof(TensorImpl));
}

namespace detail {
void release(TensorImpl* p) noexcept {
  if (p->refs.release()) destroy(p);
}
void retain(TensorImpl* p) noexcept { p->refs.retain(); }
}  // namespace detail

void retag(Storage* s, Category category) noexcept {
  if (s->known & kDry) return;  // stays where the dry run has counted it
  __atomic_store_n(&s->category, static_cast<uint8_t>(category), __ATOMIC_RELAXED);
  if (observed()) emit_retag(s->device, s->block.data, s->block.bytes, category);
}

void set_category(const Tensor& tensor, Category category) {
  check_defined("set_category", tensor);
  retag(tensor.impl()->storage, category);
}

void refuse_dry(const char* op, const Storage* s) {
  if (s->known & kDry)
    throw ValueError("[" + std::string(op) +
                     "] a tensor made inside predict_memory, which has no elements, needed: one "
                     "made outside");
}

void record_use(Storage* s, Stream* current) {
  if (DryRun* run = thread_state().dry_run) {
    const bool made_here = (s->known & kDry) && s->block.data == run->memory;
    if (!made_here) {
      refuse_dry("predict_memory", s);
      run->use(s);
    }
    return;
  }
  refuse_dry("launch", s);
  if (Recording* r = thread_state().recording; r && r->device == s->device) {
    if (r->paused) {
      if (!r->binds && (s->known & kRecorded)) r->refuse_without_values(s, s->block);
    } else if (r->used(s, s->block)) {
      s->refs.retain();
    }
  }
  if (s->stream != current && !s->foreign && !s->device->synchronous)
    s->device->allocator->record_use(s->block, *current);
}

std::string memory_report(DeviceState* d) {
  const MemoryStats stats = d->allocator->stats();
  struct Large {
    int64_t bytes;
    uint8_t category;
  };
  constexpr size_t kLargest = 5;
  std::array<Large, kLargest> largest{};
  std::array<int64_t, kCategoryCount> by_category{};
  int64_t listed = 0;
  {
    std::lock_guard lock(d->mutex);
    for (const Storage* s = d->listed; s; s = s->next) {
      const auto bytes = static_cast<int64_t>(s->block.bytes);
      listed += bytes;
      by_category[category_of(s)] += bytes;
      if (bytes > largest.back().bytes) {
        largest.back() = {bytes, category_of(s)};
        std::sort(largest.begin(), largest.end(),
                  [](const Large& a, const Large& b) { return a.bytes > b.bytes; });
      }
    }
  }
  std::string out = d->name + ": in use " + std::to_string(stats.in_use) + " bytes, cached " +
                    std::to_string(stats.cached) + ", reserved " + std::to_string(stats.reserved) +
                    "; by category:";
  for (int i = 0; i < kCategoryCount; ++i) {
    if (by_category[static_cast<size_t>(i)])
      out += std::string(" ") + name_of(static_cast<Category>(i)) + " " +
             std::to_string(by_category[static_cast<size_t>(i)]) + ",";
  }
  out += " small tensors " + std::to_string(std::max<int64_t>(0, stats.in_use - listed)) +
         "; largest tensors:";
  for (const Large& l : largest) {
    if (l.bytes)
      out +=
          " " + std::to_string(l.bytes) + " (" + name_of(static_cast<Category>(l.category)) + ")";
  }
  return out;
}

}  // namespace tinytorch
