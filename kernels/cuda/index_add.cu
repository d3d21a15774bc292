// The rows index_add and scatter_add: additions to one element happen in the order of the indices,
// by one thread or by threads that take turns. Three forms, chosen by shape:
//   turns    scatter_add of many or short columns: one launch, about 1 us per 256 elements of a
//            column (more where indices repeat side by side)
//   ranks    index_add of at most kRanked indices: each finds its place in their stable order by
//            counting the smaller ones; two launches
//   sorted   all others: a radix sort of (target, place) pairs, then as above; 2 launches and 3
//            for every 8 bits of the number of targets
#include "kernels/cuda/index.cuh"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/radix_sort.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// ---- in the order of sorted targets

constexpr int64_t kRanked = 4096;

// A warp lane an index; the warps of the block count in one part of the list each. Bad indices come
// last, as n.
template <class U>
__global__ void __launch_bounds__(kBlock) index_rank_kernel(SortedPairs<U> to, const int64_t* index,
                                                            int64_t m, int64_t n, ErrorSink sink) {
  TT_SHARED(unsigned, before, kBlock);
  const int parts = static_cast<int>(blockDim.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            part = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kWarp + lane;
  const int64_t own = j < m ? index[j] : n, key = in_range(own, n) ? own : n;
  unsigned count = 0;
  for (int64_t k = m * part / parts; k < m * (part + 1) / parts; ++k) {
    const int64_t value = index[k], other = in_range(value, n) ? value : n;
    count += other < key || (other == key && k < j) ? 1u : 0u;
  }
  before[threadIdx.x] = count;
  __syncthreads();
  if (part != 0 || j >= m) return;
  for (int w = 1; w < parts; ++w) count += before[w * kWarp + lane];
  to.keys[count] = static_cast<U>(key);
  to.places[count] = static_cast<U>(j);
  if (key == n) report_index(sink, j, own, n);
}

// The pairs to be sorted: element (o, j, i) of index [outer, m, inner] and where it goes in a
// target [outer, n, inner], or `limit`, which lies behind all targets.
template <class U>
__global__ void __launch_bounds__(kBlock)
    index_target_kernel(SortedPairs<U> to, const int64_t* index, int64_t count, int64_t m,
                        int64_t n, int64_t inner, int64_t limit, ErrorSink sink) {
  const int64_t here = thread_number();
  if (here >= count) return;
  const int64_t row = quotient(here, inner), i = here - row * inner, o = quotient(row, m);
  const int64_t r = index[here];
  const bool good = in_range(r, n);
  to.keys[here] = static_cast<U>(good ? (o * n + r) * inner + i : limit);
  to.places[here] = static_cast<U>(here);
  if (!good) report_index(sink, here, r, n);
}

// out [outer, n, inner] += src [outer, m, inner] at the sorted targets. A thread an element of src:
// the first of its target adds all of them, the others leave at once.
template <class T, class U>
__global__ void __launch_bounds__(kBlock)
    sorted_add_kernel(T* out, const T* src, SortedPairs<const U> pairs, int64_t elements, int64_t m,
                      int64_t n, int64_t inner) {
  constexpr int kAhead = 8;
  const int64_t here = thread_number();
  if (here >= elements) return;
  const int64_t row = quotient(here, inner), i = here - row * inner;
  const int64_t o = quotient(row, m), first = row - o * m;
  const U key = pairs.keys[first];
  if (static_cast<int64_t>(key) >= n || (first > 0 && pairs.keys[first - 1] == key)) return;
  T* const target = out + (o * n + static_cast<int64_t>(key)) * inner + i;
  const T* const from = src + o * m * inner + i;
  T sum = *target;
  int64_t k = first;
  for (; k + kAhead <= m && pairs.keys[k + kAhead - 1] == key; k += kAhead) {  // loads side by side
    T v[kAhead];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) v[a] = from[static_cast<int64_t>(pairs.places[k + a]) * inner];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) sum = add_of(sum, v[a]);
  }
  for (; k < m && pairs.keys[k] == key; ++k)
    sum = add_of(sum, from[static_cast<int64_t>(pairs.places[k]) * inner]);
  *target = sum;
}

