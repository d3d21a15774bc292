// A stable sort of keys with the places they came from: radix sort from the low byte up, three
// launches a byte. All sizes and grids come from the number of keys, so the order, which is unique
// anyway, costs the same whatever the keys are: about 6 us and 5 passes over the pairs per byte.
#pragma once

#include "kernels/cuda/device/device.cuh"

namespace tinytorch::TT_KERNEL_NS {

inline constexpr int kDigitValues = 256;  // one thread of a block per value
inline constexpr int kSortWarps = kDigitValues / kWarp;
inline constexpr int kSortRounds = 16;  // of 32 neighbouring keys, per warp of a tile
inline constexpr int kWarpKeys = kSortRounds * kWarp;  // neighbouring keys of one warp
inline constexpr int kTileKeys = kSortWarps * kWarpKeys;

// U: uint32_t or uint64_t, wide enough for the keys and for `count`.
template <class U>
struct SortedPairs {
  U* keys;
  U* places;
};

// The sum of v over the threads before this one; *total: over all. All threads of a block of
// kDigitValues call it.
template <class U>
__device__ inline U sum_before(U v, U* total) {
  TT_SHARED(U, parts, kWarp);
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  U sum = v;
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const U below = __shfl_up_sync(kAllLanes, sum, offset);
    if (lane >= offset) sum += below;
  }
  __syncthreads();  // the parts of a former call have been read
  if (lane == kWarp - 1) parts[warp] = sum;
  __syncthreads();
  U before = sum - v;
  *total = 0;
  for (int w = 0; w < kSortWarps; ++w) {
    if (w < warp) before += parts[w];
    *total += parts[w];
  }
  return before;
}

template <class U>
__device__ inline int digit_of(U key, int shift) {
  return static_cast<int>(key >> shift) & (kDigitValues - 1);
}

// counts [kDigitValues, tiles]: how often each value of the digit occurs in each tile.
template <class U>
__global__ void __launch_bounds__(kDigitValues)
    radix_count_kernel(U* counts, const U* keys, int64_t count, int shift) {
  TT_SHARED(unsigned, seen, kDigitValues);
  const int tid = static_cast<int>(threadIdx.x);
  seen[tid] = 0;
  __syncthreads();
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kTileKeys;
  for (int64_t i = begin + tid; i < begin + kTileKeys && i < count; i += kDigitValues)
    atomicAdd(&seen[digit_of(keys[i], shift)], 1u);
  __syncthreads();
  counts[static_cast<int64_t>(tid) * gridDim.x + blockIdx.x] = static_cast<U>(seen[tid]);
}

// A block a value of the digit: its counts become sums over the tiles before; totals
// [kDigitValues].
template <class U>
__global__ void __launch_bounds__(kDigitValues)
    radix_scan_kernel(U* counts, U* totals, int64_t tiles) {
  U* const row = counts + static_cast<int64_t>(blockIdx.x) * tiles;
  U before = 0;
  for (int64_t first = 0; first < tiles; first += kDigitValues) {
    const int64_t tile = first + threadIdx.x;
    U total;
    const U sum = sum_before(tile < tiles ? row[tile] : U(0), &total);
    if (tile < tiles) row[tile] = before + sum;
    before += total;
  }
  if (threadIdx.x == 0) totals[blockIdx.x] = before;
}

// The lanes of `among` whose digit equals the caller's. All lanes call it.
__device__ inline unsigned equal_digits(unsigned among, int digit) {
  unsigned equal = among;
  for (int bit = 0; bit < 8; ++bit) {
    const bool set = (digit >> bit & 1) != 0;
    const unsigned lanes = __ballot_sync(kAllLanes, set);
    equal &= set ? lanes : ~lanes;
  }
  return equal;
}

// Moves each pair of a tile to its place by this digit. Within a tile warps hold neighbouring
// pieces and lanes neighbouring keys, so equal digits keep their order.
template <class U>
__global__ void __launch_bounds__(kDigitValues)
    radix_place_kernel(SortedPairs<U> to, SortedPairs<const U> from, const U* counts,
                       const U* totals, int64_t count, int shift) {
  TT_SHARED(U, next, kSortWarps * kDigitValues);  // per warp and value: first the number of keys
                                                  // seen, later the place of the first of them
  const int tid = static_cast<int>(threadIdx.x), lane = tid % kWarp, warp = tid / kWarp;
  for (int w = 0; w < kSortWarps; ++w) next[w * kDigitValues + tid] = 0;
  __syncthreads();
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kTileKeys + warp * kWarpKeys;
  U* const mine = next + warp * kDigitValues;
  U keys[kSortRounds];
  unsigned ranks[kSortRounds];  // among equal digits of the warp
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    if (begin + round * kWarp >= count) break;  // for all lanes alike
    const int64_t i = begin + round * kWarp + lane;
    keys[round] = i < count ? from.keys[i] : U(0);
    const int digit = digit_of(keys[round], shift);
    const unsigned equal = equal_digits(__ballot_sync(kAllLanes, i < count), digit);
    const unsigned below = equal & ((1u << lane) - 1u);
    const U seen = mine[digit];
    ranks[round] = static_cast<unsigned>(seen) + static_cast<unsigned>(__popc(below));
    __syncwarp(kAllLanes);  // all have read `seen`
    if (i < count && below == 0) mine[digit] = seen + static_cast<U>(__popc(equal));
    __syncwarp(kAllLanes);
  }
  U unused;
  U place = sum_before(totals[tid], &unused) +
            counts[static_cast<int64_t>(tid) * gridDim.x + blockIdx.x];  // of value `tid`
  for (int w = 0; w < kSortWarps; ++w) {
    const U seen = next[w * kDigitValues + tid];
    next[w * kDigitValues + tid] = place;
    place += seen;
  }
  __syncthreads();
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int64_t i = begin + round * kWarp + lane;
    if (i >= count) break;
    const U at = mine[digit_of(keys[round], shift)] + static_cast<U>(ranks[round]);
    to.keys[at] = keys[round];
    to.places[at] = from.places[i];
  }
}

// Elements of U that sort_pairs needs besides the two lists of pairs.
inline int64_t sort_scratch(int64_t count) {
  return static_cast<int64_t>(kDigitValues) * (blocks_for(count, kTileKeys) + 1);
}

// Sorts `count` pairs by the low `bits` bits of their keys; returns a or b, whichever holds the
// result. a holds the pairs; scratch [sort_scratch(count)].
template <class U>
SortedPairs<U> sort_pairs(KernelContext& context, SortedPairs<U> a, SortedPairs<U> b, U* scratch,
                          int64_t count, int bits) {
  const uint32_t tiles = blocks_for(count, kTileKeys);
  U *const totals = scratch, *const counts = scratch + kDigitValues;
  for (int shift = 0; shift < bits; shift += 8) {
    launch(radix_count_kernel<U>, {tiles}, {kDigitValues}, 0, context, counts, a.keys, count,
           shift);
    launch(radix_scan_kernel<U>, {kDigitValues}, {kDigitValues}, 0, context, counts, totals,
           static_cast<int64_t>(tiles));
    launch(radix_place_kernel<U>, {tiles}, {kDigitValues}, 0, context, b,
           SortedPairs<const U>{a.keys, a.places}, counts, totals, count, shift);
    const SortedPairs<U> other = a;
    a = b;
    b = other;
  }
  return a;
}

}  // namespace tinytorch::TT_KERNEL_NS
