// Faults whose result depends on the order of threads or blocks, and races that no order shows: the
// twin runs one thread at a time, so that an increment is never torn. Those ThreadSanitizer sees.
#include "kernels/cuda/device/device.cuh"
#include "tests/cuda_twin/planted.h"

namespace tinytorch::planted {

namespace {

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }
__device__ inline int place() { return static_cast<int>(cuda::thread_number()); }

// ---- seen by comparing orders

// Every block writes the same places.
template <bool kFault>
__global__ void blocks_write_one_place_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = place();
  y[kFault ? thread() : i] = x[i];
  if (kFault && i + 32 < n) y[i + 32] = x[i + 32];
}

template <bool kFault>
__global__ void threads_write_one_place_kernel(const float* x, float* y, unsigned*, int) {
  TT_SHARED(float, s, 1);
  if (kFault || thread() == 0) s[0] = x[thread()];
  __syncthreads();
  y[thread()] = s[0];
}
std::vector<float> first_everywhere(const std::vector<float>& x) {
  return std::vector<float>(x.size(), x[0]);
}

// Places given out in the order of arrival.
template <bool kFault>
__global__ void place_by_arrival_kernel(const float* x, float* y, unsigned* counters, int) {
  const int at = static_cast<int>(atomicAdd(counters, 1u));
  y[kFault ? at : place()] = x[place()];
}

// A float sum in the order of arrival: right within rounding, but not the same bits.
template <bool kFault>
__global__ void sum_by_arrival_kernel(const float* x, float* y, unsigned* counters, int n) {
  float s = 0;
  if (kFault) {
    float* const total = reinterpret_cast<float*>(counters + 1);  // starts at 0
    while (atomicCAS(counters, 0u, 1u) != 0u) {
    }
    __threadfence();
    *total += x[thread()] * 0.1f;
    __threadfence();
    atomicExch(counters, 0u);
    __syncthreads();
    s = *total;
  } else {
    for (int i = 0; i < n; ++i) s += x[i] * 0.1f;
  }
  if (thread() == 0) y[0] = s;
}
std::vector<float> sum_of_tenths(const std::vector<float>& x) {
  float s = 0;
  for (float v : x) s += v * 0.1f;
  return {s};
}

// A block reads what an earlier block wrote: there are no earlier blocks.
template <bool kFault>
__global__ void reads_of_other_blocks_kernel(const float* x, float* y, unsigned* counters, int) {
  if (thread() == 0) atomicAdd(&counters[blockIdx.x], 1u);
  __syncthreads();
  const unsigned before = kFault ? (blockIdx.x == 0 ? 1u : atomicAdd(&counters[blockIdx.x - 1], 0u))
                                 : atomicAdd(&counters[blockIdx.x], 0u);
  y[place()] = before == 1u ? x[place()] : 0.0f;
}

// A scan in place by a whole block: values of this round are read as if of the last one.
template <bool kFault>
__global__ void scan_in_place_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  s[thread()] = x[thread()];
  __syncthreads();
  for (int offset = 1; offset < n; offset *= 2) {
    const float add = thread() >= offset ? s[thread() - offset] : 0.0f;
    if (!kFault) __syncthreads();
    s[thread()] += add;
    __syncthreads();
  }
  y[thread()] = s[thread()];
}
std::vector<float> running_sums(const std::vector<float>& x) {
  std::vector<float> y = x;
  for (size_t i = 1; i < y.size(); ++i) y[i] += y[i - 1];
  return y;
}

// A transposed tile that is written again before all have read it.
template <bool kFault>
__global__ void tile_used_again_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, tile, 64);
  for (int base = 0; base < n; base += 64) {
    tile[thread()] = x[base + thread()];
    __syncthreads();
    y[base + thread()] = tile[63 - thread()];
    if (!kFault) __syncthreads();
  }
}
std::vector<float> reversed_by_64(const std::vector<float>& x) {
  std::vector<float> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i / 64 * 64 + 63 - i % 64];
  return y;
}

// In place, but each thread also reads its neighbour's place.
template <bool kFault>
__global__ void neighbour_in_place_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = thread();
  y[i] = x[i];
  __syncthreads();
  const float next = i + 1 < n ? y[i + 1] : 0.0f;
  if (!kFault) __syncthreads();
  y[i] += next;
}
std::vector<float> sums_with_next(const std::vector<float>& x) {
  std::vector<float> y = x;
  for (size_t i = 0; i + 1 < x.size(); ++i) y[i] += x[i + 1];
  return y;
}