// ---- in turns

constexpr int kSlots = 2048;   // of a table of targets, by hash
constexpr int64_t kStrip = 8;  // columns of a block at most: 32 bytes of f32
constexpr int kAtOnce = 4;     // elements a thread loads before it adds the first
constexpr unsigned kTurns = 0xffffffffu / kBlock;  // until the table is cleared

// A block adds a strip of `width` (a power of 2) columns of src [outer, m, inner], rows side by
// side in its threads. Those that meet in a slot of the table go on one after another, the lowest
// (which has the smallest j) first: a turn's entries are smaller than those of the turns before.
template <class T>
__global__ void __launch_bounds__(kBlock, 5)
    scatter_add_turns_kernel(T* out, const int64_t* index, const T* src, int64_t m, int64_t n,
                             int64_t inner, uint32_t strips, int width, ErrorSink sink) {
  TT_SHARED(unsigned, first, kSlots);
  const unsigned tid = threadIdx.x;
  const int64_t o = blockIdx.x / strips;
  const int64_t column = tid % static_cast<unsigned>(width);
  const int64_t i = static_cast<int64_t>(blockIdx.x % strips) * width + column;
  const int64_t rows = blockDim.x / static_cast<unsigned>(width);
  unsigned turn = 0;
  for (int64_t j0 = tid / static_cast<unsigned>(width), start = 0; start < m;
       start += kAtOnce * rows, j0 += kAtOnce * rows) {
    int64_t targets[kAtOnce];  // rows of out; -1: none
    T values[kAtOnce];
#pragma unroll
    for (int a = 0; a < kAtOnce; ++a) {
      const int64_t j = j0 + a * rows, here = (o * m + j) * inner + i;
      targets[a] = -1;
      values[a] = T(0);
      if (j >= m || i >= inner) continue;
      const int64_t r = index[here];
      if (in_range(r, n)) {
        targets[a] = r;
        values[a] = src[here];
      } else {
        report_index(sink, here, r, n);
      }
    }
#pragma unroll
    for (int a = 0; a < kAtOnce; ++a) {
      if (start + a * rows >= m) break;  // for all threads alike
      bool waits = targets[a] >= 0;
      const unsigned slot = static_cast<unsigned>(targets[a] * width + column) % kSlots;
      T* const target = out + (o * n + targets[a]) * inner + i;
      do {
        if (turn == 0) {
          for (unsigned s = tid; s < kSlots; s += blockDim.x) first[s] = 0xffffffffu;
          turn = kTurns;
          __syncthreads();
        }
        --turn;
        const unsigned entry = turn * kBlock + tid;
        if (waits) atomicMin(&first[slot], entry);
        __syncthreads();
        if (waits && first[slot] == entry) {
          *target = add_of(*target, values[a]);
          waits = false;
        }
      } while (__syncthreads_or(waits));
    }
  }
}

// ---- choice

template <class F>
void with_addable(Dtype d, F f) {
  if (d <= Dtype::f64) return with_float(d, f);
  if (d == Dtype::i64) return f(Tag<int64_t>{});
  if (d == Dtype::i32) return f(Tag<int32_t>{});
}
// f(Tag<U>) with an unsigned type that holds `limit` and `count`.
template <class F>
void with_places(int64_t limit, int64_t count, F f) {
  constexpr int64_t kMost = 0xfffffffe;
  if (limit <= kMost && count <= kMost) return f(Tag<uint32_t>{});
  f(Tag<uint64_t>{});
}
int bits_of(int64_t value) {
  int bits = 0;
  for (; value > 0; value >>= 1) ++bits;
  return bits;
}

