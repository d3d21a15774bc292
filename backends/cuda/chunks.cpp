// Cutting, merging and finding chunks.
#include "backends/cuda/chunks.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace tinytorch::cuda {

namespace {

// Chunks lie on multiples of 512 bytes.
size_t hash_of(const void* data) {
  return (reinterpret_cast<uintptr_t>(data) >> 9) * 0x9E3779B97F4A7C15u >> 20;
}

Chunk* new_chunk() {
  auto chunk = std::make_unique<Chunk>();
  FreeSet set;
  set.insert(chunk.get());
  chunk->place = set.extract(set.begin());
  return chunk.release();
}

bool mergeable(const Chunk* a, const Chunk* b) {
  return a && b && a->state == ChunkState::free && b->state == ChunkState::free &&
         a->pool == b->pool;
}

}  // namespace

Chunks::Chunks() : buckets_(1024, nullptr) {}

Chunks::~Chunks() {
  for (Segment* s = segments_; s;) {
    for (Chunk* c = s->first; c;) delete std::exchange(c, c->next);
    delete std::exchange(s, s->next);
  }
  while (spare_) delete std::exchange(spare_, spare_->next);
  delete spare_segment_;
}

void Chunks::prepare() {
  if (!spare_) spare_ = new_chunk();
  if (!spare_segment_) spare_segment_ = new Segment;
  if (count_ >= buckets_.size()) grow();
}

void Chunks::grow() {
  std::vector<Chunk*> wider(4 * buckets_.size(), nullptr);
  wider.swap(buckets_);
  for (Chunk* c : wider) {
    while (c) hash(*std::exchange(c, c->next_hashed));
  }
}

Chunk*& Chunks::bucket_of(const void* data) noexcept {
  return buckets_[hash_of(data) & (buckets_.size() - 1)];
}

void Chunks::hash(Chunk& chunk) noexcept {
  Chunk*& bucket = bucket_of(chunk.data);
  chunk.next_hashed = bucket;
  bucket = &chunk;
}

void Chunks::unhash(Chunk& chunk) noexcept {
  Chunk** link = &bucket_of(chunk.data);
  while (*link != &chunk) link = &(*link)->next_hashed;
  *link = chunk.next_hashed;
}

Chunk* Chunks::find(const void* data) const noexcept {
  Chunk* c = buckets_[hash_of(data) & (buckets_.size() - 1)];
  while (c && c->data != data) c = c->next_hashed;
  return c;
}

Chunk* Chunks::fresh() noexcept {
  Chunk* chunk = spare_;
  spare_ = chunk->next;
  chunk->next = nullptr;
  ++count_;
  return chunk;
}

void Chunks::drop(Chunk& chunk) noexcept {
  unhash(chunk);
  --count_;
  auto place = std::move(chunk.place);
  chunk = {};
  chunk.place = std::move(place);
  chunk.next = spare_;
  spare_ = &chunk;
}

Chunk& Chunks::add(char* data, size_t bytes, bool small, Pool& pool) noexcept {
  Segment* segment = std::exchange(spare_segment_, nullptr);
  Chunk* chunk = fresh();
  *segment = {data, bytes, small, chunk, nullptr, segments_};
  if (segments_) segments_->previous = segment;
  segments_ = segment;
  chunk->data = data;
  chunk->bytes = bytes;
  chunk->segment = segment;
  chunk->pool = &pool;
  hash(*chunk);
  return *chunk;
}

Chunk& Chunks::split(Chunk& chunk, size_t bytes) noexcept {
  Chunk* rest = fresh();
  rest->data = chunk.data + bytes;
  rest->bytes = chunk.bytes - bytes;
  rest->segment = chunk.segment;
  rest->pool = chunk.pool;
  rest->freed_at = chunk.freed_at;
  rest->previous = &chunk;
  rest->next = chunk.next;
  if (rest->next) rest->next->previous = rest;
  chunk.next = rest;
  chunk.bytes = bytes;
  hash(*rest);
  return *rest;
}

void Chunks::remove(Segment& segment) noexcept {
  for (Chunk* c = segment.first; c;) drop(*std::exchange(c, c->next));
  (segment.previous ? segment.previous->next : segments_) = segment.next;
  if (segment.next) segment.next->previous = segment.previous;
  delete spare_segment_;
  spare_segment_ = &segment;
}

void Chunks::absorb_next(Chunk& chunk) noexcept {
  Chunk& other = *chunk.next;
  chunk.bytes += other.bytes;
  chunk.freed_at = std::max(chunk.freed_at, other.freed_at);
  chunk.next = other.next;
  if (chunk.next) chunk.next->previous = &chunk;
  drop(other);
}

void Chunks::put(Chunk& chunk) noexcept {
  chunk.state = ChunkState::free;
  Chunk* whole = &chunk;
  if (mergeable(whole, whole->next)) {
    take(*whole->next);
    absorb_next(*whole);
  }
  if (mergeable(whole->previous, whole)) {
    whole = whole->previous;
    take(*whole);
    absorb_next(*whole);
  }
  whole->pool->free[whole->segment->small].insert(std::move(whole->place));
}

void Chunks::take(Chunk& chunk) noexcept {
  FreeSet& set = chunk.pool->free[chunk.segment->small];
  chunk.place = set.extract(set.find(&chunk));
}

}  // namespace tinytorch::cuda
