// The register tile of the own gemm engine: R rows by NV vectors of C stay in registers while k
// runs. R is broadcast from A, the vectors come from B. Every element of C is one chain of
// multiply-adds in the order of k, whatever the tile, so cutting C differently changes no bit.
#pragma once

#include <tinytorch/backend/params.h>

#include "kernels/common/host_device.h"
#include "kernels/cpu/vec.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace tinytorch::TT_KERNEL_NS {

// Rows and vectors that fit the register file beside two vectors of B and one broadcast.
#if defined(__AVX512F__)
constexpr int kTileRows = 14;
#elif defined(__aarch64__)
constexpr int kTileRows = 12;
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 5;
#endif
constexpr int kTileVectors = 2;
template <class T>
constexpr int kTileCols = kTileVectors* kLanes<T>;  // width of a panel of B

// The lanes below n, for loads and stores that must not touch the others. Fast where the
// instruction set has masked memory access.
#if defined(__AVX512F__)
constexpr bool kMaskedMemory = true;
template <class T>
struct Lanes {
  uint32_t bits;
  TT_INLINE explicit Lanes(int64_t n) : bits(static_cast<uint32_t>((uint64_t{1} << n) - 1)) {}
};
TT_INLINE Vec<float> load_lanes(const float* p, Lanes<float> lanes) {
  return (Vec<float>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes.bits), p);
}
TT_INLINE Vec<double> load_lanes(const double* p, Lanes<double> lanes) {
  return (Vec<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes.bits), p);
}
TT_INLINE void store_lanes(float* p, const Vec<float>& v, Lanes<float> lanes) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>(lanes.bits), (__m512)v);
}
TT_INLINE void store_lanes(double* p, const Vec<double>& v, Lanes<double> lanes) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(lanes.bits), (__m512d)v);
}
#elif defined(__AVX2__)
constexpr bool kMaskedMemory = true;
template <class T>
struct Lanes {
  __m256i bits;
  TT_INLINE explicit Lanes(int64_t n) {
    if constexpr (sizeof(T) == 4) {
      bits = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    } else {
      bits = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
    }
  }
};
TT_INLINE Vec<float> load_lanes(const float* p, Lanes<float> lanes) {
  return (Vec<float>)_mm256_maskload_ps(p, lanes.bits);
}
TT_INLINE Vec<double> load_lanes(const double* p, Lanes<double> lanes) {
  return (Vec<double>)_mm256_maskload_pd(p, lanes.bits);
}
TT_INLINE void store_lanes(float* p, const Vec<float>& v, Lanes<float> lanes) {
  _mm256_maskstore_ps(p, lanes.bits, (__m256)v);
}
TT_INLINE void store_lanes(double* p, const Vec<double>& v, Lanes<double> lanes) {
  _mm256_maskstore_pd(p, lanes.bits, (__m256d)v);
}
#else
constexpr bool kMaskedMemory = false;
template <class T>
struct Lanes {
  int64_t n;
  TT_INLINE explicit Lanes(int64_t count) : n(count) {}
};
template <class T>
TT_INLINE Vec<T> load_lanes(const T* p, Lanes<T> lanes) {
  return load_part<T>(p, lanes.n, Vec<T>{});
}
template <class T>
TT_INLINE void store_lanes(T* p, const Vec<T>& v, Lanes<T> lanes) {
  for (int64_t i = 0; i < lanes.n; ++i) p[i] = v[i];
}
#endif

template <class T>
struct Tile {
  int64_t k;
  const T* a;
  int64_t a_row,
      a_step;  // A(i, p) = a[i a_row + p a_step]; packed panels have 1 and the number of rows
  const T* b;
  int64_t b_step;
  T* c;
  int64_t c_row;
  int64_t cols;  // of C that exist: at most the width of the tile, more than one vector less
  const int64_t* offsets;  // indirect: row p of B is b + offsets[p]
  bool accumulate, relu;
  const T *row_bias, *col_bias;  // may be null
};

template <class T>
using TileFunction = void (*)(const Tile<T>&);

// How a tile reads its operands. packed: A from a packed panel, B from one or from whole vectors in
// place. in_place: A with strides. in_place_cut: and the last vector of B only as far as `cols`.
// indirect: A packed, every row of B at an offset of its own, in whole vectors (convolution reads
// an image like that).
enum class TileReads { packed, in_place, in_place_cut, indirect };

// Sums of `rows` rows by NV vectors to C, with all that may go with it; one copy serves all tiles.
template <class T, int NV>
__attribute__((noinline)) void finish_tile(const Tile<T>& t, const Vec<T>* sums, int rows) {
  using V = Vec<T>;
  constexpr int kW = kLanes<T>;
  const bool whole = t.cols == NV * kW;
  const Lanes<T> last(t.cols - (NV - 1) * kW);
  T* c = t.c;
  for (int i = 0; i < rows; ++i, c += t.c_row) {
    TT_UNROLL for (int j = 0; j < NV; ++j) {
      const bool cut = j + 1 == NV && !whole;
      T* at = c + j * kW;
      V v = *sums++;
      if (t.accumulate) v += cut ? load_lanes(at, last) : load(at);
      if (t.col_bias) v += cut ? load_lanes(t.col_bias + j * kW, last) : load(t.col_bias + j * kW);
      if (t.row_bias) v += splat(t.row_bias[i]);
      if (t.relu) v = v < V{} ? V{} : v;  // keeps NaN
      if (cut) {
        store_lanes(at, v, last);
      } else {
        store(at, v);
      }
    }
  }
}

