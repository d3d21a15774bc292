// Memory statistics, limits and caches of a device; the same meaning on every backend.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tinytorch/export.h>

namespace tinytorch {

// All sizes in bytes. `in_use` and `peak` count what was asked for, so that devices compare;
// `given` is after rounding. Counted per thread and summed on reading: in_use is exact, peak is
// exact for one thread and an upper bound for several.
struct MemoryStats {
  int64_t in_use = 0, peak = 0;
  int64_t given = 0;                        // of in_use, after rounding
  int64_t reserved = 0, peak_reserved = 0;  // taken from the system: given + cached
  int64_t cached = 0;                       // reserved and free
  int64_t allocs = 0, frees = 0;
  int64_t raw_allocs = 0, raw_frees = 0;  // calls to the system
  int64_t cache_hits = 0;
};

class Device;
TT_API MemoryStats memory_stats(const Device& device);
TT_API void reset_peak_memory(const Device& device);  // peak = in_use, peak_reserved = reserved
// Gives cached memory back to the system until at most `keep` bytes are cached, as far as whole
// pieces taken from the system are free.
TT_API void trim_memory(const Device& device, size_t keep = 0);
// Requests that would make `reserved` exceed `bytes` throw OutOfMemoryError; 0: no limit.
TT_API void set_memory_limit(const Device& device, size_t bytes);

}  // namespace tinytorch
