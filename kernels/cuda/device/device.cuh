// What every kernel file starts with: the words of the device language that the project uses, in a
// form that the device compiler and the CPU twin's shim (forced in front of every file by its
// build) both understand; sums and maxima over warps and blocks in a fixed tree; 16-byte access;
// indices. The rules for kernels stand in docs/cuda.md.
#pragma once

#include <cstdint>

#include <tinytorch/backend/view.h>

#include "backends/cuda/rt.h"
#include "kernels/common/convert.h"
#include "kernels/common/functors.h"

// Shared memory: T name[n], and the dynamic part of a launch. The shim brings its own.
#ifndef TT_SHARED
#define TT_SHARED(T, name, n) __shared__ T name[n]
#define TT_DYN_SHARED(T, name)                               \
  extern __shared__ __align__(16) unsigned char tt_shared[]; \
  T* const name = reinterpret_cast<T*>(tt_shared)
#define TT_CHECK_ALIGNED(p, alignment)  // the device checks by itself
#endif

namespace tinytorch::TT_KERNEL_NS {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr int kBlock = 256;  // threads of a block, unless a kernel says otherwise
inline constexpr int64_t kMostBlocks = 0x7fffffff;  // in x; 65535 in y and z

// Blocks for n pieces of work, `each` to a block.
inline uint32_t blocks_for(int64_t n, int64_t each) {
  return static_cast<uint32_t>((n + each - 1) / each);
}
// Threads of a block for n elements: whole warps, at most kBlock.
inline uint32_t threads_for(int64_t n) {
  return n >= kBlock ? kBlock : static_cast<uint32_t>((n + kWarp - 1) / kWarp * kWarp);
}

__device__ inline int64_t thread_number() {  // of a one-dimensional grid
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// ---- reductions in a fixed tree

struct SumOf {
  template <class T>
  TT_HD static T of(T a, T b) {
    return a + b;
  }
};
struct MaxOf {  // NaN wins
  template <class T>
  TT_HD static T of(T a, T b) {
    return a != a || a > b ? a : b;
  }
};

// Over all 32 lanes, which must all call it; every lane gets the result.
template <class Op, class T>
__device__ inline T warp_reduce(T v) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    v = Op::of(v, __shfl_xor_sync(kAllLanes, v, offset));
  return v;
}

// Over all threads of a one-dimensional block of whole warps, which must all call it; every thread
// gets the result. `neutral` changes nothing: 0 for a sum.
template <class Op, class T>
__device__ inline T block_reduce(T v, T neutral) {
  TT_SHARED(T, parts, kWarp);
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  v = warp_reduce<Op>(v);
  __syncthreads();  // the parts of a former call have been read
  if (lane == 0) parts[warp] = v;
  __syncthreads();
  return warp_reduce<Op>(lane < warps ? parts[lane] : neutral);
}

// ---- 16 bytes at once

// Elements of one 16-byte access.
template <class T>
inline constexpr int kPack = 16 / static_cast<int>(sizeof(T));
template <class T>
struct Pack {
  T at[kPack<T>];
};
inline bool aligned16(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }
template <class T>
__device__ inline Pack<T> load_pack(const T* p) {
  TT_CHECK_ALIGNED(p, 16);
  return bits_as<Pack<T>>(*reinterpret_cast<const uint4*>(p));
}
template <class T>
__device__ inline void store_pack(T* p, const Pack<T>& v) {
  TT_CHECK_ALIGNED(p, 16);
  *reinterpret_cast<uint4*>(p) = bits_as<uint4>(v);
}

// ---- strided views

// Shape and strides of N views of one shape, small enough for a kernel's arguments.
template <int N>
struct Strided {
  int rank;
  int64_t shape[kMaxRank];
  int64_t strides[N][kMaxRank];
};
template <int N>
Strided<N> strided_of(const View* const (&views)[N]) {
  Strided<N> s{};
  s.rank = views[0]->rank;
  for (int d = 0; d < s.rank; ++d) {
    s.shape[d] = views[0]->shape[d];
    for (int v = 0; v < N; ++v) s.strides[v][d] = views[v]->strides[d];
  }
  return s;
}
// Element offsets of the row-major position `linear`.
template <int N>
__device__ inline void offsets_at(const Strided<N>& s, int64_t linear, int64_t (&offsets)[N]) {
  for (int v = 0; v < N; ++v) offsets[v] = 0;
  for (int d = s.rank - 1; d >= 0; --d) {
    const int64_t at = linear % s.shape[d];
    linear /= s.shape[d];
    for (int v = 0; v < N; ++v) offsets[v] += at * s.strides[v][d];
  }
}

// ---- bad values

// Keeps the error with the smallest position; the caller then goes on without touching memory out
// of range. A lock, since the word is more than one atomic: only programs with a bug pay for it.
__device__ inline void report_value_error(const ErrorSink& sink, ValueErrorKind kind,
                                          int64_t position, int64_t value, int64_t limit) {
  ErrorWord* word = sink.word;
  for (bool done = false; !done;) {
    if (atomicCAS(&word->lock, 0u, 1u) != 0u) continue;
    __threadfence();
    volatile ErrorWord* const w = word;
    if (w->kind == 0 || position < w->position) {
      w->op = sink.op;
      w->position = position;
      w->value = value;
      w->limit = limit;
      w->kind = static_cast<uint32_t>(kind);
    }
    *sink.flag = 1;
    __threadfence();
    atomicExch(&word->lock, 0u);
    done = true;
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
