// Transposes a tile through a buffer on the stack: rows of the input are read in small blocks that
// are turned inside registers, and rows of the output are written whole, so that neither side meets
// the cache sets that a power-of-two row length collides in.
#include "kernels/cpu/copy.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

template <int... I>
struct Lanes {};

// N x N elements of type U between rows of N, in vectors: log2 N rounds that interleave row i with
// row i + N/2.
template <class U, int N>
struct Block {
  typedef U Row __attribute__((vector_size(N * sizeof(U))));

  template <int... I>
  TT_INLINE static Row low(const Row& a, const Row& b, Lanes<I...>) {
    return __builtin_shufflevector(a, b, (I % 2 * N + I / 2)...);
  }
  template <int... I>
  TT_INLINE static Row high(const Row& a, const Row& b, Lanes<I...>) {
    return __builtin_shufflevector(a, b, (I % 2 * N + I / 2 + N / 2)...);
  }

  template <class L>
  TT_INLINE static void turn(U* to, int64_t to_row, const char* from, int64_t from_row, L lanes) {
    Row r[N], s[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) __builtin_memcpy(&r[i], from + i * from_row, sizeof(Row));
#pragma GCC unroll 4
    for (int round = 1; round < N; round *= 2) {
#pragma GCC unroll 8
      for (int i = 0; i < N / 2; ++i) {
        s[2 * i] = low(r[i], r[i + N / 2], lanes);
        s[2 * i + 1] = high(r[i], r[i + N / 2], lanes);
      }
#pragma GCC unroll 16
      for (int i = 0; i < N; ++i) r[i] = s[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) __builtin_memcpy(to + i * to_row, &r[i], sizeof(Row));
  }
};

template <class U, int N, class L>
void transpose(char* out, int64_t out_row, const char* in, int64_t in_row, int64_t rows,
               int64_t columns, const char* next, L lanes) {
  constexpr int64_t kTile = sizeof(U) == 8 ? 32 : 64;
  alignas(64) U buffer[kTile * kTile];
  int64_t j = 0;  // columns of out are rows of in
  for (; j + N <= columns; j += N) {
    int64_t i = 0;
    if (next) {
      for (int64_t k = j; k < j + N; ++k) {
        for (int64_t b = 0; b < rows * static_cast<int64_t>(sizeof(U)); b += 64)
          __builtin_prefetch(next + k * in_row + b);
      }
    }
    for (; i + N <= rows; i += N) {
      Block<U, N>::turn(buffer + i * kTile + j, kTile,
                        in + j * in_row + i * static_cast<int64_t>(sizeof(U)), in_row, lanes);
    }
    for (; i < rows; ++i) {
      for (int64_t k = j; k < j + N; ++k) {
        __builtin_memcpy(buffer + i * kTile + k,
                         in + k * in_row + i * static_cast<int64_t>(sizeof(U)), sizeof(U));
      }
    }
  }
  for (; j < columns; ++j) {
    for (int64_t i = 0; i < rows; ++i) {
      __builtin_memcpy(buffer + i * kTile + j,
                       in + j * in_row + i * static_cast<int64_t>(sizeof(U)), sizeof(U));
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    if (TT_LIKELY(columns == kTile)) {  // of a constant size, without a call
      __builtin_memcpy(out + i * out_row, buffer + i * kTile, kTile * sizeof(U));
    } else {
      __builtin_memcpy(out + i * out_row, buffer + i * kTile,
                       static_cast<size_t>(columns) * sizeof(U));
    }
  }
}

}  // namespace

void transpose_tile(char* out, int64_t out_row, const char* in, int64_t in_row, int64_t rows,
                    int64_t columns, int bytes, const char* next) {
  using Sixteen = Lanes<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>;
  using Eight = Lanes<0, 1, 2, 3, 4, 5, 6, 7>;
#if defined(__AVX512F__)  // shuffles of whole vectors at the price of halves
  if (bytes == 4)
    return transpose<uint32_t, 16>(out, out_row, in, in_row, rows, columns, next, Sixteen{});
  if (bytes == 8)
    return transpose<uint64_t, 8>(out, out_row, in, in_row, rows, columns, next, Eight{});
#else
  if (bytes == 4)
    return transpose<uint32_t, 4>(out, out_row, in, in_row, rows, columns, next,
                                  Lanes<0, 1, 2, 3>{});
  if (bytes == 8)
    return transpose<uint64_t, 2>(out, out_row, in, in_row, rows, columns, next, Lanes<0, 1>{});
#endif
  if (bytes == 2)
    return transpose<uint16_t, 8>(out, out_row, in, in_row, rows, columns, next, Eight{});
  transpose<uint8_t, 16>(out, out_row, in, in_row, rows, columns, next, Sixteen{});
}

}  // namespace tinytorch::TT_KERNEL_NS
