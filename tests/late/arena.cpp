// First fit over a map of free ranges: few calls reach it, because the allocator caches blocks.
#include "tests/late/arena.h"

#include <sys/mman.h>
#include <tinytorch/error.h>

#include <iterator>
#include <string>

namespace tinytorch::late {

namespace {

constexpr size_t kPage = 4096;

char* reserve(size_t bytes, int protection, uintptr_t hint) {
  void* at = mmap(reinterpret_cast<void*>(hint), bytes, protection,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    throw OutOfMemoryError("[late] the system refuses " + std::to_string(bytes) +
                           " bytes of addresses");
  return static_cast<char*>(at);
}

}  // namespace

Arena::Arena(size_t bytes, uintptr_t names)
    : bytes_(bytes),
      names_(reserve(bytes, PROT_NONE, names)),
      real_(reserve(bytes, PROT_READ | PROT_WRITE, 0)) {
  free_[0] = bytes;
}

char* Arena::take(size_t bytes) {
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    const auto [offset, length] = *range;
    if (length < bytes) continue;
    if (length > bytes) free_[offset + bytes] = length - bytes;
    free_.erase(range);
    return names_ + offset;
  }
  return nullptr;
}

void Arena::give(char* at, size_t bytes) {
  size_t offset = static_cast<size_t>(at - names_);
  const size_t first_page = (offset + kPage - 1) / kPage * kPage;
  const size_t end_page = (offset + bytes) / kPage * kPage;
  if (first_page < end_page) madvise(real_ + first_page, end_page - first_page, MADV_DONTNEED);

  auto after = free_.lower_bound(offset);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      free_.erase(before);
    }
  }
  if (after != free_.end() && after->first == offset + bytes) {
    bytes += after->second;
    free_.erase(after);
  }
  free_[offset] = bytes;
}

}  // namespace tinytorch::late
