// See arena_plan.h. Quadratic in the number of blocks, which is some thousands for a large step.
#include "core/runtime/arena_plan.h"

#include <algorithm>
#include <numeric>

namespace tinytorch {

namespace {

// `placed` holds the blocks that have their place, by rising offset.
size_t find_place(const PlannedBlock& block, const std::vector<const PlannedBlock*>& placed) {
  const size_t need = arena_rounded(block.bytes);
  size_t end = 0, best = 0, best_gap = SIZE_MAX;  // end of what is alive at the same time so far
  for (const PlannedBlock* other : placed) {
    if (other->last < block.first || other->first > block.last) continue;
    if (other->offset >= end + need && other->offset - end < best_gap) {
      best = end;
      best_gap = other->offset - end;
    }
    end = std::max(end, other->offset + arena_rounded(other->bytes));
  }
  return best_gap == SIZE_MAX ? end : best;
}

}  // namespace

size_t plan_arena(std::vector<PlannedBlock>& blocks) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<const PlannedBlock*> placed;
  size_t total = 0;
  for (size_t i : order) {
    PlannedBlock& block = blocks[i];
    block.offset = find_place(block, placed);
    total = std::max(total, block.offset + arena_rounded(block.bytes));
    const auto after = std::upper_bound(
        placed.begin(), placed.end(), block.offset,
        [](size_t offset, const PlannedBlock* other) { return offset < other->offset; });
    placed.insert(after, &block);
  }
  return total;
}

}  // namespace tinytorch
