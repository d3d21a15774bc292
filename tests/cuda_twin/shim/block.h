// The threads of one block and who runs next. A thread runs until it waits at a barrier or in a
// warp operation; then the order picks another one, always the lowest (or highest) that can run, so
// that warps and lanes get as far ahead of each other as synchronisation lets them.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "tests/cuda_twin/shim/calls.h"
#include "tests/cuda_twin/shim/fiber.h"
#include "tests/cuda_twin/shim/grid.h"
#include "tests/cuda_twin/shim/shared.h"

namespace tinytorch::twin {

inline constexpr int kWarpLanes = 32, kMostThreads = 1024;

struct Lane {  // what it waits in, and the outcome
  Op op;
  Site site;
  unsigned mask;
  int bytes, source;
  uint64_t value, result;
};

// Thrown on every fiber of a block with a fault, to unwind it.
struct Stopped {};

struct Warp {
  // Sets of lanes. One that has not exited is in one of the first four, or runs.
  unsigned ready, in_operation, in_barrier, spinning;
  unsigned exited, started, exist;
  Lane lanes[kWarpLanes];
  // For ThreadSanitizer: the masks of syncwarp in this block, and how often each was completed.
  static constexpr int kMostMasks = 8;
  int masks;
  unsigned mask[kMostMasks], times[kMostMasks];
};

class Block {
 public:
  // All blocks until the next call are of this launch.
  void start_grid(const cuda::KernelCall&, const GridOptions&);
  void run(uint64_t number);  // of the block in its grid. Throws KernelFault.
  void end_grid();

  // Called by the running thread.
  int barrier(Op, int predicate, Site);
  uint64_t warp_operation(Op, unsigned mask, uint64_t value, int bytes, int source, Site);
  void* shared_array(const void* key, size_t bytes, size_t alignment, const char* name, Site);
  void* dynamic_shared() const { return shared_.dynamic(); }
  void before_atomic(void*);
  void after_atomic(const void*, bool changed);
  void fence();
  int lane() const { return current_ % kWarpLanes; }
  [[noreturn]] void fault(const std::string& what) { fault_of(current_, what); }

 private:
  // block.cpp
  static void body();
  void threads_of_fiber();
  int run_thread();
  void start_thread(int thread, Fiber*);
  void finish_thread();
  Fiber* take_fiber(int thread);
  Fiber* own_fiber(int thread);
  void set_current(int thread);
  void go_to(int next);  // from the running thread's fiber
  void wait();           // the running thread lets others run until its turn comes
  int pick();            // takes the next thread to run; a fault if all wait
  int pick_random();
  unsigned random();
  void make_ready(int warp, unsigned lanes);
  void resume_spinning();
  void abandon();

  // meetings.cpp
  void check_operation(const Warp&, const Lane&);
  void complete_operation(int warp, unsigned mask, Op);
  void check_same(int warp, int lane, const Lane& mine);
  uint64_t read_lane(int warp, int lane, unsigned mask);
  void complete_barrier();
  void* sync_tag(Warp&, unsigned mask);
  void idle();

  // faults.cpp
  std::string describe(int thread) const;
  std::string why_stalled() const;
  std::string why_lane_waits(int warp, int lane) const;
  std::string why_barrier_waits() const;
  std::string where_is(int thread) const;
  [[noreturn]] void fault_of(int thread, const std::string& what);
  [[noreturn]] void stop(std::string text);

  Warp& warp_of(int thread) { return warps_[thread / kWarpLanes]; }
  const Warp& warp_of(int thread) const { return warps_[thread / kWarpLanes]; }
  static unsigned bit_of(int thread) { return 1u << (thread % kWarpLanes); }
  Lane& lane_of(int thread) { return warp_of(thread).lanes[thread % kWarpLanes]; }
  const Lane& lane_of(int thread) const { return warp_of(thread).lanes[thread % kWarpLanes]; }

  // Of the launch.
  const cuda::KernelCall* call_ = nullptr;
  GridOptions options_;
  int threads_ = 0, warp_count_ = 0;
  uint3 index_[kMostThreads];

  // Of the block.
  uint64_t random_ = 0;
  int current_ = -1, last_warp_ = 0;
  unsigned ready_warps_ = 0;
  Warp warps_[kMostThreads / kWarpLanes];
  SharedMemory shared_;
  int exited_ = 0;
  int in_barrier_ = 0, first_in_barrier_ = 0, votes_ = 0, vote_result_ = 0;
  unsigned barriers_ = 0;
  int idle_atomics_ = 0, idle_rounds_ = 0;
  const void* idle_address_ = nullptr;

  // For ThreadSanitizer, of each thread.
  int first_slot_ = 0;
  bool fenced_[kMostThreads];
  void* last_atomic_[kMostThreads];

  Fiber fibers_[kFibers], launcher_;
  Fiber* fiber_of_[kMostThreads];
  Fiber* free_[kFibers];
  int free_count_ = 0, made_ = 0;

  bool stopped_ = false;
  std::string fault_;
  std::exception_ptr thrown_;
};

// The one of the process, never destroyed; made by the first launch.
extern Block* the_block;

// "__syncthreads (file:line)", "0x0000ffff", and for comparing places.
std::string text_of(Op, Site);
std::string hex(unsigned mask);
bool same_place(Site, Site);

}  // namespace tinytorch::twin
