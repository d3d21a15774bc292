// Faults in barriers and warp operations: left out, in a branch, with a wrong mask, in a loop that
// not all threads go round as often, waits that never end.
#include "kernels/cuda/device/device.cuh"
#include "tests/cuda_twin/planted.h"

namespace tinytorch::planted {

namespace {

using cuda::kAllLanes;
using cuda::kWarp;

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }

// ---- barriers

template <bool kFault>
__global__ void barrier_left_out_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  s[thread()] = x[thread()];
  if (!kFault) __syncthreads();
  y[thread()] = s[n - 1 - thread()];
}

// Two sums of a block through the same parts: the second one's writes need a barrier after the
// first one's reads.
template <bool kFault>
__device__ float block_sum(float v) {
  TT_SHARED(float, parts, 32);
  v = cuda::warp_reduce<cuda::SumOf>(v);
  if (!kFault) __syncthreads();
  if (thread() % kWarp == 0) parts[thread() / kWarp] = v;
  __syncthreads();
  float s = 0;
  for (int w = 0; w < static_cast<int>(blockDim.x) / kWarp; ++w) s += parts[w];
  return s;
}
template <bool kFault>
__global__ void buffer_used_twice_kernel(const float* x, float* y, unsigned*, int) {
  const float first = block_sum<kFault>(x[thread()]);
  const float second = block_sum<kFault>(2 * x[thread()]);
  y[thread()] = second == 2 * first ? x[thread()] : -1.0f;
}

template <bool kFault>
__global__ void barrier_in_branch_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  s[thread()] = x[thread()];
  if (!kFault || thread() < 40) __syncthreads();
  y[thread()] = s[n - 1 - thread()];
}

template <bool kFault>
__global__ void barriers_in_both_branches_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  s[thread()] = x[thread()];
  if (kFault) {
    if (thread() < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  } else {
    __syncthreads();
  }
  y[thread()] = s[n - 1 - thread()];
}

template <bool kFault>
__global__ void two_kinds_of_barrier_kernel(const float* x, float* y, unsigned*, int) {
  int count = 64;
  if (kFault && thread() >= 32) {
    __syncthreads();
  } else {
    count = __syncthreads_count(1);
  }
  y[thread()] = count == 64 ? x[thread()] : 0.0f;
}

template <bool kFault>
__global__ void exit_before_barrier_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  if (kFault && thread() >= n) return;
  if (thread() < n) s[thread()] = x[thread()];
  __syncthreads();
  if (thread() < n) y[thread()] = s[n - 1 - thread()];
}

template <bool kFault>
__global__ void barrier_in_uneven_loop_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  float v = 0;
  const int rounds = kFault ? (n - thread() + 63) / 64 : (n + 63) / 64;
  for (int r = 0; r < rounds; ++r) {
    const int i = r * 64 + thread();
    s[thread()] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int k = 0; k < 64; ++k) v += s[k];
    __syncthreads();
  }
  if (thread() == 0) y[0] = v;
}

template <bool kFault>
__global__ void warp_waits_for_barrier_kernel(const float* x, float* y, unsigned*, int) {
  float v = x[thread()];
  if (kFault && thread() == 5) __syncthreads();
  v += __shfl_xor_sync(kAllLanes, v, 1) - __shfl_xor_sync(kAllLanes, v, 1);
  if (!kFault || thread() != 5) __syncthreads();
  y[thread()] = v;
}

// ---- warp operations

template <bool kFault>
__global__ void mask_names_exited_lanes_kernel(const float* x, float* y, unsigned*, int n) {
  if (thread() >= n) return;
  const unsigned mask = kFault ? kAllLanes : 0xffffu;
  float v = x[thread()];
  for (int offset = 8; offset > 0; offset /= 2) v += __shfl_xor_sync(mask, v, offset);
  if (thread() == 0) y[0] = v;
}

template <bool kFault>
__global__ void mask_lacks_caller_kernel(const float* x, float* y, unsigned*, int) {
  const unsigned mask = kFault ? 0x7fffffffu : kAllLanes;
  y[thread()] = __shfl_sync(mask, x[thread()], thread());
}

template <bool kFault>
__global__ void lane_missing_kernel(const float* x, float* y, unsigned*, int) {
  float v = x[thread()];
  if (!kFault || thread() != 7) v = __shfl_sync(kAllLanes, v, 31 - thread());
  __syncthreads();
  y[thread()] = v;
}

