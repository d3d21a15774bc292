// The parts of device memory: segments are taken from the system, chunks are cut from them and give
// blocks. Plain bookkeeping on the host without a lock. What a free needs (a chunk's place in a
// list of free ones, in the table, in its segment) is made with the chunk, so that frees neither
// allocate nor fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "backends/cuda/rt.h"

namespace tinytorch::cuda {

struct Chunk;
struct Pool;

// Smallest first, then lowest address first.
struct BySize {
  using is_transparent = void;
  bool operator()(const Chunk* a, const Chunk* b) const noexcept;
  bool operator()(const Chunk* a, size_t bytes) const noexcept;
};
using FreeSet = std::set<Chunk*, BySize>;

// A stream whose work must pass before something is given to others.
struct Use {
  Pool* by = nullptr;
  rt::EventHandle event = nullptr;  // null: not recorded yet
  Use* next = nullptr;
  bool on_heap = false;
};

struct Segment {
  char* data = nullptr;
  size_t bytes = 0;
  bool small = false;  // for small requests
  Chunk* first = nullptr;
  Segment *previous = nullptr, *next = nullptr;
};

// Where free chunks wait: those of one stream, or of one recorded graph.
struct Pool {
  rt::StreamHandle stream = nullptr;  // null: it is closed and all its work is done
  FreeSet free[2];                    // of segments for large and for small requests
  // A stream may get back at once what it freed itself. Others may once the work given before has
  // passed: frees are numbered, and `passed` is the last one known to have passed.
  uint64_t frees = 0, passed = 0;
  rt::EventHandle fence = nullptr;  // an event that was recorded after the free `fence_at`
  uint64_t fence_at = 0;
  Pool* recording = nullptr;  // of a stream in a capture: the pool of the graph that is recorded

  // Of a graph.
  Pool* home = nullptr;  // the stream's that recorded it; null: this is a stream's
  enum class Life : uint8_t { recording, recorded, gone } life = Life::recording;
  size_t held = 0;         // bytes of free chunks, which count as in use once it is recorded
  Use* replays = nullptr;  // by the streams on which it ran
  Pool* next = nullptr;    // of the graphs that are gone and whose replays may still run
};

enum class ChunkState : uint8_t { free, live, pending };  // pending: freed, and uses have to pass

struct Chunk {
  char* data = nullptr;
  size_t bytes = 0, asked = 0;
  ChunkState state = ChunkState::free;
  Segment* segment = nullptr;
  Chunk *previous = nullptr, *next = nullptr;  // in the segment
  Chunk* next_hashed = nullptr;
  Pool* pool = nullptr;   // that has it while it is free; a graph's: that owns it for its life
  Pool* owner = nullptr;  // of a live one: of the stream that allocated it
  uint64_t freed_at = 0;  // of a free one: the number of the free
  Use* uses = nullptr;    // by other streams
  Use own[2];             // by the streams that allocated and freed it, where these differ
  Chunk* next_pending = nullptr;
  FreeSet::node_type place;  // in a FreeSet, while it is in none
};

inline bool BySize::operator()(const Chunk* a, const Chunk* b) const noexcept {
  return a->bytes != b->bytes ? a->bytes < b->bytes : a->data < b->data;
}
inline bool BySize::operator()(const Chunk* a, size_t bytes) const noexcept {
  return a->bytes < bytes;
}

// All segments and chunks of a device, and the chunks by address.
class Chunks {
 public:
  Chunks();
  ~Chunks();
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;

  // After this the next add() or split() does not fail. Throws bad_alloc.
  void prepare();
  // One chunk that spans the segment, free and in no set.
  Chunk& add(char* data, size_t bytes, bool small, Pool& pool) noexcept;
  // Cuts `bytes` off the front; the rest becomes a free chunk of the same pool, in no set.
  Chunk& split(Chunk& chunk, size_t bytes) noexcept;
  // Of a segment whose chunks are all in no set.
  void remove(Segment& segment) noexcept;
  Chunk* find(const void* data) const noexcept;  // by its start; null: there is none
  Segment* segments() const noexcept { return segments_; }

  // A free chunk goes into its pool's set, merged with free neighbours of the pool.
  void put(Chunk& chunk) noexcept;
  void take(Chunk& chunk) noexcept;  // out of it

 private:
  Chunk* fresh() noexcept;
  void hash(Chunk& chunk) noexcept;
  void unhash(Chunk& chunk) noexcept;
  void drop(Chunk& chunk) noexcept;  // out of the table, to the spare ones
  void absorb_next(Chunk& chunk) noexcept;
  Chunk*& bucket_of(const void* data) noexcept;
  void grow();

  std::vector<Chunk*> buckets_;  // a power of two of them
  size_t count_ = 0;
  Chunk* spare_ = nullptr;
  Segment* segments_ = nullptr;
  Segment* spare_segment_ = nullptr;
};

}  // namespace tinytorch::cuda