// out [outer, n, inner] += src [outer, m, inner] at pairs [m].
template <class U>
void add_sorted(KernelContext& context, const View& out, const View& src, SortedPairs<U> pairs,
                int64_t m, int64_t n, int64_t inner) {
  with_addable(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const uint32_t threads = threads_for(src.numel);
    launch(sorted_add_kernel<T, U>, {blocks_for(src.numel, threads)}, {threads}, 0, context,
           out.as<T>(), src.as<const T>(), SortedPairs<const U>{pairs.keys, pairs.places},
           src.numel, m, n, inner);
  });
}

// Adds by a radix sort. index and src are [outer, m, inner] here and the target [outer, n, inner];
// for index_add the index alone is [1, m, 1].
void add_by_sorting(KernelContext& context, const View& out, const View& index, const View& src,
                    int64_t m, int64_t n, int64_t index_inner) {
  const int64_t count = index.numel, limit = count == m ? n : out.numel;
  with_places(limit, count, [&](auto tag) {
    using U = typename decltype(tag)::Type;
    const Workspace memory(context,
                           static_cast<size_t>(4 * count + sort_scratch(count)) * sizeof(U));
    U* const at = memory.as<U>();
    const SortedPairs<U> pairs = {at, at + count}, other = {at + 2 * count, at + 3 * count};
    const uint32_t threads = threads_for(count);
    launch(index_target_kernel<U>, {blocks_for(count, threads)}, {threads}, 0, context, pairs,
           index.as<const int64_t>(), count, m, n, index_inner, limit, error_sink(context));
    const SortedPairs<U> sorted =
        sort_pairs(context, pairs, other, at + 4 * count, count, bits_of(limit));
    if (count == m) {
      add_sorted(context, out, src, sorted, m, n, out.shape[2]);
    } else {
      add_sorted(context, out, src, sorted, count, limit, 1);
    }
  });
}

// The width of a strip, a power of 2.
int64_t strip_of(int64_t inner) {
  int64_t width = 1;
  while (width < inner && width < kStrip) width *= 2;
  return width;
}

void add_in_turns(KernelContext& context, const View& out, const View& index, const View& src,
                  int64_t width) {
  const int64_t m = src.shape[1], inner = src.shape[2], strips = (inner + width - 1) / width;
  with_addable(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    launch(scatter_add_turns_kernel<T>, {static_cast<uint32_t>(src.shape[0] * strips)},
           {threads_for(m * width)}, 0, context, out.as<T>(), index.as<const int64_t>(),
           src.as<const T>(), m, out.shape[1], inner, static_cast<uint32_t>(strips),
           static_cast<int>(width), error_sink(context));
  });
}

}  // namespace

void index_add(KernelContext& context, const View& out, const View& index, const View& src) {
  const int64_t m = index.numel, n = out.shape[1];
  if (src.numel == 0) return check_indices(context, index, n);
  if (m > kRanked) return add_by_sorting(context, out, index, src, m, n, 1);
  const Workspace memory(context, static_cast<size_t>(2 * m) * sizeof(uint64_t));
  with_places(n, m, [&](auto tag) {
    using U = typename decltype(tag)::Type;
    const SortedPairs<U> pairs = {memory.as<U>(), memory.as<U>() + m};
    launch(index_rank_kernel<U>, {blocks_for(m, kWarp)}, {threads_for(m / 8 + 1)}, 0, context,
           pairs, index.as<const int64_t>(), m, n, error_sink(context));
    add_sorted(context, out, src, pairs, m, n, out.shape[2]);
  });
}

void scatter_add(KernelContext& context, const View& out, const View& index, const View& src) {
  if (src.numel == 0) return;
  const int64_t m = src.shape[1], inner = src.shape[2], width = strip_of(inner);
  const int64_t blocks = src.shape[0] * ((inner + width - 1) / width);
  const int64_t steps = (m * width + kBlock - 1) / kBlock;  // of a block
  // A step takes about 1 us, however many blocks up to a device full; the sort about 30 us and
  // 40 ps an element.
  if ((steps <= 32 || blocks >= 128) && blocks <= kMostBlocks)
    return add_in_turns(context, out, index, src, width);
  add_by_sorting(context, out, index, src, m, out.shape[1], inner);
}

}  // namespace tinytorch::TT_KERNEL_NS
