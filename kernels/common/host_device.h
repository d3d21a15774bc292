// What differs between the host compiler and a device compiler, so that functors are written once.
// No other file mentions
// __CUDACC__. Everything of kernels/common lives in the namespace TT_KERNEL_NS, which the build
// names once per instruction set: nothing here may become a symbol that another instruction set's
// code could pick up.
#pragma once

#include <cstdint>

#include <tinytorch/export.h>

#ifndef TT_KERNEL_NS
#error "the build must define TT_KERNEL_NS, for example cpu::avx2"
#endif

#if defined(__CUDACC__)
#define TT_HD __host__ __device__ __forceinline__
#else
#define TT_HD TT_INLINE
#endif

// In front of a loop of few rounds, to be written out.
#if defined(__CUDA_ARCH__)
#define TT_UNROLL _Pragma("unroll")
#elif defined(__CUDACC__)
#define TT_UNROLL
#else
#define TT_UNROLL _Pragma("GCC unroll 32")
#endif

// Has a multiplication and addition with one rounding that costs no more than one of them.
#if defined(__FMA__) || defined(__CUDACC__)
#define TT_HAS_FMA 1
#else
#define TT_HAS_FMA 0
#endif

namespace tinytorch::TT_KERNEL_NS {

template <class To, class From>
TT_HD To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
#if defined(__CUDACC__)
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
#else
  return __builtin_bit_cast(To, from);
#endif
}

// One rounding everywhere; without hardware for it a call of libm's exact fma.
#if defined(__CUDA_ARCH__)
TT_HD float fma_exact(float a, float b, float c) { return fmaf(a, b, c); }
TT_HD double fma_exact(double a, double b, double c) { return fma(a, b, c); }
TT_HD float floor_of(float x) { return floorf(x); }
TT_HD double floor_of(double x) { return floor(x); }
TT_HD float sqrt_of(float x) { return sqrtf(x); }
TT_HD double sqrt_of(double x) { return sqrt(x); }
TT_HD float fmod_of(float a, float b) { return fmodf(a, b); }
TT_HD double fmod_of(double a, double b) { return fmod(a, b); }
TT_HD uint64_t multiply_high(uint64_t a, uint64_t b) { return __umul64hi(a, b); }
#else
TT_HD float fma_exact(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
TT_HD double fma_exact(double a, double b, double c) { return __builtin_fma(a, b, c); }
TT_HD float floor_of(float x) { return __builtin_floorf(x); }
TT_HD double floor_of(double x) { return __builtin_floor(x); }
TT_HD float sqrt_of(float x) { return __builtin_sqrtf(x); }
TT_HD double sqrt_of(double x) { return __builtin_sqrt(x); }
TT_HD float fmod_of(float a, float b) { return __builtin_fmodf(a, b); }
TT_HD double fmod_of(double a, double b) { return __builtin_fmod(a, b); }
__extension__ typedef unsigned __int128 UInt128;
TT_HD uint64_t multiply_high(uint64_t a, uint64_t b) {
  return static_cast<uint64_t>(UInt128{a} * b >> 64);
}
#endif

// a b + c where one or two roundings are equally good: the cheaper of both.
template <class T>
TT_HD T fma_fast(T a, T b, T c) {
#if TT_HAS_FMA
  return fma_exact(a, b, c);
#else
  return a * b + c;
#endif
}

}  // namespace tinytorch::TT_KERNEL_NS
