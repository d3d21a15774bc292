// Launches: limits of the device, the order of blocks, and one grid at a time.
#include "tests/cuda_twin/shim/grid.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>
#include <string>

#include "tests/cuda_twin/shim/block.h"
#include "tests/cuda_twin/shim/quiet.h"

namespace tinytorch::twin {

namespace {

constexpr size_t kArgumentLimit = 4096;
constexpr uint32_t kMostBlocksX = 0x7fffffff, kMostBlocksYZ = 65535, kMostThreadsZ = 64;

GridOptions options_of_environment() {
  GridOptions options;
  if (const char* order = std::getenv("TINYTORCH_TWIN_ORDER")) {
    if (std::strcmp(order, "reverse") == 0) options.order = ThreadOrder::reverse;
    if (std::strcmp(order, "random") == 0) options.order = ThreadOrder::random;
  }
  if (const char* seed = std::getenv("TINYTORCH_TWIN_SEED"))
    options.seed = std::strtoull(seed, nullptr, 10);
  return options;
}

std::string text_of(const cuda::Dim3& d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

// Those of compute capability 9.0.
void check_limits(const cuda::KernelCall& call) {
  const auto refuse = [&](const std::string& why) {
    throw KernelFault("[" + std::string(call.op) + "] invalid launch of grid " +
                      text_of(call.grid) + ", block " + text_of(call.block) + ": " + why);
  };
  const cuda::Dim3 &g = call.grid, &b = call.block;
  if (g.x == 0 || g.y == 0 || g.z == 0 || b.x == 0 || b.y == 0 || b.z == 0) refuse("a size is 0");
  if (g.x > kMostBlocksX || g.y > kMostBlocksYZ || g.z > kMostBlocksYZ)
    refuse("a grid has at most (2147483647,65535,65535) blocks");
  if (b.x > kMostThreads || b.y > kMostThreads || b.z > kMostThreadsZ ||
      uint64_t{b.x} * b.y * b.z > kMostThreads)
    refuse("a block has at most 1024 threads, 64 in z");
  if (call.shared_bytes > kSharedLimit)
    refuse(std::to_string(call.shared_bytes) + " bytes of shared memory, the limit is " +
           std::to_string(kSharedLimit));
  size_t arguments = 0;
  for (int i = 0; i < call.count; ++i) arguments += call.sizes[i];
  if (arguments > kArgumentLimit)
    refuse(std::to_string(arguments) + " bytes of arguments, the limit is " +
           std::to_string(kArgumentLimit));
}

// All numbers below `total`, each once.
class BlockOrder {
 public:
  BlockOrder(const GridOptions& options, uint64_t total) : order_(options.order), total_(total) {
    if (order_ != ThreadOrder::random) return;
    start_ = options.seed * 0x9e3779b97f4a7c15u % total;
    // A step without a divisor in common with the total leads to every block once.
    step_ = (total / 13 * 8 + options.seed % 1000003) % total + 1;
    while (std::gcd(step_, total) != 1) ++step_;
  }
  uint64_t at(uint64_t i) const {
    if (order_ == ThreadOrder::forward) return i;
    if (order_ == ThreadOrder::reverse) return total_ - 1 - i;
    __extension__ typedef unsigned __int128 Wide;
    return static_cast<uint64_t>((Wide{i} * step_ + start_) % total_);
  }

 private:
  ThreadOrder order_;
  uint64_t total_, start_ = 0, step_ = 1;
};

}  // namespace

GridOptions& grid_options() noexcept {
  static GridOptions options = options_of_environment();
  return options;
}

void run_grid(const cuda::KernelCall& call) {
  static std::mutex& one_grid = *new std::mutex;
  const std::lock_guard lock(one_grid);
  const GridOptions options = grid_options();
  check_limits(call);
  Quiet quiet;
  if (the_block == nullptr) the_block = new Block;
  the_block->start_grid(call, options);
  const uint64_t total = uint64_t{call.grid.x} * call.grid.y * call.grid.z;
  const BlockOrder order(options, total);
  for (uint64_t i = 0; i < total; ++i) the_block->run(order.at(i));
  the_block->end_grid();
}

}  // namespace tinytorch::twin