template <class T, int R, int NV, bool kMayAccumulate>
TT_INLINE void write_tile(const Tile<T>& t, Vec<T> (&sum)[R][NV]) {
  constexpr int kW = kLanes<T>;
  T* const c =
      t.c;  // copies: a store could change what `t` refers to, as far as the compiler knows
  const int64_t c_row = t.c_row;
  const bool plain = t.cols == NV * kW && !t.relu && !t.row_bias && !t.col_bias;
  if (TT_LIKELY(plain && !t.accumulate)) {
    TT_UNROLL for (int i = 0; i < R; ++i) {
      TT_UNROLL for (int j = 0; j < NV; ++j) store(c + i * c_row + j * kW, sum[i][j]);
    }
  } else if (kMayAccumulate && plain) {
    TT_UNROLL for (int i = 0; i < R; ++i) {
      TT_UNROLL for (int j = 0; j < NV; ++j) {
        T* at = c + i * c_row + j * kW;
        store(at, load(at) + sum[i][j]);
      }
    }
  } else {
    Vec<T> sums[R * NV];
    TT_UNROLL for (int i = 0; i < R; ++i) {
      TT_UNROLL for (int j = 0; j < NV; ++j) sums[i * NV + j] = sum[i][j];
    }
    finish_tile<T, NV>(t, sums, R);
  }
}

constexpr int kAhead = 128;  // steps of k for which packed A is fetched early

template <class T, int R, int NV, TileReads kReads>
void tile(const Tile<T>& t) {
  using V = Vec<T>;
  constexpr int kW = kLanes<T>;
  constexpr bool kIndirect = kReads == TileReads::indirect,
                 kPacked = kReads == TileReads::packed || kIndirect;
  constexpr int kGroups =
      kPacked ? 1 : (R + 2) / 3;  // rows in threes: an address is base + {0, 1, 2} * stride
  V sum[R][NV];
  TT_UNROLL for (int i = 0; i < R; ++i) { TT_UNROLL for (int j = 0; j < NV; ++j) sum[i][j] = V{}; }
  if (t.k >= 8) {  // C is needed only after the loop; by then it has come
    TT_UNROLL for (int i = 0; i < R; ++i) {
      TT_UNROLL for (int j = 0; j < NV; ++j) __builtin_prefetch(t.c + i * t.c_row + j * kW, 1);
    }
  }
  const int64_t a_row = t.a_row, a_step = kPacked ? R : t.a_step, b_step = t.b_step;
  const T* a[kGroups];
  TT_UNROLL for (int g = 0; g < kGroups; ++g) a[g] = t.a + 3 * g * a_row;
  const T* b = t.b;
  const int64_t* offset = t.offsets;
  const Lanes<T> last(t.cols - (NV - 1) * kW);
  for (int64_t p = t.k; p > 0; --p) {
    V bv[NV];
    if constexpr (kIndirect) b = t.b + *offset++;
    TT_UNROLL for (int j = 0; j < NV; ++j) {
      if constexpr (kReads == TileReads::in_place_cut) {
        bv[j] = j + 1 == NV ? load_lanes(b + j * kW, last) : load(b + j * kW);
      } else {
        bv[j] = load(b + j * kW);
      }
    }
    TT_UNROLL for (int i = 0; i < R; ++i) {
      const V av = splat(kPacked ? a[0][i] : a[i / 3 % kGroups][(i % 3) * a_row]);
      TT_UNROLL for (int j = 0; j < NV; ++j) sum[i][j] += av * bv[j];
    }
    // The hardware's prefetcher stops at the end of a page.
    if constexpr (kReads == TileReads::packed) __builtin_prefetch(a[0] + kAhead * R);
    TT_UNROLL for (int g = 0; g < kGroups; ++g) a[g] += a_step;
    if constexpr (!kIndirect) b += b_step;
  }
  write_tile<T, R, NV, kPacked>(t, sum);
}

// By rows - 1 and vectors - 1.
template <class T>
struct TileTable {
  TileFunction<T> packed[kTileRows][kTileVectors], in_place[kTileRows][kTileVectors],
      in_place_cut[kTileRows][kTileVectors], indirect[kTileRows][kTileVectors];
};
template <class T>
const TileTable<T>& tile_table();

// The tile for this many rows and columns.
template <class T>
TT_INLINE void run_tile(const TileFunction<T> (&functions)[kTileRows][kTileVectors], int64_t rows,
                        const Tile<T>& t) {
  functions[rows - 1][t.cols > kLanes<T>](t);
}

}  // namespace tinytorch::TT_KERNEL_NS
