// Shared memory of a block: places, poison, red zones.
#include "tests/cuda_twin/shim/shared.h"

#include <cstring>
#include <new>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) (static_cast<void>(p), static_cast<void>(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) (static_cast<void>(p), static_cast<void>(n))
#endif

namespace tinytorch::twin {

namespace {

constexpr size_t kArena = size_t{320} << 10;
constexpr int kPoison = 0xff;
// A NaN as f32, f64, bf16 and f16, and neither the poison nor a NaN that arithmetic makes.
constexpr unsigned char kZonePattern[4] = {0xff, 0xff, 0xf5, 0xff};

void* map_arena() {
  void* p = mmap(nullptr, kArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return p;
}

}  // namespace

SharedMemory::SharedMemory() : base_(static_cast<char*>(map_arena())) {}

void SharedMemory::zone(size_t at, size_t bytes) {
  for (size_t i = at; i < at + bytes; ++i) base_[i] = static_cast<char>(kZonePattern[i % 4]);
  ASAN_POISON_MEMORY_REGION(base_ + at, bytes);
}

bool SharedMemory::zone_broken(size_t at, size_t bytes) const {
  for (size_t i = at; i < at + bytes; ++i)
    if (base_[i] != static_cast<char>(kZonePattern[i % 4])) return true;
  return false;
}

void SharedMemory::start_block(size_t dynamic_bytes) {
  if (TT_TWIN_TSAN && in_use_) {  // forgets the accesses and barriers of other blocks
    munmap(base_, kArena);
    base_ = static_cast<char*>(map_arena());
  }
  dynamic_bytes_ = dynamic_bytes;
  count_ = 0;
  static_bytes_ = 0;
  end_ = kDynamicAt;
  in_use_ = has_zones_ = dynamic_bytes != 0;
  if (!in_use_) return;
  ASAN_UNPOISON_MEMORY_REGION(base_, kArena);
  std::memset(base_ + kDynamicAt, kPoison, dynamic_bytes);
  zone(kDynamicAt - kZone, kZone);
  zone(kDynamicAt + dynamic_bytes, kZone);
  end_ = kDynamicAt + dynamic_bytes + kZone;
}

void* SharedMemory::find(const void* key) const {
  for (int i = 0; i < count_; ++i)
    if (arrays_[i].key == key) return base_ + arrays_[i].at;
  return nullptr;
}

std::string SharedMemory::add(const void* key, size_t bytes, size_t alignment, const char* name,
                              Site site) {
  static_bytes_ = (static_bytes_ + alignment - 1) / alignment * alignment + bytes;
  if (static_bytes_ > kStaticSharedLimit)
    return "static shared memory: " + std::to_string(static_bytes_) + " bytes with '" + name +
           "', the limit is " + std::to_string(kStaticSharedLimit);
  if (static_bytes_ + dynamic_bytes_ > kSharedLimit)
    return "shared memory: " + std::to_string(static_bytes_) + " bytes static with '" + name +
           "' and " + std::to_string(dynamic_bytes_) + " dynamic, the limit is " +
           std::to_string(kSharedLimit);
  if (count_ == kMostArrays) return "more than 64 shared arrays";
  if (!has_zones_) {
    in_use_ = has_zones_ = true;
    ASAN_UNPOISON_MEMORY_REGION(base_, kArena);
    zone(end_ - kZone, kZone);
  }
  // Not aligned to twice the alignment of the type.
  const size_t at = (end_ + 2 * alignment - 1) / (2 * alignment) * (2 * alignment) + alignment;
  ASAN_UNPOISON_MEMORY_REGION(base_ + at, bytes);
  std::memset(base_ + at, kPoison, bytes);
  zone(end_, at - end_);
  zone(at + bytes, kZone);
  end_ = at + bytes + kZone;
  arrays_[count_++] = {key, name, site, at, bytes};
  return {};
}

std::string SharedMemory::end_block() {
  if (!has_zones_) return {};
  ASAN_UNPOISON_MEMORY_REGION(base_, kArena);
  size_t at = kDynamicAt - kZone;
  const auto broken_behind = [&](size_t begin, size_t bytes) {
    const bool broken = zone_broken(at, begin - at) || zone_broken(begin + bytes, kZone);
    at = begin + bytes + kZone;
    return broken;
  };
  if (dynamic_bytes_ != 0 && broken_behind(kDynamicAt, dynamic_bytes_))
    return "written outside of dynamic shared memory of " + std::to_string(dynamic_bytes_) +
           " bytes";
  for (int i = 0; i < count_; ++i)
    if (broken_behind(arrays_[i].at, arrays_[i].bytes))
      return "written outside of shared array '" + std::string(arrays_[i].name) + "' of " +
             arrays_[i].site.file + ":" + std::to_string(arrays_[i].site.line);
  return {};
}

}  // namespace tinytorch::twin
