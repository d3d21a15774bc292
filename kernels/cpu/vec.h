// The widest vector of the instruction set being compiled, as GCC's vector extension, for the loops
// that the compiler does not vectorise by itself: reductions, whose order of operations is part of
// the result. Everything here is forced inline.
#pragma once

#include <cstdint>

#include <tinytorch/export.h>

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#endif

#ifndef TT_KERNEL_NS
#error "TT_KERNEL_NS is given by the build: kernels/cpu is compiled once per instruction set"
#endif

namespace tinytorch::TT_KERNEL_NS {

#if defined(__AVX512F__) && defined(__AVX512BW__)
constexpr int kVecBytes = 64;
#elif defined(__AVX2__)
constexpr int kVecBytes = 32;
#else
constexpr int kVecBytes = 16;
#endif

template <class T>
struct VecOf {
  typedef T Whole __attribute__((vector_size(kVecBytes)));
  typedef T Half __attribute__((vector_size(kVecBytes / 2)));
};
template <class T>
using Vec = typename VecOf<T>::Whole;
template <class T>
using HalfVec = typename VecOf<T>::Half;
template <class T>
constexpr int kLanes = kVecBytes / static_cast<int>(sizeof(T));

template <class T>
TT_INLINE T smaller(T a, T b) {
  return b < a ? b : a;
}
template <class T>
TT_INLINE T larger(T a, T b) {
  return a < b ? b : a;
}
TT_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
TT_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
TT_INLINE void store(T* p, const Vec<T>& v) {
  __builtin_memcpy(p, &v, sizeof v);
}
template <class T>
TT_INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};
}

// The first n lanes from p (0 <= n <= lanes), `rest` in the others; reads nothing past p + n.
template <class T>
TT_INLINE Vec<T> load_part(const T* p, int64_t n, const Vec<T>& rest) {
#if defined(__AVX512F__) && defined(__AVX512BW__)
  const uint64_t mask = n >= kLanes<T> ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
  __m512i v;
  __builtin_memcpy(&v, &rest, sizeof v);
  if constexpr (sizeof(T) == 1) v = _mm512_mask_loadu_epi8(v, mask, p);
  if constexpr (sizeof(T) == 2) v = _mm512_mask_loadu_epi16(v, static_cast<__mmask32>(mask), p);
  if constexpr (sizeof(T) == 4) v = _mm512_mask_loadu_epi32(v, static_cast<__mmask16>(mask), p);
  if constexpr (sizeof(T) == 8) v = _mm512_mask_loadu_epi64(v, static_cast<__mmask8>(mask), p);
  Vec<T> r;
  __builtin_memcpy(&r, &v, sizeof r);
  return r;
#else
  T lanes[kLanes<T>];
  __builtin_memcpy(lanes, &rest, sizeof lanes);
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
#endif
}

// The first n lanes to p.
template <class T>
TT_INLINE void store_part(T* p, int64_t n, const Vec<T>& v) {
#if defined(__AVX512F__) && defined(__AVX512BW__)
  const uint64_t mask = n >= kLanes<T> ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
  __m512i w;
  __builtin_memcpy(&w, &v, sizeof w);
  if constexpr (sizeof(T) == 1) _mm512_mask_storeu_epi8(p, mask, w);
  if constexpr (sizeof(T) == 2) _mm512_mask_storeu_epi16(p, static_cast<__mmask32>(mask), w);
  if constexpr (sizeof(T) == 4) _mm512_mask_storeu_epi32(p, static_cast<__mmask16>(mask), w);
  if constexpr (sizeof(T) == 8) _mm512_mask_storeu_epi64(p, static_cast<__mmask8>(mask), w);
#else
  T lanes[kLanes<T>];
  __builtin_memcpy(lanes, &v, sizeof lanes);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
#endif
}

// p[at[0]], p[at[1]], ...; I is as large as T.
template <class T, class I>
TT_INLINE Vec<T> gather(const T* p, const Vec<I>& at) {
  static_assert(sizeof(T) == sizeof(I));
#if defined(__AVX512F__) && defined(__AVX512BW__)
  __m512i places, v = _mm512_setzero_si512();
  __builtin_memcpy(&places, &at, sizeof places);
  if constexpr (sizeof(T) == 4) v = _mm512_mask_i32gather_epi32(v, 0xffff, places, p, 4);
  if constexpr (sizeof(T) == 8) v = _mm512_mask_i64gather_epi64(v, 0xff, places, p, 8);
  Vec<T> r;
  __builtin_memcpy(&r, &v, sizeof r);
  return r;
#else
  T lanes[kLanes<T>];
  for (int i = 0; i < kLanes<T>; ++i) lanes[i] = p[at[i]];
  return load(lanes);
#endif
}

// Lanes as two vectors of a type twice as large: double of float, int64_t of int32_t.
template <class Wide, class T>
TT_INLINE void widen(const Vec<T>& v, Vec<Wide>& low, Vec<Wide>& high) {
  static_assert(sizeof(T) == 4 && sizeof(Wide) == 8);
  HalfVec<T> a, b;
#if defined(__AVX512F__) && defined(__AVX512BW__)
  a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
  b = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(__AVX2__)
  a = __builtin_shufflevector(v, v, 0, 1, 2, 3);
  b = __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
  a = __builtin_shufflevector(v, v, 0, 1);
  b = __builtin_shufflevector(v, v, 2, 3);
#endif
  low = __builtin_convertvector(a, Vec<Wide>);
  high = __builtin_convertvector(b, Vec<Wide>);
}

// Lanes combined in a fixed tree.
template <class T, class F>
TT_INLINE T across(const Vec<T>& v, F f) {
  T lanes[kLanes<T>];
  __builtin_memcpy(lanes, &v, sizeof lanes);
  for (int step = kLanes<T> / 2; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) lanes[i] = f(lanes[i], lanes[i + step]);
  }
  return lanes[0];
}

}  // namespace tinytorch::TT_KERNEL_NS
