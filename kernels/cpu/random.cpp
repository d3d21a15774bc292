// The row random. Words come from philox.h four at a time; tasks are blocks of the counter, and
// element i takes the words that kernels.def says, so the bits are the same on every backend.
// Compiled without contraction of a * b + c.
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels/common/dispatch.h"
#include "kernels/common/philox.h"
#include "kernels/cpu/copy.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kPiece = 256;         // counter blocks whose words stand in a buffer
constexpr int64_t kTask = 32 * kPiece;  // counter blocks of a task

constexpr int kSide =
    kLanes<uint64_t>;  // blocks side by side in vectors; kPiece is a multiple of it

// Products of the low halves of lanes; compilers do not find this instruction by themselves.
TT_INLINE Vec<uint64_t> multiply_low(const Vec<uint64_t>& a, const Vec<uint64_t>& b) {
#if defined(__AVX512F__) && defined(__AVX512BW__)
  // The masked form, for the plain one draws a false alarm (GCC bug 105593).
  return reinterpret_cast<Vec<uint64_t>>(_mm512_maskz_mul_epu32(
      static_cast<__mmask8>(0xff), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Vec<uint64_t>>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<Vec<uint64_t>>(
      _mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

template <int... I>
struct LaneNumbers {};
#if defined(__AVX512F__) && defined(__AVX512BW__)
using AllLanes = LaneNumbers<0, 1, 2, 3, 4, 5, 6, 7>;
#elif defined(__AVX2__)
using AllLanes = LaneNumbers<0, 1, 2, 3>;
#else
using AllLanes = LaneNumbers<0, 1>;
#endif
// to[2 i] = a[i], to[2 i + 1] = b[i].
template <int... I>
TT_INLINE void interleave(uint64_t* to, const Vec<uint64_t>& a, const Vec<uint64_t>& b,
                          LaneNumbers<I...>) {
  store(to, __builtin_shufflevector(a, b, (I / 2 + I % 2 * kSide)...));
  store(to + kSide, __builtin_shufflevector(a, b, (I / 2 + kSide / 2 + I % 2 * kSide)...));
}

// Words of blocks [first, first + count), block after block, and up to kSide - 1 blocks more. The
// rounds of philox.h with a number of 32 bits in the low half of each lane; the high half holds
// anything.
[[gnu::noinline]] void fill_words(uint32_t* words, uint64_t seed, uint64_t first, int64_t count) {
  const Vec<uint64_t> left_factor = splat(uint64_t{0xD2511F53u}),
                      right_factor = splat(uint64_t{0xCD9E8D57u}),
                      low = splat(uint64_t{0xffffffffu});
  Vec<uint64_t> index;
  for (int i = 0; i < kSide; ++i) index[i] = first + static_cast<uint64_t>(i);
  for (int64_t done = 0; done < count; done += kSide, index += static_cast<uint64_t>(kSide)) {
    Vec<uint64_t> a = index, b = index >> 32, c{}, d{};
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const Vec<uint64_t> left = multiply_low(a, left_factor),
                          right = multiply_low(c, right_factor);
      a = (right >> 32) ^ b ^ splat(uint64_t{key0});
      c = (left >> 32) ^ d ^ splat(uint64_t{key1});
      b = right;
      d = left;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    interleave(reinterpret_cast<uint64_t*>(words + 4 * done), (a & low) | b << 32,
               (c & low) | d << 32, AllLanes{});
  }
}

// f(words, first element, count) for pieces of the n elements, each of which takes `per_element`
// words.
template <class F>
void for_words(KernelContext& ctx, const View& state, int64_t n, int per_element, F f) {
  int64_t* s = static_cast<int64_t*>(state.data);
  const uint64_t seed = static_cast<uint64_t>(s[0]), offset = static_cast<uint64_t>(s[1]);
  const int64_t blocks = blocks_used(n, per_element), per_block = 4 / per_element;
  parallel_for(ctx, ceil_div(blocks, kTask), [&](int64_t task) {
    alignas(64) uint32_t words[4 * kPiece];
    const int64_t end = smaller((task + 1) * kTask, blocks);
    for (int64_t b = task * kTask; b < end; b += kPiece) {
      const int64_t count = smaller(kPiece, end - b);
      fill_words(words, seed, offset + static_cast<uint64_t>(b), count);
      f(static_cast<const uint32_t*>(words), b * per_block,
        smaller(count * per_block, n - b * per_block));
    }
  });
  s[1] = static_cast<int64_t>(offset + static_cast<uint64_t>(blocks));
}

template <class T>
[[gnu::noinline]] void uniform_piece(T* to, const uint32_t* w, int64_t count,
                                     const RandomParams& p) {
  const double a = p.a, b = p.b;
  for (int64_t i = 0; i < count; ++i) to[i] = uniform_element<T>(w + i * (sizeof(T) / 4), a, b);
}
template <class T>
[[gnu::noinline]] void normal_piece(T* to, const uint32_t* w, int64_t count,
                                    const RandomParams& p) {
  const double a = p.a, b = p.b;
  for (int64_t i = 0; i < count; ++i) to[i] = normal_element<T>(w + i * (sizeof(T) / 2), a, b);
}

template <class T>
void random_real(KernelContext& ctx, RandomOp op, const View& out, const View& state,
                 const RandomParams& p) {
  T* o = static_cast<T*>(out.data);
  for_words(ctx, state, out.numel, words_per_element(op, out.dtype, p),
            [&](const uint32_t* w, int64_t first, int64_t count) {
              op == RandomOp::uniform ? uniform_piece(o + first, w, count, p)
                                      : normal_piece(o + first, w, count, p);
            });
}

// As i64, in any buffer; the cast to the output's dtype is a loop of `copy`.
void integer_piece(int64_t* to, RandomOp op, const uint32_t* w, int64_t count,
                   const RandomParams& p) {
  if (op == RandomOp::bernoulli) {
    const uint64_t threshold = bernoulli_threshold(p.a);
    for (int64_t i = 0; i < count; ++i) to[i] = w[i] < threshold;
  } else if (randint_is_wide(p.lo, p.hi)) {
    for (int64_t i = 0; i < count; ++i) to[i] = randint_wide(w[2 * i], w[2 * i + 1], p.lo, p.hi);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = randint_narrow(w[i], p.lo, p.hi);
  }
}

void random_integers(KernelContext& ctx, RandomOp op, const View& out, const View& state,
                     const RandomParams& p) {
  char* o = static_cast<char*>(out.data);
  const int64_t size = static_cast<int64_t>(size_of(out.dtype));
  const Loop cast = out.dtype == Dtype::i64 ? nullptr : cast_loop_of(out.dtype, Dtype::i64);
  for_words(ctx, state, out.numel, words_per_element(op, out.dtype, p),
            [&](const uint32_t* w, int64_t first, int64_t count) {
              alignas(64) int64_t values[4 * kPiece];
              char* to = o + first * size;
              integer_piece(cast ? values : reinterpret_cast<int64_t*>(to), op, w, count, p);
              if (cast) cast(to, values, nullptr, nullptr, count, nullptr);
            });
}

}  // namespace

void random(KernelContext& ctx, RandomOp op, const View& out, const View& state,
            const RandomParams& p) {
  const bool real = op == RandomOp::uniform || op == RandomOp::normal;
  if (!real) return random_integers(ctx, op, out, state, p);
  with_float(out.dtype,
             [&](auto tag) { random_real<typename decltype(tag)::Type>(ctx, op, out, state, p); });
}

}  // namespace tinytorch::TT_KERNEL_NS
