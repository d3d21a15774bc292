// The driver of every row that makes few numbers of many: sums, extremes, moments, dot products.
// What is done to the numbers is an Op; who reads which element is decided here, from the shape
// alone. Along a row neighbouring threads take neighbouring packs; results that stand side by side
// are taken by neighbouring threads; where results are few, several blocks share one, and a second
// launch joins their parts.
//
// An Op is plain data and has: Element, Part (plain data, 4 bytes or a multiple of 8), kInputs and
// in[kInputs], which are walked alike; Local, what local(place) reads once per result; start(); add
// of kN elements, of which the first is number j of its result; join of two parts; and finish,
// which writes the result and is called once for each.
#pragma once

#include "kernels/cuda/device/reduction_plan.cuh"
#include "kernels/cuda/device/sums.cuh"

namespace tinytorch::TT_KERNEL_NS {

struct Nothing {};

template <class T, int kInputs, int kN>
struct Values {
  T at[kInputs][kN];
};

template <int kN, class Op>
__device__ inline auto load_values(const Op& op, int64_t offset, int64_t step, bool packed) {
  using T = typename Op::Element;
  Values<T, Op::kInputs, kN> v;
  for (int i = 0; i < Op::kInputs; ++i) {
    const T* p = op.in[i] + offset;
    if constexpr (kN == kPack<T>) {
      if (packed) {
        const Pack<T> pack = load_pack(p);
        for (int k = 0; k < kN; ++k) v.at[i][k] = pack.at[k];
        continue;
      }
    }
    for (int k = 0; k < kN; ++k) v.at[i][k] = p[k * step];
  }
  return v;
}

// The larger half of an Op that puts all elements of one input into a part: for a P with nothing(),
// join() and add_all(P&, elements).
template <class T, class P>
struct OneInput {
  using Element = T;
  using Part = P;
  using Local = Nothing;
  static constexpr int kInputs = 1;
  const T* in[1];

