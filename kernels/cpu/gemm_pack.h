// Copies operands into the layout that tiles read: for every k the elements of one panel side by
// side. `out_step` is the distance between two k in the panel; lanes from `count` up to `width`
// become zero (a tile computes with them and throws the result away).
#pragma once

#include <cstddef>
#include <utility>

#include "kernels/cpu/gemm_tile.h"

namespace tinytorch::TT_KERNEL_NS {

namespace pack_detail {

template <class T>
constexpr int kQuad = 16 / static_cast<int>(sizeof(T));  // elements of one 128-bit part of a vector

template <class V, std::size_t... I>
TT_INLINE auto join(const V& a, const V& b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, I...);
}
// In each 128-bit part: groups of G elements of a and b in turn, from the lower or the upper half
// of the part.
template <int kPart, int kGroup, int kUpper, int kWhole, class V, std::size_t... I>
TT_INLINE V interleave(const V& a, const V& b, std::index_sequence<I...>) {
  return __builtin_shufflevector(
      a, b,
      (I / kPart * kPart + kUpper * kPart / 2 + I % kPart / (2 * kGroup) * kGroup + I % kGroup +
       (I / kGroup % 2 ? static_cast<std::size_t>(kWhole) : 0))...);
}
template <int kGroup, int kUpper, class T>
TT_INLINE Vec<T> mix(const Vec<T>& a, const Vec<T>& b) {
  return interleave<kQuad<T>, kGroup, kUpper, kLanes<T>>(a, b,
                                                         std::make_index_sequence<kLanes<T>>());
}

template <class T>
TT_INLINE auto load_quad(const T* p) {
  typedef T Q __attribute__((vector_size(16)));
  Q q;
  __builtin_memcpy(&q, p, sizeof q);
  return q;
}
// Parts of the rows i, i + kQuad, i + 2 kQuad, ... side by side.
template <class T>
TT_INLINE Vec<T> gather_quads(const T* const* rows, int64_t p) {
  [[maybe_unused]] constexpr int kQ = kQuad<T>;
#if defined(__AVX512F__)  // insertions from memory with a mask need no shuffle
  if constexpr (sizeof(T) == 4) {
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(rows[0] + p));
    v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(rows[kQ] + p));
    v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(rows[2 * kQ] + p));
    return (Vec<T>)_mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(rows[3 * kQ] + p));
  } else {
    __m512d v = _mm512_castpd128_pd512(_mm_loadu_pd(rows[0] + p));
    v = _mm512_mask_broadcast_f64x2(v, 0x0c, _mm_loadu_pd(rows[kQ] + p));
    v = _mm512_mask_broadcast_f64x2(v, 0x30, _mm_loadu_pd(rows[2 * kQ] + p));
    return (Vec<T>)_mm512_mask_broadcast_f64x2(v, 0xc0, _mm_loadu_pd(rows[3 * kQ] + p));
  }
#elif defined(__AVX2__)
  return join(load_quad(rows[0] + p), load_quad(rows[kQ] + p), std::make_index_sequence<2 * kQ>());
#else
  return load_quad(rows[0] + p);
#endif
}

// Elements p .. p + kQuad - 1 of as many rows as a vector has lanes: out[j] becomes element p + j
// of every row.
template <class T>
TT_INLINE void transpose_quads(const T* const* rows, int64_t p, Vec<T>* out) {
  if constexpr (sizeof(T) == 8) {
    const Vec<T> v0 = gather_quads<T>(rows, p), v1 = gather_quads<T>(rows + 1, p);
    out[0] = mix<1, 0, T>(v0, v1);
    out[1] = mix<1, 1, T>(v0, v1);
  } else {
    const Vec<T> v0 = gather_quads<T>(rows, p), v1 = gather_quads<T>(rows + 1, p);
    const Vec<T> v2 = gather_quads<T>(rows + 2, p), v3 = gather_quads<T>(rows + 3, p);
    const Vec<T> a = mix<1, 0, T>(v0, v1), b = mix<1, 0, T>(v2, v3);
    out[0] = mix<2, 0, T>(a, b);
    out[1] = mix<2, 1, T>(a, b);
    const Vec<T> c = mix<1, 1, T>(v0, v1), d = mix<1, 1, T>(v2, v3);
    out[2] = mix<2, 0, T>(c, d);
    out[3] = mix<2, 1, T>(c, d);
  }
}