// ---- seen by ThreadSanitizer only

template <bool kFault>
__global__ void blocks_add_without_atomic_kernel(const float* x, float* y, unsigned* counters,
                                                 int) {
  if (thread() == 0) {
    if (kFault) {
      counters[0] += 1;
    } else {
      atomicAdd(counters, 1u);
    }
  }
  y[place()] = x[place()];
}

template <bool kFault>
__global__ void threads_add_without_atomic_kernel(const float* x, float* y, unsigned*, int) {
  TT_SHARED(unsigned, count, 1);
  if (thread() == 0) count[0] = 0;
  __syncthreads();
  if (kFault) {
    count[0] += 1;
  } else {
    atomicAdd(count, 1u);
  }
  __syncthreads();
  y[thread()] = count[0] == blockDim.x ? x[thread()] : 0.0f;
}

// The block that comes last adds up what the others left; they must have fenced it.
template <bool kFault>
__global__ void last_block_without_fence_kernel(const float* x, float* y, unsigned* counters,
                                                int n) {
  TT_SHARED(int, last, 1);
  if (thread() == 0) {
    counters[1 + blockIdx.x] = static_cast<unsigned>(x[blockIdx.x] + 100.0f);
    if (!kFault) __threadfence();
    last[0] = atomicAdd(counters, 1u) == gridDim.x - 1;
    if (!kFault) __threadfence();
  }
  __syncthreads();
  if (last[0] == 0 || thread() != 0) return;
  float s = 0;
  for (int b = 0; b < n; ++b) s += static_cast<float>(counters[1 + b]) - 100.0f;
  y[0] = s;
}

// All write the same value: harmless by luck.
template <bool kFault>
__global__ void all_write_the_same_kernel(const float* x, float* y, unsigned*, int) {
  TT_SHARED(float, s, 1);
  if (kFault || thread() == 0) s[0] = 1.0f;
  __syncthreads();
  y[thread()] = x[thread()] * s[0];
}

#define TT_BOTH(name) name##_kernel<true>, name##_kernel<false>

}  // namespace

const std::vector<Plant>& order() {
  constexpr Shape kTwoWarps = {{1}, {64}}, kTwoBlocks = {{2}, {32}}, kFourBlocks = {{4}, {32}};
  constexpr Caught kOrder = Caught::order, kWrong = Caught::wrong, kRace = Caught::race;
  static const std::vector<Plant> plants = {
      {"blocks write one place", kOrder, "", TT_BOTH(blocks_write_one_place), kTwoBlocks,
       kTwoBlocks, 64, same, true},
      {"threads write one place", kOrder, "", TT_BOTH(threads_write_one_place), kTwoWarps,
       kTwoWarps, 64, first_everywhere, true},
      {"place by arrival", kOrder, "", TT_BOTH(place_by_arrival), kTwoBlocks, kTwoBlocks, 64, same},
      {"sum by arrival", kOrder, "", TT_BOTH(sum_by_arrival), kTwoWarps, kTwoWarps, 64,
       sum_of_tenths},
      {"reads of other blocks", kOrder, "", TT_BOTH(reads_of_other_blocks), kFourBlocks,
       kFourBlocks, 128, same},
      {"scan in place", kWrong, "", TT_BOTH(scan_in_place), kTwoWarps, kTwoWarps, 64, running_sums,
       true},
      {"tile used again", kWrong, "", TT_BOTH(tile_used_again), kTwoWarps, kTwoWarps, 256,
       reversed_by_64, true},
      {"neighbour in place", kOrder, "", TT_BOTH(neighbour_in_place), kTwoWarps, kTwoWarps, 64,
       sums_with_next, true},
      {"blocks add without atomic", kRace, "", TT_BOTH(blocks_add_without_atomic), kFourBlocks,
       kFourBlocks, 128, same, true},
      {"threads add without atomic", kRace, "", TT_BOTH(threads_add_without_atomic), kTwoWarps,
       kTwoWarps, 64, same, true},
      {"last block without fence", kRace, "", TT_BOTH(last_block_without_fence), kFourBlocks,
       kFourBlocks, 4, sum, true},
      {"all write the same", kRace, "", TT_BOTH(all_write_the_same), kTwoWarps, kTwoWarps, 64, same,
       true},
  };
  return plants;
}

}  // namespace tinytorch::planted
