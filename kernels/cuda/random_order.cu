// The row randperm: indices in the order of 64-bit random keys, the smaller index first where keys
// are equal. Keys are uniform, so their upper bits cut them into buckets of at most kBucket on
// average. Indices come to their bucket in any order; there the place of each is the number of
// those before it, which does not depend on that order. Keys are made anew where they are needed:
// besides the indices only counters lie in memory.
#include "kernels/cuda/random.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

constexpr int kBucket = 128;       // elements on average at most, and threads that order them
constexpr int kMost = 512;         // elements that are ordered in shared memory
constexpr int kCounters = 8;       // of a thread of the scan at a time
using Count = unsigned long long;  // as atomicAdd names 64 bits

__device__ inline uint64_t key_at(const RandomState* state, int64_t i) {
  const PhiloxBlock b = words_at(state, i / 2);
  return i % 2 ? join_words(b.w[2], b.w[3]) : join_words(b.w[0], b.w[1]);
}
__device__ inline bool goes_before(uint64_t key, int64_t index, uint64_t other, int64_t at) {
  return key != other ? key < other : index < at;
}

// Orders out[0 .. n), indices in any order, n <= kMost, by all threads of the block.
__device__ inline void order_in_shared(const RandomState* state, int64_t* out, int n) {
  TT_SHARED(uint64_t, keys, kMost);
  TT_SHARED(int64_t, indices, kMost);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) {
    indices[i] = out[i];
    keys[i] = key_at(state, out[i]);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) {
    int place = 0;
    for (int k = 0; k < n; ++k) place += goes_before(keys[k], indices[k], keys[i], indices[i]);
    out[place] = indices[i];
  }
}

// For a bucket that does not fit, which no bucket of random keys ever is.
__device__ inline void order_in_place(const RandomState* state, int64_t* out, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const int64_t index = out[i];
    const uint64_t key = key_at(state, index);
    int64_t k = i;
    for (; k > 0 && goes_before(key, index, key_at(state, out[k - 1]), out[k - 1]); --k)
      out[k] = out[k - 1];
    out[k] = index;
  }
}

// All of a small set, by one block.
__global__ void __launch_bounds__(kBlock)
    randperm_small_kernel(RandomState* state, int64_t* out, int n) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) out[i] = i;
  order_in_shared(state, out, n);  // each thread reads what it wrote
  __syncthreads();
  if (threadIdx.x == 0) advance(state, blocks_used(n, 2));
}

// counters[b]: indices of bucket b, which is the upper bits of the key.
__global__ void __launch_bounds__(kBlock)
    randperm_count_kernel(const RandomState* state, int64_t n, int shift, Count* counters) {
  const int64_t i = 2 * thread_number();
  if (i >= n) return;
  const PhiloxBlock b = words_at(state, i / 2);
  atomicAdd(&counters[join_words(b.w[0], b.w[1]) >> shift], Count{1});
  if (i + 1 < n) atomicAdd(&counters[join_words(b.w[2], b.w[3]) >> shift], Count{1});
}

// Makes counters the sums of those before them, and moves the state on: later kernels read `before`
// instead. One block.
__global__ void __launch_bounds__(kBlock)
    randperm_scan_kernel(Count* counters, int64_t n, RandomState* state, RandomState* before,
                         int64_t blocks) {
  TT_SHARED(Count, sums, kWarp);
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  Count base = 0;
  for (int64_t start = 0; start < n; start += int64_t{blockDim.x} * kCounters) {
    const int64_t first = start + int64_t{threadIdx.x} * kCounters;
    Count own = 0;
    for (int k = 0; k < kCounters && first + k < n; ++k) own += counters[first + k];
    Count up_to = own;  // of the lanes up to this one
    for (int offset = 1; offset < kWarp; offset *= 2) {
      const Count below = __shfl_up_sync(kAllLanes, up_to, offset);
      if (lane >= offset) up_to += below;
    }
    __syncthreads();  // the sums of the round before have been read
    if (lane == kWarp - 1) sums[warp] = up_to;
    __syncthreads();
    Count place = base + up_to - own;
    for (int w = 0; w < static_cast<int>(blockDim.x) / kWarp; ++w) {
      if (w < warp) place += sums[w];
      base += sums[w];
    }
    for (int k = 0; k < kCounters && first + k < n; ++k) {
      const Count count = counters[first + k];
      counters[first + k] = place;
      place += count;
    }
  }
  if (threadIdx.x != 0) return;
  *before = *state;
  advance(state, blocks);
}

// Puts every index into its bucket. Each counter ends where its bucket does.
__global__ void __launch_bounds__(kBlock)
    randperm_scatter_kernel(const RandomState* state, int64_t n, int shift, Count* counters,
                            int64_t* out) {
  const int64_t i = 2 * thread_number();
  if (i >= n) return;
  const PhiloxBlock b = words_at(state, i / 2);
  out[atomicAdd(&counters[join_words(b.w[0], b.w[1]) >> shift], Count{1})] = i;
  if (i + 1 < n) out[atomicAdd(&counters[join_words(b.w[2], b.w[3]) >> shift], Count{1})] = i + 1;
}

// A block for each bucket.
__global__ void __launch_bounds__(kBucket)
    randperm_order_kernel(const RandomState* state, const Count* ends, int64_t* out) {
  const int64_t begin = blockIdx.x == 0 ? 0 : static_cast<int64_t>(ends[blockIdx.x - 1]);
  const int64_t n = static_cast<int64_t>(ends[blockIdx.x]) - begin;
  if (n <= kMost) {
    order_in_shared(state, out + begin, static_cast<int>(n));
  } else if (threadIdx.x == 0) {
    order_in_place(state, out + begin, n);
  }
}

}  // namespace

void randperm(KernelContext& context, const View& out, const View& state) {
  const int64_t n = out.numel;
  if (n == 0) return;
  RandomState* const place = static_cast<RandomState*>(state.data);
  int64_t* const order = out.as<int64_t>();
  if (n <= kMost)
    return launch(randperm_small_kernel, {1}, {threads_for(n)}, 0, context, place, order,
                  static_cast<int>(n));

  int bits = 0;
  while ((n >> bits) > kBucket) ++bits;
  const int64_t buckets = int64_t{1} << bits;
  const Workspace memory(context,
                         sizeof(RandomState) + static_cast<size_t>(buckets) * sizeof(Count));
  RandomState* const before = memory.as<RandomState>();
  Count* const counters = reinterpret_cast<Count*>(before + 1);
  View all{};
  all.data = counters;
  all.numel = buckets;
  all.dtype = Dtype::i64;
  all.contiguous = true;
  fill(context, all, {});
  const int64_t blocks = blocks_used(n, 2);
  const Dim3 pairs{blocks_for(blocks, kBlock)};
  launch(randperm_count_kernel, pairs, {kBlock}, 0, context, place, n, 64 - bits, counters);
  launch(randperm_scan_kernel, {1}, {threads_for((buckets + kCounters - 1) / kCounters)}, 0,
         context, counters, buckets, place, before, blocks);
  launch(randperm_scatter_kernel, pairs, {kBlock}, 0, context, before, n, 64 - bits, counters,
         order);
  launch(randperm_order_kernel, {blocks_for(buckets, 1)}, {kBucket}, 0, context, before, counters,
         order);
}

}  // namespace tinytorch::TT_KERNEL_NS
