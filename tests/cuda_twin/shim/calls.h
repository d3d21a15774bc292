// What the words of the device language in shim.h call in the twin: where the running thread
// stands, barriers, warp operations, shared memory. Operations take the place in the source, which
// errors name and by which operations that must be the same one are told apart.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/cuda_twin/shim/device_types.h"

#if defined(__SANITIZE_THREAD__)
#define TT_TWIN_TSAN 1
#else
#define TT_TWIN_TSAN 0
#endif

namespace tinytorch::twin {

struct Site {
  const char* file;
  int line;
};

enum class Op : uint8_t {
  syncthreads,
  syncthreads_or,
  syncthreads_and,
  syncthreads_count,
  syncwarp,
  shfl,
  shfl_up,
  shfl_down,
  shfl_xor,
  ballot,
  any,
  all,
  reduce_add,
  reduce_min,
  reduce_max,
};
const char* name_of(Op) noexcept;

// The indices of the running thread and the extents of its grid.
struct Position {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
};
extern Position here;

// Under ThreadSanitizer the scheduler's writes are hidden and these reads must not look like a
// race.
inline unsigned read_index(const unsigned& index) {
#if TT_TWIN_TSAN
  return __atomic_load_n(&index, __ATOMIC_RELAXED);
#else
  return index;
#endif
}
inline uint3 read_index(const uint3& i) {
  return {read_index(i.x), read_index(i.y), read_index(i.z)};
}
inline dim3 read_index(const dim3& i) {
  return {read_index(i.x), read_index(i.y), read_index(i.z)};
}

// Waits for all threads of the block; the number of threads with predicate != 0.
int block_barrier(Op, int predicate, Site);
// Waits for the lanes of `mask`, then: of a shuffle the value of lane `source`; of a vote the set
// of lanes with value != 0; of a reduction its result; of syncwarp nothing. `bytes` of a value
// count.
uint64_t warp_operation(Op, unsigned mask, uint64_t value, int bytes, int source, Site);
int lane() noexcept;

void* shared_array(const void* key, size_t bytes, size_t alignment, const char* name, Site);
void* dynamic_shared(size_t alignment, Site);

// Before an atomic operation, for ThreadSanitizer.
void before_atomic(void* address);
// After an atomic operation, and at a fence: finds threads that wait for another one in a loop.
// `changed` says if memory did.
void after_atomic(const void* address, bool changed);
void fence();

[[noreturn]] void fault_here(const char* text, Site);

inline void check_aligned(const void* p, size_t alignment, Site site) {
  if (reinterpret_cast<uintptr_t>(p) % alignment != 0)
    fault_here("misaligned access of 16 bytes", site);
}

}  // namespace tinytorch::twin
