// Dense rows of moderate length, held in registers from their one reading to their one writing. A
// row belongs to some lanes of a warp or to a block, chosen by its length; neighbouring threads
// hold neighbouring items, packs where the length allows it, else single elements.
#pragma once

#include "kernels/cuda/device/sums.cuh"

namespace tinytorch::TT_KERNEL_NS {

inline constexpr int kRowBlock = 512;  // threads for a row, at most

struct RowSet {
  int64_t rows;
  int n;        // elements of a row
  int group;    // threads for a row: 1, 2, 4, ... 32, or those of a block
  bool packed;  // items may be loaded and stored at once
};

// The calling thread's place. Threads of no row repeat the last one and do not write.
struct Seat {
  int64_t row;
  int thread;
  bool live;
};
__device__ inline Seat seat_of(const RowSet& set) {
  const bool alone = set.group <= kWarp;
  const int64_t row = alone ? thread_number() / set.group : static_cast<int64_t>(blockIdx.x);
  return {row < set.rows ? row : set.rows - 1, static_cast<int>(threadIdx.x) % set.group,
          row < set.rows};
}

// Over all threads of a row, which all get the result. `shared` has room for the warps of a block
// and is used once.
template <class Op, class P>
__device__ inline void join_row(P& part, const RowSet& set, P* shared) {
  if (set.group <= kWarp) return join_lanes<Op>(part, set.group);
  join_lanes<Op>(part, kWarp);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = part;
  __syncthreads();
  part = shared[0];
  for (int i = 1; i < set.group / kWarp; ++i) Op::join(part, shared[i]);
}
struct AddParts {
  template <class P>
  __device__ static void join(P& a, const P& b) {
    a.join(b);
  }
};
struct TakeMax {  // NaN wins
  template <class T>
  __device__ static void join(T& a, const T& b) {
    a = MaxOf::of(a, b);
  }
};

// A thread's part of a row: kItems items of kN elements, item i at (i group + thread) kN.
template <class T, int kN, int kItems>
struct HeldRow {
  T at[kItems][kN];

  // f(column, &element of the thread's own arrays [k][i]) by f(column, k, i).
  template <class F>
  __device__ static void each(const RowSet& set, const Seat& seat, F f) {
    for (int k = 0; k < kItems; ++k) {
      const int column = (k * set.group + seat.thread) * kN;
      if (column >= set.n) break;
      for (int i = 0; i < kN; ++i) f(column + i, k, i);
    }
  }
  __device__ void load(const T* row, const RowSet& set, const Seat& seat) {
    for (int k = 0; k < kItems; ++k) {
      const int column = (k * set.group + seat.thread) * kN;
      if (column >= set.n) break;
      if constexpr (kN > 1) {
        if (set.packed) {
          const Pack<T> pack = load_pack(row + column);
          for (int i = 0; i < kN; ++i) at[k][i] = pack.at[i];
          continue;
        }
      }
      for (int i = 0; i < kN; ++i) at[k][i] = row[column + i];
    }
  }
  __device__ void store(T* row, const RowSet& set, const Seat& seat) const {
    if (!seat.live) return;
    for (int k = 0; k < kItems; ++k) {
      const int column = (k * set.group + seat.thread) * kN;
      if (column >= set.n) break;
      if constexpr (kN > 1) {
        if (set.packed) {
          Pack<T> pack;
          for (int i = 0; i < kN; ++i) pack.at[i] = at[k][i];
          store_pack(row + column, pack);
          continue;
        }
      }
      for (int i = 0; i < kN; ++i) row[column + i] = at[k][i];
    }
  }
};

// ---- on the host. kPacks: packs that a thread holds.

template <class T, int kPacks>
bool can_hold(int64_t n) {
  return n <= int64_t{kRowBlock} * kPacks * kPack<T>;
}

// f(kN as a Number, set, grid, block); `pointers` are those that rows are read from and written to.
template <int kValue>
struct Number {
  static constexpr int value = kValue;
};
template <class T, int kPacks, class F>
void with_rows(int64_t rows, int64_t n, bool aligned, F f) {
  const auto run = [&](auto number) {
    constexpr int kN = decltype(number)::value, kItems = kPacks * kPack<T> / kN;
    const int64_t items = n / kN;
    int group = power_of_two((items + 1) / 2, kWarp);
    if (items > kWarp * kItems) group = power_of_two((2 * items + kItems - 1) / kItems, kRowBlock);
    const RowSet set{rows, static_cast<int>(n), group, aligned};
    if (group > kWarp)
      return f(number, set, Dim3{blocks_for(rows, 1)}, Dim3{static_cast<uint32_t>(group)});
    f(number, set, Dim3{blocks_for(rows * group, kBlock)}, Dim3{threads_for(rows * group)});
  };
  if (n % kPack<T> == 0) {
    run(Number<kPack<T>>());
  } else {
    run(Number<1>());
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
