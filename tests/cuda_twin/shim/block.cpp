// The scheduler of a block: which thread runs, on which fiber.
#include "tests/cuda_twin/shim/block.h"

#include <bit>
#include <utility>

#include "tests/cuda_twin/shim/quiet.h"

namespace tinytorch::twin {

Position here;
Block* the_block = nullptr;

namespace {

// Threads that wait in a loop of atomics get so many turns after the last thread that can do
// anything else; then nobody will change what they wait for.
constexpr int kIdleRounds = 16;

// The end of every thread of a launch comes before what the launching thread does then. Not one of
// the block's tags: between blocks there is no order.
char end_tag;
char start_tag;  // and what it did before comes before all of them

uint3 block_index(uint64_t n, const dim3& extents) {
  return {static_cast<unsigned>(n % extents.x), static_cast<unsigned>(n / extents.x % extents.y),
          static_cast<unsigned>(n / extents.x / extents.y)};
}
unsigned lowest_lanes(int n) { return n >= kWarpLanes ? ~0u : (1u << n) - 1; }
// A member of the set, which is not empty: the first one from a random place on.
int any_of(unsigned set, unsigned random) {
  const int turn = static_cast<int>(random % kWarpLanes);
  return (std::countr_zero(std::rotr(set, turn)) + turn) % kWarpLanes;
}

}  // namespace

// ---- grids and blocks

void Block::start_grid(const cuda::KernelCall& call, const GridOptions& options) {
  call_ = &call;
  options_ = options;
  here.block_dim = {call.block.x, call.block.y, call.block.z};
  here.grid_dim = {call.grid.x, call.grid.y, call.grid.z};
  threads_ = static_cast<int>(call.block.x * call.block.y * call.block.z);
  warp_count_ = (threads_ + kWarpLanes - 1) / kWarpLanes;
  uint3* index = index_;
  for (unsigned z = 0; z < call.block.z; ++z)
    for (unsigned y = 0; y < call.block.y; ++y)
      for (unsigned x = 0; x < call.block.x; ++x) *index++ = {x, y, z};
  for (int w = 0; w < warp_count_; ++w) warps_[w].exist = lowest_lanes(threads_ - w * kWarpLanes);
  adopt_thread(launcher_);
}

void Block::end_grid() { acquire_tag(&end_tag); }

void Block::run(uint64_t number) {
  here.block = block_index(number, here.grid_dim);
  random_ = (options_.seed + number * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u | 1;
  ready_warps_ = lowest_lanes(warp_count_);
  for (int w = 0; w < warp_count_; ++w) {
    Warp& warp = warps_[w];
    warp.ready = warp.exist;
    warp.in_operation = warp.in_barrier = warp.spinning = warp.exited = warp.started = 0;
    warp.masks = 0;
  }
  last_warp_ = exited_ = in_barrier_ = votes_ = idle_rounds_ = 0;
  barriers_ = 0;
  shared_.start_block(call_->shared_bytes);
  if (TT_TWIN_TSAN) {
    first_slot_ = static_cast<int>(number % kFibers) * 37;
    for (int t = 0; t < threads_; ++t) {
      fenced_[t] = false;
      last_atomic_[t] = nullptr;
      own_fiber(t);  // made here: a fiber knows what its maker did
    }
    release_tag(&start_tag);
  }
  const int first = pick();
  start_thread(first, take_fiber(first));
  switch_fiber(launcher_, *fiber_of_[first]);
  if (stopped_) abandon();
  const std::string broken = shared_.end_block();
  if (!broken.empty()) {
    current_ = -1;
    end_grid();
    throw KernelFault(describe(current_) + ": " + broken);
  }
}

// Every thread that waits goes on once more, to unwind its stack.
void Block::abandon() {
  for (int t = 0; t < threads_; ++t) {
    if (!(warp_of(t).started & ~warp_of(t).exited & bit_of(t))) continue;
    set_current(t);
    switch_fiber(launcher_, *fiber_of_[t]);
  }
  end_grid();
  stopped_ = false;
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  throw KernelFault(std::exchange(fault_, {}));
}

// ---- fibers

// Plain builds run one thread after the other on a fiber as long as none waits. Under
// ThreadSanitizer a thread keeps a fiber of its own; which one changes from block to block, so that
// threads of the same number in two blocks are not taken for one thread.
Fiber* Block::take_fiber(int thread) {
  if (TT_TWIN_TSAN) return own_fiber(thread);
  if (free_count_ == 0) {
    make_fiber(fibers_[made_], made_, &Block::body);
    free_[free_count_++] = &fibers_[made_++];
  }
  return free_[--free_count_];
}

Fiber* Block::own_fiber(int thread) {
  const int slot = (thread + first_slot_) % (threads_ + kFibers - kMostThreads);
  if (fibers_[slot].stack == nullptr) make_fiber(fibers_[slot], slot, &Block::body);
  return &fibers_[slot];
}

void Block::body() { the_block->threads_of_fiber(); }

void Block::threads_of_fiber() {
  Quiet quiet;
  Fiber& mine = *fiber_of_[current_];
  arrived_in_fiber(mine);
  for (;;) {
    const int next = run_thread();
    if (!TT_TWIN_TSAN) {
      if (next >= 0 && !(warp_of(next).started & bit_of(next))) {
        start_thread(next, &mine);
        continue;
      }
      free_[free_count_++] = &mine;
    }
    if (next < 0) {
      switch_fiber(mine, launcher_);
    } else {
      go_to(next);
    }
  }
}

// Runs it to its end; the thread to run next, or -1 if the launcher is. No exception leaves a
// fiber: the launcher throws the kernel's again.
int Block::run_thread() {
  int next = -1;
  try {
    acquire_tag(&start_tag);
    {
      Loud loud;
      call_->invoke(call_->function, call_->arguments);
    }
    finish_thread();
    if (exited_ < threads_) next = pick();
  } catch (const Stopped&) {
    finish_thread();
  } catch (...) {
    thrown_ = std::current_exception();
    stopped_ = true;
    finish_thread();
  }
  release_tag(&end_tag);
  return next;
}

void Block::start_thread(int thread, Fiber* fiber) {
  warp_of(thread).started |= bit_of(thread);
  fiber_of_[thread] = fiber;
  set_current(thread);
}

void Block::finish_thread() {
  if (warp_of(current_).exited & bit_of(current_)) return;  // it found the fault after its end
  warp_of(current_).exited |= bit_of(current_);
  ++exited_;
  idle_rounds_ = 0;
  if (!stopped_ && !stack_rule_kept(*fiber_of_[current_])) fault("used more than 32 KB of stack");
}

void Block::set_current(int thread) {
  current_ = thread;
  here.thread = index_[thread];
  idle_atomics_ = 0;
}

void Block::go_to(int next) {
  Fiber& from = *fiber_of_[current_];
  if (warp_of(next).started & bit_of(next)) {
    set_current(next);
  } else {
    start_thread(next, take_fiber(next));
  }
  switch_fiber(from, *fiber_of_[next]);
}

void Block::wait() {
  const int next = pick();
  if (next == current_) {
    idle_atomics_ = 0;
    return;
  }
  go_to(next);
  if (stopped_) throw Stopped{};
}

void* Block::shared_array(const void* key, size_t bytes, size_t alignment, const char* name,
                          Site site) {
  if (void* data = shared_.find(key)) return data;
  const std::string why = shared_.add(key, bytes, alignment, name, site);
  if (!why.empty()) fault(why);
  return shared_.find(key);
}

// ---- whose turn it is

int Block::pick() {
  if (ready_warps_ == 0) resume_spinning();
  int thread;
  if (options_.order == ThreadOrder::forward) {
    const int warp = std::countr_zero(ready_warps_);
    thread = warp * kWarpLanes + std::countr_zero(warps_[warp].ready);
  } else if (options_.order == ThreadOrder::reverse) {
    const int warp = 31 - std::countl_zero(ready_warps_);
    thread = warp * kWarpLanes + 31 - std::countl_zero(warps_[warp].ready);
  } else {
    thread = pick_random();
  }
  Warp& warp = warp_of(thread);
  warp.ready &= ~bit_of(thread);
  if (warp.ready == 0) ready_warps_ &= ~(1u << (thread / kWarpLanes));
  return thread;
}

// Mostly the warp that ran last goes on, so that some get far ahead of others.
int Block::pick_random() {
  const unsigned r = random();
  const bool stay = (ready_warps_ >> last_warp_ & 1) != 0 && (r >> 5 & 15) != 0;
  if (!stay) last_warp_ = any_of(ready_warps_, r);
  return last_warp_ * kWarpLanes + any_of(warps_[last_warp_].ready, r >> 9);
}

unsigned Block::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return static_cast<unsigned>(random_ >> 32);
}

void Block::make_ready(int warp, unsigned lanes) {
  warps_[warp].ready |= lanes;
  if (lanes != 0) ready_warps_ |= 1u << warp;
}

// Nobody can run but threads that spin; others may have done something since they did.
void Block::resume_spinning() {
  int spinner = -1;
  for (int w = 0; w < warp_count_; ++w) {
    const unsigned lanes = std::exchange(warps_[w].spinning, 0u);
    make_ready(w, lanes);
    if (lanes != 0) spinner = w * kWarpLanes + std::countr_zero(lanes);
  }
  if (spinner < 0) stop(why_stalled());
  if (++idle_rounds_ > kIdleRounds)
    fault_of(spinner, "waits in a loop of atomics for what no thread of its block does");
}

}  // namespace tinytorch::twin
