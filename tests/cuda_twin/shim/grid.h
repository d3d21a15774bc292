// Runs the grid of one kernel launch on the calling thread: every CUDA thread is a fiber, barriers
// and warp operations are the points where they switch. What a GPU would answer with a hang or a
// wrong result is an error here that names block, thread and lane.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "backends/cuda/rt.h"

namespace tinytorch::twin {

enum class ThreadOrder : uint8_t { forward, reverse, random };

// In which order the threads of a block take turns, and the blocks of a grid. A correct kernel
// gives the same bits under every order.
struct GridOptions {
  ThreadOrder order = ThreadOrder::forward;
  uint64_t seed = 1;
};
// Process-wide; initially from TINYTORCH_TWIN_ORDER (forward, reverse, random) and
// TINYTORCH_TWIN_SEED. Read at the start of each grid.
GridOptions& grid_options() noexcept;

// A deadlock, a warp operation with a wrong mask, a write behind shared memory, an invalid launch.
class KernelFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Runs all blocks to their end. The call's arguments are addresses that the host may use.
void run_grid(const cuda::KernelCall& call);

}  // namespace tinytorch::twin
