// Places for blocks whose lifetimes are known in advance, in one piece of memory. Two blocks may
// share bytes if they are never alive at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tinytorch {

inline constexpr size_t kArenaAlignment = 64;

// What a block takes of the arena; one of no bytes has a place too.
inline size_t arena_rounded(size_t bytes) {
  const size_t steps = (bytes + kArenaAlignment - 1) / kArenaAlignment;
  return (steps ? steps : 1) * kArenaAlignment;
}

struct PlannedBlock {
  size_t bytes;
  int64_t first, last;  // steps during which it is alive, both included
  size_t offset = 0;    // set by plan_arena, a multiple of kArenaAlignment
};

// Greedy by size, the largest first, each into the smallest gap that fits (Pisarchyk and Lee 2020).
// -> bytes of the arena
size_t plan_arena(std::vector<PlannedBlock>& blocks);

}  // namespace tinytorch
