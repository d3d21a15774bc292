// Memory from the system: aligned_alloc below 2 MB, mappings of our own above, cut to huge page
// boundaries.
#include "backends/common/host_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

namespace tinytorch {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

void* map_huge(size_t bytes) noexcept {
  const size_t room = bytes + kHugePage;
  void* raw = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  char* const start = static_cast<char*>(raw);
  const size_t before = -reinterpret_cast<uintptr_t>(raw) % kHugePage;
  char* const data = start + before;
  if (before) munmap(start, before);
  munmap(data + bytes, kHugePage - before);
  madvise(data, bytes, MADV_HUGEPAGE);  // a wish; without it pages are small
  return data;
}

}  // namespace

void* take_host_memory(size_t bytes, size_t alignment) noexcept {
  if (kPlainAlloc && bytes > size_t{1} << 39)
    return nullptr;  // where a sanitizer would end the program
  return bytes >= kHugePage && !kPlainAlloc ? map_huge(bytes)
                                            : std::aligned_alloc(alignment, bytes);
}

void give_host_memory(void* data, size_t bytes) noexcept {
  if (bytes >= kHugePage && !kPlainAlloc) {
    munmap(data, bytes);
  } else {
    std::free(data);
  }
}

}  // namespace tinytorch
