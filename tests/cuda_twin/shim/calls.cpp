// The words of the device language, of the thread that runs.
#include "tests/cuda_twin/shim/calls.h"

#include "tests/cuda_twin/shim/block.h"
#include "tests/cuda_twin/shim/quiet.h"

namespace tinytorch::twin {

int block_barrier(Op op, int predicate, Site site) {
  return the_block->barrier(op, predicate, site);
}

uint64_t warp_operation(Op op, unsigned mask, uint64_t value, int bytes, int source, Site site) {
  return the_block->warp_operation(op, mask, value, bytes, source, site);
}

int lane() noexcept {
  Quiet quiet;
  return the_block->lane();
}

void* shared_array(const void* key, size_t bytes, size_t alignment, const char* name, Site site) {
  Quiet quiet;
  return the_block->shared_array(key, bytes, alignment, name, site);
}

void* dynamic_shared(size_t alignment, Site site) {
  Quiet quiet;
  if (alignment > 16) fault_here("dynamic shared memory is aligned to 16 bytes, not more", site);
  return the_block->dynamic_shared();
}

void before_atomic(void* address) { the_block->before_atomic(address); }
void after_atomic(const void* address, bool changed) { the_block->after_atomic(address, changed); }
void fence() { the_block->fence(); }

void fault_here(const char* text, Site site) {
  Quiet quiet;
  the_block->fault(std::string(text) + " (" + site.file + ":" + std::to_string(site.line) + ")");
}

}  // namespace tinytorch::twin