// Lane j is in[j in_row] for j < n, else zero.
template <class T>
TT_INLINE Vec<T> gather_column(const T* in, int64_t in_row, int64_t n,
                               [[maybe_unused]] Lanes<T> valid) {
#if defined(__AVX512F__)
  if (in_row < INT32_MAX / 64) {  // indices are 32 bits wide
    const int step = static_cast<int>(in_row);
    if constexpr (sizeof(T) == 4) {
      const __m512i at = _mm512_mullo_epi32(
          _mm512_set1_epi32(step),
          _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
      return (Vec<T>)_mm512_mask_i32gather_ps(_mm512_setzero_ps(),
                                              static_cast<__mmask16>(valid.bits), at, in, 4);
    } else {
      const __m256i at =
          _mm256_mullo_epi32(_mm256_set1_epi32(step), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      return (Vec<T>)_mm512_mask_i32gather_pd(_mm512_setzero_pd(),
                                              static_cast<__mmask8>(valid.bits), at, in, 8);
    }
  }
#endif
  Vec<T> v{};
  for (int64_t j = 0; j < n; ++j) v[j] = in[j * in_row];
  return v;
}

}  // namespace pack_detail

// out[p out_step + j] = in[j in_row + p] for j < count.
template <class T>
TT_INLINE void pack_transposed(const T* in, int64_t in_row, int64_t k, int64_t count, int64_t width,
                               T* out, int64_t out_step) {
  constexpr int kW = kLanes<T>, kQ = pack_detail::kQuad<T>;
  for (int64_t j0 = 0; j0 < width; j0 += kW) {
    const int64_t n = count - j0 < 0    ? 0
                      : count - j0 < kW ? count - j0
                                        : kW,
                  room = width - j0 < kW ? width - j0 : kW;
    const T* rows[kW];
    for (int64_t j = 0; j < kW; ++j) rows[j] = in + (j0 + (j < n ? j : 0)) * in_row;
    const Lanes<T> valid(n), stored(room);
    int64_t p = 0;
    T* to = out + j0;
    if (n > 0) {
      for (; p + kQ <= k; p += kQ, to += kQ * out_step) {
        Vec<T> v[kQ];
        pack_detail::transpose_quads<T>(rows, p, v);
        TT_UNROLL for (int q = 0; q < kQ; ++q) {
          if (n == kW) {
            store(to + q * out_step, v[q]);
          } else if (room < kW) {
            store_lanes(to + q * out_step, v[q], valid);
          } else {
            store_lanes(to + q * out_step, Vec<T>{}, stored);
            store_lanes(to + q * out_step, v[q], valid);
          }
        }
      }
    }
    for (; p < k; ++p, to += out_step) {
      store_lanes(to, pack_detail::gather_column<T>(in + j0 * in_row + p, in_row, n, valid),
                  stored);
    }
  }
}

constexpr int64_t kCopiedRows = 8;  // rows copied to one panel before the next

// out[p out_step + j] = in[p in_row + j] for j < count.
template <class T>
TT_INLINE void pack_copied(const T* in, int64_t in_row, int64_t k, int64_t count, int64_t width,
                           T* out, int64_t out_step) {
  constexpr int kW = kLanes<T>;
  if (count == width && width == 2 * kW) {
    for (int64_t p = 0; p < k; ++p, in += in_row, out += out_step) {
      store(out, load(in));
      store(out + kW, load(in + kW));
      __builtin_prefetch(in + kCopiedRows * in_row);
      __builtin_prefetch(in + kCopiedRows * in_row + kW);
    }
    return;
  }
  for (int64_t j0 = 0; j0 < width; j0 += kW) {
    const int64_t n = count - j0 < 0    ? 0
                      : count - j0 < kW ? count - j0
                                        : kW,
                  room = width - j0 < kW ? width - j0 : kW;
    const Lanes<T> valid(n), stored(room);
    const T* from = in + j0;
    T* to = out + j0;
    for (int64_t p = 0; p < k; ++p, from += in_row, to += out_step) {
      store_lanes(to, load_lanes(from, valid), stored);
      __builtin_prefetch(from + kCopiedRows * in_row);
    }
  }
}

// The same for panels side by side: panel i holds columns [begin(i), begin(i + 1)) of `in`, its
// rows `width(i)` wide from out + begin(i) k. Reads run along the rows: one panel after another
// would touch a page of memory for every few bytes.
template <class T, class Begin, class Width>
TT_INLINE void pack_copied_panels(const T* in, int64_t in_row, int64_t k, int64_t panels,
                                  const Begin& begin, const Width& width, T* out) {
  for (int64_t p = 0; p < k; p += kCopiedRows) {
    const int64_t rows = k - p < kCopiedRows ? k - p : kCopiedRows;
    for (int64_t i = 0; i < panels; ++i) {
      const int64_t column = begin(i), step = width(i);
      pack_copied(in + p * in_row + column, in_row, rows, begin(i + 1) - column, step,
                  out + column * k + p * step, step);
    }
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
