// The device language for g++ alone: the build forces this header in front of every .cu file of
// kernels/cuda, which then runs on the CPU (grid.h). Words that kernels of this project must not
// use (__shared__, __activemask, float atomics, volatile shuffles without _sync) do not exist here.
#pragma once

// Headers that the macros below must not meet.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/cuda_twin/shim/calls.h"
#include "tests/cuda_twin/shim/device_math.h"
#include "tests/cuda_twin/shim/device_types.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (::tinytorch::twin::read_index(::tinytorch::twin::here.thread))
#define blockIdx (::tinytorch::twin::read_index(::tinytorch::twin::here.block))
#define blockDim (::tinytorch::twin::read_index(::tinytorch::twin::here.block_dim))
#define gridDim (::tinytorch::twin::read_index(::tinytorch::twin::here.grid_dim))
inline constexpr int warpSize = 32;

#define TT_SHARED(T, name, n)                                  \
  static char name##_key;                                      \
  T(&name)                                                     \
  [n] = *static_cast<T(*)[n]>(::tinytorch::twin::shared_array( \
      &name##_key, sizeof(T[n]), alignof(T), #name, {__FILE__, __LINE__}))
#define TT_DYN_SHARED(T, name) \
  T* const name =              \
      static_cast<T*>(::tinytorch::twin::dynamic_shared(alignof(T), {__FILE__, __LINE__}))
#define TT_CHECK_ALIGNED(p, alignment) \
  ::tinytorch::twin::check_aligned(p, alignment, {__FILE__, __LINE__})

// The place of the call, as last parameters of a word.
#define TT_TWIN_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

// ---- barriers

inline void __syncthreads(TT_TWIN_SITE) {
  tinytorch::twin::block_barrier(tinytorch::twin::Op::syncthreads, 0, {file, line});
}
inline int __syncthreads_or(int predicate, TT_TWIN_SITE) {
  return tinytorch::twin::block_barrier(tinytorch::twin::Op::syncthreads_or, predicate,
                                        {file, line}) != 0;
}
inline int __syncthreads_and(int predicate, TT_TWIN_SITE) {
  return tinytorch::twin::block_barrier(tinytorch::twin::Op::syncthreads_and, predicate == 0,
                                        {file, line}) == 0;
}
inline int __syncthreads_count(int predicate, TT_TWIN_SITE) {
  return tinytorch::twin::block_barrier(tinytorch::twin::Op::syncthreads_count, predicate,
                                        {file, line});
}
inline void __syncwarp(unsigned mask = 0xffffffffu, TT_TWIN_SITE) {
  tinytorch::twin::warp_operation(tinytorch::twin::Op::syncwarp, mask, 0, 0, 0, {file, line});
}

// ---- warp operations

namespace tinytorch::twin {

template <class T>
T shuffle(Op op, unsigned mask, T v, int source, Site site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "shuffles move numbers of 4 or 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &v, sizeof v);
  bits = warp_operation(op, mask, bits, sizeof v, source, site);
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
// First lane of the part of the warp that `width` cuts out around the calling lane.
inline int part_of_lane(int width, Site site) {
  if (width <= 0 || width > 32 || (width & (width - 1)) != 0)
    fault_here("the width of a shuffle is not a power of two up to 32", site);
  return lane() & ~(width - 1);
}
inline unsigned vote(Op op, unsigned mask, int predicate, Site site) {
  return static_cast<unsigned>(warp_operation(op, mask, predicate != 0, 4, 0, site));
}
template <class T>
T reduce(Op op, unsigned mask, T v, Site site) {
  return static_cast<T>(warp_operation(op, mask, static_cast<uint64_t>(v), sizeof v, 0, site));
}

}  // namespace tinytorch::twin

template <class T>
T __shfl_sync(unsigned mask, T v, int source, int width = warpSize, TT_TWIN_SITE) {
  const int part = tinytorch::twin::part_of_lane(width, {file, line});
  return tinytorch::twin::shuffle(tinytorch::twin::Op::shfl, mask, v, part + (source & (width - 1)),
                                  {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = warpSize, TT_TWIN_SITE) {
  const int part = tinytorch::twin::part_of_lane(width, {file, line});
  const int lane = tinytorch::twin::lane();
  const bool inside = delta <= static_cast<unsigned>(lane - part);
  return tinytorch::twin::shuffle(tinytorch::twin::Op::shfl_up, mask, v,
                                  inside ? lane - static_cast<int>(delta) : lane, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = warpSize, TT_TWIN_SITE) {
  const int part = tinytorch::twin::part_of_lane(width, {file, line});
  const int lane = tinytorch::twin::lane();
  const bool inside = delta < static_cast<unsigned>(part + width - lane);
  return tinytorch::twin::shuffle(tinytorch::twin::Op::shfl_down, mask, v,
                                  inside ? lane + static_cast<int>(delta) : lane, {file, line});
}
// Lanes of later parts are out of reach, those of earlier parts are not.
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, int width = warpSize, TT_TWIN_SITE) {
  const int part = tinytorch::twin::part_of_lane(width, {file, line});
  const int lane = tinytorch::twin::lane(), source = (lane ^ bits) & (warpSize - 1);
  return tinytorch::twin::shuffle(tinytorch::twin::Op::shfl_xor, mask, v,
                                  source < part + width ? source : lane, {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, TT_TWIN_SITE) {
  return tinytorch::twin::vote(tinytorch::twin::Op::ballot, mask, predicate, {file, line});
}
inline int __any_sync(unsigned mask, int predicate, TT_TWIN_SITE) {
  return tinytorch::twin::vote(tinytorch::twin::Op::any, mask, predicate, {file, line}) != 0;
}
inline int __all_sync(unsigned mask, int predicate, TT_TWIN_SITE) {
  return tinytorch::twin::vote(tinytorch::twin::Op::all, mask, predicate, {file, line}) == mask;
}

#define TT_TWIN_REDUCE(T, name)                                                                \
  inline T __reduce_##name##_sync(unsigned mask, T v, TT_TWIN_SITE) {                          \
    return tinytorch::twin::reduce(tinytorch::twin::Op::reduce_##name, mask, v, {file, line}); \
  }
TT_TWIN_REDUCE(unsigned, add)
TT_TWIN_REDUCE(int, add)
TT_TWIN_REDUCE(unsigned, min)
TT_TWIN_REDUCE(int, min)
TT_TWIN_REDUCE(unsigned, max)
TT_TWIN_REDUCE(int, max)
#undef TT_TWIN_REDUCE

// ---- atomics: the overloads that the device has, but for those of floats

namespace tinytorch::twin {

// f gives the new value; returns the old one.
template <class T, class F>
T atomic_update(T* p, F f) {
  if constexpr (TT_TWIN_TSAN) before_atomic(p);
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(p, &old, f(old), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  after_atomic(p, f(old) != old);
  return old;
}

}  // namespace tinytorch::twin

#define TT_TWIN_ATOMIC(T, name, expression)                                           \
  inline T name(T* p, T v) {                                                          \
    return tinytorch::twin::atomic_update(p, [v](T old) -> T { return expression; }); \
  }
#define TT_TWIN_ATOMICS(T)                                                                        \
  TT_TWIN_ATOMIC(T, atomicExch, (static_cast<void>(old), v))                                      \
  TT_TWIN_ATOMIC(T, atomicMin, v < old ? v : old)                                                 \
  TT_TWIN_ATOMIC(T, atomicMax, old < v ? v : old)                                                 \
  TT_TWIN_ATOMIC(T, atomicAnd, old& v)                                                            \
  TT_TWIN_ATOMIC(T, atomicOr, old | v)                                                            \
  TT_TWIN_ATOMIC(T, atomicXor, old ^ v)                                                           \
  TT_TWIN_ATOMIC(T, atomicAdd,                                                                    \
                 static_cast<T>(static_cast<std::make_unsigned_t<T>>(old) +                       \
                                static_cast<std::make_unsigned_t<T>>(v)))                         \
  inline T atomicCAS(T* p, T expected, T v) {                                                     \
    return tinytorch::twin::atomic_update(p,                                                      \
                                          [=](T old) -> T { return old == expected ? v : old; }); \
  }
TT_TWIN_ATOMICS(int)
TT_TWIN_ATOMICS(unsigned int)
TT_TWIN_ATOMICS(unsigned long long)
#undef TT_TWIN_ATOMICS
TT_TWIN_ATOMIC(long long, atomicMin, v < old ? v : old)
TT_TWIN_ATOMIC(long long, atomicMax, old < v ? v : old)
#undef TT_TWIN_ATOMIC

inline void __threadfence() { tinytorch::twin::fence(); }
inline void __threadfence_block() { tinytorch::twin::fence(); }
inline void __threadfence_system() { tinytorch::twin::fence(); }
inline void __nanosleep(unsigned) { tinytorch::twin::fence(); }

// ---- memory

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, T v) {
  *p = v;
}
[[noreturn]] inline void __trap(TT_TWIN_SITE) {
  tinytorch::twin::fault_here("__trap", {file, line});
}
#undef TT_TWIN_SITE
