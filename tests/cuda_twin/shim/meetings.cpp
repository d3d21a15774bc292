// Where threads of a block meet: barriers, warp operations, and atomics as far as threads wait for
// each other by them.
#include "tests/cuda_twin/shim/block.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "tests/cuda_twin/shim/quiet.h"

namespace tinytorch::twin {

namespace {

// A thread whose atomics of one place changed nothing so often in one turn seems to wait for
// another thread.
constexpr int kIdleAtomics = TT_TWIN_TSAN ? 1 << 8 : 1 << 12;
constexpr int kFirstWarpTag = 8;  // the barriers' are 0 and 1

// Shuffles are not combined.
uint64_t combined(Op op, uint64_t a, uint64_t b) {
  const auto x = static_cast<int64_t>(a), y = static_cast<int64_t>(b);
  if (op == Op::reduce_min) return static_cast<uint64_t>(std::min(x, y));
  if (op == Op::reduce_max) return static_cast<uint64_t>(std::max(x, y));
  return a + b;
}
bool is_shuffle(Op op) { return op >= Op::shfl && op <= Op::shfl_xor; }
bool is_vote(Op op) { return op >= Op::ballot && op <= Op::all; }

}  // namespace

// ---- barriers

int Block::barrier(Op op, int predicate, Site site) {
  Quiet quiet;
  Lane& lane = lane_of(current_);
  lane.op = op;
  lane.site = site;
  if (in_barrier_ == 0) first_in_barrier_ = current_;
  const Lane& first = lane_of(first_in_barrier_);
  if (first.op != op || !same_place(first.site, site))
    fault("divergent barrier: " + text_of(op, site) + ", but thread " +
          where_is(first_in_barrier_));
  // Two tags take turns: nobody can be at the next but one barrier before all have left this one.
  void* const tag = shared_.tag(static_cast<int>(barriers_ % 2));
  release_tag(tag);
  votes_ += predicate != 0;
  warp_of(current_).in_barrier |= bit_of(current_);
  idle_rounds_ = 0;
  if (++in_barrier_ == threads_) complete_barrier();
  wait();
  acquire_tag(tag);
  return vote_result_;
}

void Block::complete_barrier() {
  vote_result_ = std::exchange(votes_, 0);
  in_barrier_ = 0;
  ++barriers_;
  for (int w = 0; w < warp_count_; ++w) make_ready(w, std::exchange(warps_[w].in_barrier, 0u));
}

// ---- warp operations

uint64_t Block::warp_operation(Op op, unsigned mask, uint64_t value, int bytes, int source,
                               Site site) {
  Quiet quiet;
  Warp& warp = warp_of(current_);
  Lane& lane = lane_of(current_);
  lane = {op, site, mask, bytes, source, value, 0};
  check_operation(warp, lane);
  // Of these only syncwarp orders memory.
  void* const tag = TT_TWIN_TSAN && op == Op::syncwarp ? sync_tag(warp, mask) : nullptr;
  if (tag) release_tag(tag);
  warp.in_operation |= bit_of(current_);
  idle_rounds_ = 0;
  bool all = (warp.in_operation & mask) == mask;
  for (unsigned rest = mask; all && rest != 0; rest &= rest - 1)
    all = warp.lanes[std::countr_zero(rest)].mask == mask;
  if (all) complete_operation(current_ / kWarpLanes, mask, op);
  wait();
  if (tag) acquire_tag(tag);
  return lane.result;
}

void Block::check_operation(const Warp& warp, const Lane& lane) {
  const unsigned missing = lane.mask & ~warp.exist, gone = lane.mask & warp.exited;
  std::string why;
  if (!(lane.mask & bit_of(current_))) {
    why = " lacks the calling lane";
  } else if (missing) {
    why = " names lane " + std::to_string(std::countr_zero(missing)) + ", which does not exist";
  } else if (gone) {
    why = " names lane " + std::to_string(std::countr_zero(gone)) + ", which has exited";
  } else {
    return;
  }
  fault(text_of(lane.op, lane.site) + ": mask " + hex(lane.mask) + why);
}

// All lanes of the mask have come, and with this mask.
void Block::complete_operation(int w, unsigned mask, Op op) {
  Warp& warp = warps_[w];
  const Lane& mine = lane_of(current_);
  uint64_t total = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int k = std::countr_zero(rest);
    Lane& lane = warp.lanes[k];
    check_same(w, k, mine);
    if (is_shuffle(op)) {
      lane.result = read_lane(w, k, mask);
    } else if (is_vote(op)) {
      total |= lane.value << k;
    } else {
      total = rest == mask ? lane.value : combined(op, total, lane.value);
    }
  }
  if (!is_shuffle(op))
    for (unsigned rest = mask; rest != 0; rest &= rest - 1)
      warp.lanes[std::countr_zero(rest)].result = total;
  if (TT_TWIN_TSAN && op == Op::syncwarp)
    for (int m = 0; m < warp.masks; ++m) warp.times[m] += warp.mask[m] == mask;
  warp.in_operation &= ~mask;
  make_ready(w, mask);
}

