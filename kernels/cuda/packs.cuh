// Runs of registers to and from memory in 16-byte pieces, and arrays of shared memory that are
// aligned for them.
#pragma once

#include "kernels/cuda/device/device.cuh"

namespace tinytorch::TT_KERNEL_NS {

template <class T, int n>
struct alignas(16) PackedArray {
  T at[n];
};

// n is a multiple of kPack<T>, memory is aligned to 16 bytes.
template <int n, class T>
__device__ inline void load_packs(T (&to)[n], const T* from) {
#pragma unroll
  for (int i = 0; i < n; i += kPack<T>) {
    const Pack<T> pack = load_pack(from + i);
#pragma unroll
    for (int u = 0; u < kPack<T>; ++u) to[i + u] = pack.at[u];
  }
}
template <int n, class T>
__device__ inline void store_packs(T* to, const T (&from)[n]) {
#pragma unroll
  for (int i = 0; i < n; i += kPack<T>) {
    Pack<T> pack;
#pragma unroll
    for (int u = 0; u < kPack<T>; ++u) pack.at[u] = from[i + u];
    store_pack(to + i, pack);
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
