// What is said of a block that cannot go on: who, where, in which operation, and why.
#include "tests/cuda_twin/shim/block.h"

#include <bit>
#include <cstdio>
#include <cstring>
#include <utility>

namespace tinytorch::twin {

namespace {

std::string text_of(const uint3& i) {
  return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}

}  // namespace

const char* name_of(Op op) noexcept {
  static constexpr const char* kNames[] = {
      "__syncthreads",     "__syncthreads_or",  "__syncthreads_and", "__syncthreads_count",
      "__syncwarp",        "__shfl_sync",       "__shfl_up_sync",    "__shfl_down_sync",
      "__shfl_xor_sync",   "__ballot_sync",     "__any_sync",        "__all_sync",
      "__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync"};
  return kNames[static_cast<int>(op)];
}

std::string text_of(Op op, Site site) {
  return std::string(name_of(op)) + " (" + site.file + ":" + std::to_string(site.line) + ")";
}

std::string hex(unsigned mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

bool same_place(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

// "[op] block (0,0,0) thread (5,0,0) lane 5"; of thread -1 the block alone.
std::string Block::describe(int thread) const {
  std::string text = "[" + std::string(call_->op) + "] block " + text_of(here.block);
  if (thread >= 0)
    text += " thread " + text_of(index_[thread]) + " lane " + std::to_string(thread % kWarpLanes);
  return text;
}

// "(5,0,0) waits in __syncthreads (file:line)".
std::string Block::where_is(int thread) const {
  const Warp& warp = warp_of(thread);
  const unsigned bit = bit_of(thread);
  const std::string who = text_of(index_[thread]);
  if (warp.exited & bit) return who + " has exited";
  if ((warp.in_barrier | warp.in_operation) & bit)
    return who + " waits in " + text_of(lane_of(thread).op, lane_of(thread).site);
  return who + " runs";
}

// ---- nobody can run

std::string Block::why_stalled() const {
  for (int w = 0; w < warp_count_; ++w)
    for (unsigned rest = warps_[w].in_operation; rest != 0; rest &= rest - 1) {
      const int thread = w * kWarpLanes + std::countr_zero(rest);
      const std::string why = why_lane_waits(w, std::countr_zero(rest));
      if (!why.empty())
        return describe(thread) +
               ": deadlock: " + text_of(lane_of(thread).op, lane_of(thread).site) + " with mask " +
               hex(lane_of(thread).mask) + why;
    }
  return why_barrier_waits();
}

std::string Block::why_lane_waits(int w, int k) const {
  const Warp& warp = warps_[w];
  const unsigned mask = warp.lanes[k].mask;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int other = std::countr_zero(rest);
    const bool comes = (warp.in_operation >> other & 1) != 0;
    if (comes && warp.lanes[other].mask == mask) continue;
    return ", but lane " + std::to_string(other) + ": thread " + where_is(w * kWarpLanes + other) +
           (comes ? " with mask " + hex(warp.lanes[other].mask) : "");
  }
  return {};
}

std::string Block::why_barrier_waits() const {
  const int waiting = first_in_barrier_;
  int other = 0;
  while (other < threads_ - 1 && (warp_of(other).in_barrier & bit_of(other))) ++other;
  return describe(waiting) + ": deadlock: waits in " +
         text_of(lane_of(waiting).op, lane_of(waiting).site) + ", but thread " + where_is(other) +
         "; " + std::to_string(in_barrier_) + " of " + std::to_string(threads_) +
         " threads have come";
}

// ---- the end

void Block::fault_of(int thread, const std::string& what) { stop(describe(thread) + ": " + what); }

void Block::stop(std::string text) {
  fault_ = std::move(text);
  stopped_ = true;
  throw Stopped{};
}

}  // namespace tinytorch::twin