template <bool kFault>
__global__ void two_masks_meet_kernel(const float* x, float* y, unsigned*, int) {
  const unsigned half = thread() < 16 ? 0xffffu : 0xffff0000u;
  const unsigned mask = kFault && thread() >= 16 ? kAllLanes : half;
  const float v = __shfl_xor_sync(mask, x[thread()], 1);
  y[thread()] = __shfl_xor_sync(half, v, 1);
}

template <bool kFault>
__global__ void two_operations_meet_kernel(const float* x, float* y, unsigned*, int) {
  unsigned all = kAllLanes;
  if (kFault && thread() >= 16) {
    all = __all_sync(kAllLanes, 1) ? kAllLanes : 0u;
  } else {
    all = __ballot_sync(kAllLanes, 1);
  }
  y[thread()] = all == kAllLanes ? x[thread()] : 0.0f;
}

template <bool kFault>
__global__ void shuffle_in_both_branches_kernel(const float* x, float* y, unsigned*, int) {
  float v = x[thread()];
  if (kFault) {
    if (thread() < 16) {
      v = __shfl_sync(kAllLanes, v, 31 - thread());
    } else {
      v = __shfl_sync(kAllLanes, v, 31 - thread());
    }
  } else {
    v = __shfl_sync(kAllLanes, v, 31 - thread());
  }
  y[thread()] = v;
}

template <bool kFault>
__global__ void reads_lane_outside_mask_kernel(const float* x, float* y, unsigned*, int n) {
  if (thread() < 16) {
    const int source = n - 1 - thread() + (kFault ? 1 : 0);
    y[thread()] = __shfl_sync(0xffffu, x[thread()], source, 32);
  }
}

template <bool kFault>
__global__ void part_of_a_warp_kernel(const float* x, float* y, unsigned*, int n) {
  const float v = thread() < n ? x[thread()] : 0.0f;
  const unsigned mask = __ballot_sync(kAllLanes, thread() < n);
  if (thread() < n) y[thread()] = v + static_cast<float>(mask == 0u);
}

// A tree over a warp whose mask covers half of it.
template <bool kFault>
__global__ void reduction_mask_kernel(const float* x, float* y, unsigned*, int) {
  const unsigned mask = kFault ? (thread() < 16 ? 0xffffu : 0xffff0000u) : kAllLanes;
  float v = x[thread()];
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(mask, v, offset);
  if (thread() == 0) y[0] = v;
}

template <bool kFault>
__global__ void reduction_too_short_kernel(const float* x, float* y, unsigned*, int) {
  float v = x[thread()];
  for (int offset = kFault ? 8 : 16; offset > 0; offset /= 2)
    v += __shfl_xor_sync(kAllLanes, v, offset);
  if (thread() == 0) y[0] = v;
}

template <bool kFault>
__global__ void syncwarp_left_out_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 32);
  s[thread()] = x[thread()];
  if (!kFault) __syncwarp();
  y[thread()] = s[n - 1 - thread()];
}

// A shuffle brings lanes together, but orders no memory.
template <bool kFault>
__global__ void shuffle_taken_for_syncwarp_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 32);
  s[thread()] = x[thread()];
  const float zero = __shfl_xor_sync(kAllLanes, 0.0f, 1);
  if (!kFault) __syncwarp();
  y[thread()] = s[n - 1 - thread()] + zero;
}

template <bool kFault>
__global__ void width_kernel(const float* x, float* y, unsigned*, int) {
  y[thread()] = __shfl_sync(kAllLanes, x[thread()], thread(), kFault ? 24 : 32);
}

// ---- threads that wait for others in a loop

template <bool kFault>
__global__ void waits_for_later_block_kernel(const float* x, float* y, unsigned* counters, int) {
  const unsigned wanted = kFault ? 1 - blockIdx.x : blockIdx.x;
  if (blockIdx.x == 0 || !kFault) atomicExch(&counters[blockIdx.x], 1u);
  while (atomicAdd(&counters[wanted], 0u) == 0u) {
  }
  atomicExch(&counters[blockIdx.x], 1u);
  const int i = static_cast<int>(cuda::thread_number());
  y[i] = x[i];
}

template <bool kFault>
__global__ void waits_for_flag_kernel(const float* x, float* y, unsigned* counters, int) {
  if (!kFault && thread() == 0) atomicExch(counters, 1u);
  if (thread() != 0)
    while (atomicAdd(counters, 0u) == 0u) __nanosleep(100);
  __syncthreads();
  if (kFault && thread() == 0) atomicExch(counters, 1u);
  y[thread()] = x[thread()];
}