// The device would do different instructions one after the other, each without the other's lanes.
void Block::check_same(int w, int k, const Lane& mine) {
  const Lane& lane = warps_[w].lanes[k];
  const bool here_too = mine.op == Op::syncwarp || same_place(lane.site, mine.site);
  if (lane.op != mine.op || lane.bytes != mine.bytes || !here_too)
    fault(text_of(mine.op, mine.site) + " meets lane " + std::to_string(k) + " in " +
          text_of(lane.op, lane.site));
}

uint64_t Block::read_lane(int w, int k, unsigned mask) {
  const Lane& lane = warps_[w].lanes[k];
  if (!(mask >> lane.source & 1))
    fault_of(w * kWarpLanes + k, text_of(lane.op, lane.site) + ": reads lane " +
                                     std::to_string(lane.source) + ", which is not in mask " +
                                     hex(mask));
  return warps_[w].lanes[lane.source].value;
}

// Two tags for each mask take turns, as at barriers. Masks beyond those that fit share the last
// place, which can hide a race but reports none that is not there.
void* Block::sync_tag(Warp& warp, unsigned mask) {
  int m = static_cast<int>(std::find(warp.mask, warp.mask + warp.masks, mask) - warp.mask);
  if (m == warp.masks) {
    if (warp.masks < Warp::kMostMasks) ++warp.masks;
    m = warp.masks - 1;
    warp.mask[m] = mask;
    warp.times[m] = 0;
  }
  const int w = static_cast<int>(&warp - warps_);
  return shared_.tag(kFirstWarpTag + 2 * (w * Warp::kMostMasks + m) +
                     static_cast<int>(warp.times[m] % 2));
}

// ---- atomics and fences

// Atomics are relaxed, so order nothing by themselves. What a thread did before a fence is ordered
// before an atomic that follows the fence; and an atomic before what follows a fence after it.
void Block::before_atomic(void* address) {
  Quiet quiet;
  if (fenced_[current_]) release_tag(address);
  last_atomic_[current_] = address;
}

void Block::after_atomic(const void* address, bool changed) {
  Quiet quiet;
  if (changed || std::exchange(idle_address_, address) != address) idle_atomics_ = 0;
  if (changed) {
    idle_rounds_ = 0;
  } else {
    idle();
  }
}

void Block::fence() {
  Quiet quiet;
  if (TT_TWIN_TSAN) {
    fenced_[current_] = true;
    if (last_atomic_[current_]) acquire_tag(last_atomic_[current_]);
  }
  idle();
}

void Block::idle() {
  if (++idle_atomics_ < kIdleAtomics) return;
  warp_of(current_).spinning |= bit_of(current_);
  wait();
}

}  // namespace tinytorch::twin