  __device__ Local local(const Place&) const { return {}; }
  __device__ static P start() { return P::nothing(); }
  template <int kN>
  __device__ void add(P& p, const Local&, const Values<T, 1, kN>& v, int64_t) const {
    add_all(p, v.at[0]);
  }
  __device__ static void join(P& a, const P& b) { a.join(b); }
};

// ---- rows: a group of lanes, or a block, for a result

struct RowWork {
  ReducePlan plan;
  int64_t splits, each;  // blocks for a result, items for each of them
  int64_t group;         // threads for a result: 1, 2, 4, ... 32, or those of a block
  bool straight;         // the elements of an item are evenly spaced, `step` apart
  int64_t step;
  bool packed;  // they may be loaded at once
  void* parts;  // [outputs, splits] where there are several
};

// Elements come in items of kPack, of which the last may be incomplete.
template <class Op>
__device__ inline void add_items(const Op& op, typename Op::Part& part,
                                 const typename Op::Local& local, const RowWork& w, int64_t base,
                                 int64_t first, int64_t end, int64_t stride) {
  using T = typename Op::Element;
  constexpr int kN = kPack<T>, kBatch = sizeof(T) == 1 ? 1 : 4;
  const int64_t complete = w.plan.count / kN, last = end < complete ? end : complete;
  int64_t i = first;
  if (w.straight) {
    for (; i + (kBatch - 1) * stride < last; i += kBatch * stride) {
      Values<T, Op::kInputs, kN> v[kBatch];
      for (int b = 0; b < kBatch; ++b) {
        const int64_t at = base + element_offset(w.plan, (i + b * stride) * kN);
        v[b] = load_values<kN>(op, at, w.step, w.packed);
      }
      for (int b = 0; b < kBatch; ++b) op.add(part, local, v[b], (i + b * stride) * kN);
    }
    for (; i < last; i += stride) {
      const int64_t at = base + element_offset(w.plan, i * kN);
      op.add(part, local, load_values<kN>(op, at, w.step, w.packed), i * kN);
    }
  }
  // What is left: items of uneven spacing, the incomplete one.
  for (; i < end; i += stride) {
    const int64_t stop = (i + 1) * kN < w.plan.count ? (i + 1) * kN : w.plan.count;
    for (int64_t j = i * kN; j < stop; ++j) {
      const int64_t at = base + element_offset(w.plan, j);
      op.add(part, local, load_values<1>(op, at, 0, false), j);
    }
  }
}

template <class Op>
__global__ void __launch_bounds__(kBlock) reduce_rows_kernel(const Op op, const RowWork w) {
  using Part = typename Op::Part;
  TT_SHARED(Part, shared, kBlock / kWarp);
  const int group = static_cast<int>(w.group);
  const bool alone = group <= kWarp;  // the group stays within its warp
  const int64_t number = alone ? thread_number() / group : static_cast<int64_t>(blockIdx.x);
  const int64_t all = w.plan.outputs * w.splits, unit = number < all ? number : all - 1;
  const int thread = static_cast<int>(threadIdx.x) % group;
  const int64_t output = unit / w.splits, begin = unit % w.splits * w.each;
  const int64_t items =
      (w.plan.count + kPack<typename Op::Element> - 1) / kPack<typename Op::Element>;
  const Place place = place_of(w.plan, output);
  const typename Op::Local local = op.local(place);
  Part part = Op::start();
  add_items(op, part, local, w, place.in, begin + thread,
            begin + w.each < items ? begin + w.each : items, group);
  join_lanes<Op>(part, alone ? group : kWarp);
  if (!alone) {
    if (thread % kWarp == 0) shared[thread / kWarp] = part;
    __syncthreads();
    for (int i = 1; thread == 0 && i < group / kWarp; ++i) Op::join(part, shared[i]);
  }
  if (thread != 0 || number >= all) return;
  if (w.splits > 1) {
    static_cast<Part*>(w.parts)[unit] = part;
  } else {
    op.finish(place, local, part);
  }
}

// ---- columns: the last kept axis has unit stride, and lanes lie along it

struct ColumnWork {
  ReducePlan plan;
  int width, height;     // threads of a block along columns, and along the elements of one
  int64_t tiles;         // blocks along the last kept axis
  int64_t splits, each;  // blocks for a result, elements of each
  void* parts;           // [outputs, splits] where there are several
};

template <class Op>
__global__ void __launch_bounds__(kBlock) reduce_columns_kernel(const Op op, const ColumnWork w) {
  using Part = typename Op::Part;
  constexpr int kBatch = 8;
  TT_SHARED(Part, shared, kBlock);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t split = blockIdx.x % w.splits, tile = blockIdx.x / w.splits;
  const int64_t size = static_cast<int64_t>(w.plan.k[w.plan.kept - 1].size.by);
  const int64_t row = tile / w.tiles * size, column = tile % w.tiles * w.width;
  {
    const int64_t own = column + thread % w.width;
    const Place place = place_of(w.plan, row + (own < size ? own : size - 1));
    const typename Op::Local local = op.local(place);
    Part part = Op::start();
    const int64_t begin = split * w.each,
                  end = begin + w.each < w.plan.count ? begin + w.each : w.plan.count;
    int64_t j = begin + thread / w.width;
    for (; j + (kBatch - 1) * w.height < end; j += kBatch * w.height) {
      Values<typename Op::Element, Op::kInputs, 1> v[kBatch];
      for (int b = 0; b < kBatch; ++b) {
        const int64_t at = place.in + element_offset(w.plan, j + b * w.height);
        v[b] = load_values<1>(op, at, 0, false);
      }
      for (int b = 0; b < kBatch; ++b) op.add(part, local, v[b], j + b * w.height);
    }
    for (; j < end; j += w.height) {
      const int64_t at = place.in + element_offset(w.plan, j);
      op.add(part, local, load_values<1>(op, at, 0, false), j);
    }
    shared[thread] = part;
  }
  __syncthreads();
  // The parts of a column now go to neighbouring lanes.
  Part part = shared[thread % w.height * w.width + thread / w.height];
  join_lanes<Op>(part, w.height);
  const int64_t own = column + thread / w.height;
  if (thread % w.height != 0 || own >= size) return;
  if (w.splits > 1) {
    static_cast<Part*>(w.parts)[(row + own) * w.splits + split] = part;
  } else {
    const Place place = place_of(w.plan, row + own);
    op.finish(place, op.local(place), part);
  }
}

// ---- the second launch

template <class Op>
__global__ void __launch_bounds__(kBlock)
    join_parts_kernel(const Op op, const ReducePlan plan, const void* parts, int64_t splits,
                      int group) {
  const int64_t number = thread_number() / group,
                output = number < plan.outputs ? number : plan.outputs - 1;
  const int thread = static_cast<int>(threadIdx.x) % group;
  const typename Op::Part* own = static_cast<const typename Op::Part*>(parts) + output * splits;
  typename Op::Part part = Op::start();
  for (int64_t i = thread; i < splits; i += group) Op::join(part, own[i]);
  join_lanes<Op>(part, group);
  if (thread != 0 || number >= plan.outputs) return;
  const Place place = place_of(plan, output);
  op.finish(place, op.local(place), part);
}

// ---- who does what. All by shape.

inline constexpr int64_t kWantedBlocks = 1024;

// Runs `first`, whose parts, if results have several, a second launch joins.
template <class Op, class Work, class F>
void launch_with_parts(KernelContext& ctx, const Op& op, Work& w, int64_t parts, F first) {
  if (w.splits <= 1) return first();
  const Workspace memory(ctx, static_cast<size_t>(parts) * sizeof(typename Op::Part));
  w.parts = memory.data();
  first();
  const int group = power_of_two((w.splits + 1) / 2, kWarp);
  launch(join_parts_kernel<Op>, {blocks_for(w.plan.outputs * group, kBlock)},
         {threads_for(w.plan.outputs * group)}, 0, ctx, op, w.plan, w.parts, w.splits, group);
}

template <class Op>
void reduce_rows(KernelContext& ctx, const Op& op, const ReducePlan& plan, int lanes) {
  using T = typename Op::Element;
  constexpr int64_t kN = kPack<T>, kLeast = 8 * kBlock;  // items that are worth a block
  const ReduceAxis& inner = plan.r[plan.reduced - 1];
  const int64_t items = (plan.count + kN - 1) / kN, size = static_cast<int64_t>(inner.size.by);
  const bool straight = plan.reduced == 1 || size % kN == 0;
  RowWork w{plan, 1, items, lanes, straight, inner.in, false, nullptr};
  bool even = straight && inner.in == 1;
  for (int d = 0; d < plan.kept; ++d) even = even && plan.k[d].in % kN == 0;
  for (int d = 0; d + 1 < plan.reduced; ++d) even = even && plan.r[d].in % kN == 0;
  for (const T* p : op.in) even = even && aligned16(p);
  w.packed = even;
  if (lanes <= kWarp) {
    return launch(reduce_rows_kernel<Op>, {blocks_for(plan.outputs * lanes, kBlock)},
                  {threads_for(plan.outputs * lanes)}, 0, ctx, op, w);
  }
  const int64_t most = kWantedBlocks / plan.outputs, wanted = (items + kLeast - 1) / kLeast;
  const int64_t splits = wanted < most ? wanted : most < 1 ? 1 : most;
  w.each = ((items + splits - 1) / splits + kBlock - 1) / kBlock * kBlock;
  w.splits = (items + w.each - 1) / w.each;
  launch_with_parts(ctx, op, w, plan.outputs * w.splits, [&] {
    launch(reduce_rows_kernel<Op>, {blocks_for(plan.outputs * w.splits, 1)}, {kBlock}, 0, ctx, op,
           w);
  });
}

template <class Op>
void reduce_columns(KernelContext& ctx, const Op& op, const ReducePlan& plan) {
  const int64_t size = static_cast<int64_t>(plan.k[plan.kept - 1].size.by);
  ColumnWork w{plan, power_of_two(size, kWarp), 0, 0, 1, plan.count, nullptr};
  w.height = kBlock / w.width < kWarp ? kBlock / w.width : kWarp;
  w.tiles = (size + w.width - 1) / w.width;
  const int64_t blocks = plan.outputs / size * w.tiles, least = 32 * w.height;
  const int64_t filled = (plan.count * blocks + kWantedBlocks - 1) / kWantedBlocks;
  w.each = ((filled > least ? filled : least) + w.height - 1) / w.height * w.height;
  w.splits = (plan.count + w.each - 1) / w.each;
  launch_with_parts(ctx, op, w, plan.outputs * w.splits, [&] {
    launch(reduce_columns_kernel<Op>, {blocks_for(blocks * w.splits, 1)},
           {static_cast<uint32_t>(w.width * w.height)}, 0, ctx, op, w);
  });
}

template <class Op>
void run_reduction(KernelContext& ctx, const Op& op, const ReducePlan& plan) {
  constexpr int64_t kN = kPack<typename Op::Element>, kFew = 64;
  if (plan.outputs == 0) return;
  const ReduceAxis& kept = plan.k[plan.kept - 1];
  if (kept.in == 1 && kept.size.by > 1) {
    if (plan.count > kFew) return reduce_columns(ctx, op, plan);
    return reduce_rows(ctx, op, plan, 1);  // lanes lie along the results
  }
  const int64_t items = (plan.count + kN - 1) / kN;
  reduce_rows(ctx, op, plan, items > kBlock ? kBlock : power_of_two((items + 1) / 2, kWarp));
}

}  // namespace tinytorch::TT_KERNEL_NS