template <bool kFault>
__global__ void lock_held_at_barrier_kernel(const float* x, float* y, unsigned* counters, int) {
  while (atomicCAS(counters, 0u, 1u) != 0u) {
  }
  if (kFault) __syncthreads();
  atomicExch(counters, 0u);
  __syncthreads();
  y[thread()] = x[thread()];
}

#define TT_BOTH(name) name##_kernel<true>, name##_kernel<false>

}  // namespace

const std::vector<Plant>& meetings() {
  constexpr Shape kTwoWarps = {{1}, {64}}, kOneWarp = {{1}, {32}};
  constexpr Caught kFault = Caught::fault;
  static const std::vector<Plant> plants = {
      {"barrier left out", Caught::poison, "", TT_BOTH(barrier_left_out), kTwoWarps, kTwoWarps, 64,
       reversed, true},
      {"buffer used twice", Caught::wrong, "", TT_BOTH(buffer_used_twice), kTwoWarps, kTwoWarps, 64,
       same, true},
      {"barrier in branch", kFault, "has exited", TT_BOTH(barrier_in_branch), kTwoWarps, kTwoWarps,
       64, reversed},
      {"barriers in both branches", kFault, "divergent barrier", TT_BOTH(barriers_in_both_branches),
       kTwoWarps, kTwoWarps, 64, reversed},
      {"two kinds of barrier", kFault, "divergent barrier", TT_BOTH(two_kinds_of_barrier),
       kTwoWarps, kTwoWarps, 64, same},
      {"exit before barrier", kFault, "has exited", TT_BOTH(exit_before_barrier), kTwoWarps,
       kTwoWarps, 50, reversed},
      {"barrier in uneven loop", kFault, "deadlock", TT_BOTH(barrier_in_uneven_loop), kTwoWarps,
       kTwoWarps, 100, sum},
      {"warp waits for barrier", kFault, "waits in __syncthreads", TT_BOTH(warp_waits_for_barrier),
       kTwoWarps, kTwoWarps, 64, same},
      {"mask names exited lanes", kFault, "exited", TT_BOTH(mask_names_exited_lanes), kOneWarp,
       kOneWarp, 16, sum},
      {"mask lacks caller", kFault, "lacks the calling lane", TT_BOTH(mask_lacks_caller), kOneWarp,
       kOneWarp, 32, same},
      {"lane missing", kFault, "but lane 7", TT_BOTH(lane_missing), kOneWarp, kOneWarp, 32,
       reversed},
      {"two masks meet", kFault, "with mask", TT_BOTH(two_masks_meet), kOneWarp, kOneWarp, 32,
       same},
      {"two operations meet", kFault, "meets", TT_BOTH(two_operations_meet), kOneWarp, kOneWarp, 32,
       same},
      {"shuffle in both branches", kFault, "meets", TT_BOTH(shuffle_in_both_branches), kOneWarp,
       kOneWarp, 32, reversed},
      {"reads lane outside mask", kFault, "reads lane 16", TT_BOTH(reads_lane_outside_mask),
       kOneWarp, kOneWarp, 16, reversed},
      {"part of a warp",
       kFault,
       "does not exist",
       TT_BOTH(part_of_a_warp),
       {{1}, {48}},
       kTwoWarps,
       48,
       same},
      {"reduction with half a mask", kFault, "not in mask", TT_BOTH(reduction_mask), kOneWarp,
       kOneWarp, 32, sum},
      {"reduction too short", Caught::wrong, "", TT_BOTH(reduction_too_short), kOneWarp, kOneWarp,
       32, sum},
      {"syncwarp left out", Caught::poison, "", TT_BOTH(syncwarp_left_out), kOneWarp, kOneWarp, 32,
       reversed, true},
      {"shuffle taken for syncwarp", Caught::race, "", TT_BOTH(shuffle_taken_for_syncwarp),
       kOneWarp, kOneWarp, 32, reversed, true},
      {"width of a shuffle", kFault, "power of two", TT_BOTH(width), kOneWarp, kOneWarp, 32, same},
      {"waits for later block",
       kFault,
       "waits in a loop",
       TT_BOTH(waits_for_later_block),
       {{2}, {32}},
       {{2}, {32}},
       64,
       same},
      {"waits for flag", kFault, "waits in a loop", TT_BOTH(waits_for_flag), kTwoWarps, kTwoWarps,
       64, same},
      {"lock held at barrier", kFault, "waits in a loop", TT_BOTH(lock_held_at_barrier), kTwoWarps,
       kTwoWarps, 64, same},
  };
  return plants;
}

}  // namespace tinytorch::planted
