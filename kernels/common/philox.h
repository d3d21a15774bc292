// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) and the distributions made of it.
// Bits are the same on every backend and instruction set: integer operations, IEEE + - * / sqrt and explicit fma only. Compile what
// includes this with -ffp-contract=off (-fmad=false). Layout: kernels.def, row `random`.
#pragma once

#include <tinytorch/backend/params.h>

#include "kernels/common/convert.h"

namespace tinytorch::TT_KERNEL_NS {

struct PhiloxBlock {
  uint32_t w[4];
};

TT_HD PhiloxBlock philox(PhiloxBlock counter, uint32_t key0, uint32_t key1) {
  uint32_t a = counter.w[0], b = counter.w[1], c = counter.w[2], d = counter.w[3];
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const uint64_t left = uint64_t{0xD2511F53u} * a, right = uint64_t{0xCD9E8D57u} * c;
    a = static_cast<uint32_t>(right >> 32) ^ b ^ key0;
    b = static_cast<uint32_t>(right);
    c = static_cast<uint32_t>(left >> 32) ^ d ^ key1;
    d = static_cast<uint32_t>(left);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{a, b, c, d}};
}

// Block `index` of the stream of `seed`: words 4 index .. 4 index + 3.
TT_HD PhiloxBlock philox_block(uint64_t seed, uint64_t index) {
  return philox({{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), 0, 0}}, static_cast<uint32_t>(seed),
                static_cast<uint32_t>(seed >> 32));
}

// ---- words an element takes

TT_HD bool randint_is_wide(int64_t lo, int64_t hi) {
  return static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo) > (uint64_t{1} << 32);
}
TT_HD int words_per_element(RandomOp op, Dtype dtype, const RandomParams& p) {
  const int width = dtype == Dtype::f64 ? 2 : 1;
  if (op == RandomOp::uniform) return width;
  if (op == RandomOp::normal) return 2 * width;
  return op == RandomOp::randint && randint_is_wide(p.lo, p.hi) ? 2 : 1;
}
// Divides before it multiplies, so no number of elements overflows.
TT_HD int64_t blocks_used(int64_t elements, int words) {
  const int64_t per_block = 4 / words;
  return elements / per_block + (elements % per_block != 0);
}

TT_HD uint64_t join_words(uint32_t low, uint32_t high) { return static_cast<uint64_t>(high) << 32 | low; }

// ---- uniform: [0, 1)

TT_HD float unit_float(uint32_t w) { return static_cast<float>(static_cast<int32_t>(w >> 8)) * 0x1p-24f; }
TT_HD double unit_double(uint32_t low, uint32_t high) {
  return static_cast<double>(static_cast<int64_t>(join_words(low, high) >> 11)) * 0x1p-53;
}

// ---- integers

// 1 for w < floor(p 2^32); p in [0, 1].
TT_HD uint64_t bernoulli_threshold(double p) { return static_cast<uint64_t>(p * 0x1p32); }
TT_HD int64_t randint_narrow(uint32_t w, int64_t lo, int64_t hi) {
  const uint64_t span = static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo);  // at most 2^32
  const uint64_t step = span >> 32 ? w : w * span >> 32;
  return static_cast<int64_t>(static_cast<uint64_t>(lo) + step);
}
TT_HD int64_t randint_wide(uint32_t low, uint32_t high, int64_t lo, int64_t hi) {
  const uint64_t span = static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo);
  return static_cast<int64_t>(static_cast<uint64_t>(lo) + multiply_high(join_words(low, high), span));
}

// ---- standard normal: Box and Muller (1958), the cosine of each pair

template <class T>
TT_HD T horner_exact(T, T c) {
  return c;
}
template <class T, class... Rest>
TT_HD T horner_exact(T x, T c0, T c1, Rest... rest) {
  return fma_exact(horner_exact(x, c1, rest...), x, c0);
}

// -2 log(u) for 0 < u <= 1, normal.
TT_HD float minus_two_log(float u) {
  const uint32_t bits = bits_as<uint32_t>(u) - 0x3f3504f3u + (128u << 23);
  const float k = static_cast<float>(static_cast<int32_t>(bits >> 23) - 128);
  const float f = bits_as<float>((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
  const float p = horner_exact(f, 0x1.555554p-2f, -0x1.fffffcp-3f, 0x1.999d5ap-3f, -0x1.555b4ap-3f, 0x1.23d21ap-3f,
                               -0x1.fcf4c6p-4f, 0x1.dea282p-4f, -0x1.d635bcp-4f, 0x1.1d8ea6p-4f);
  const float square = f * f;
  const float tail = fma_exact(square * f, p, fma_exact(k, 0x1.0bfbe8p-15f, -0.5f * square));
  return -2.0f * fma_exact(k, 0x1.62ep-1f, f + tail);
}
TT_HD double minus_two_log(double u) {
  const uint64_t bits = bits_as<uint64_t>(u) - 0x3fe6a09e667f3bcdu + (uint64_t{1024} << 52);
  const double k = static_cast<double>(static_cast<int32_t>(bits >> 52) - 1024);
  const double f = bits_as<double>((bits & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
  const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  const double r = horner_exact(z, 0x1.5555555555558p-1, 0x1.9999999995273p-2, 0x1.2492492dfd86cp-2, 0x1.c71c62d5e53e0p-3,
                                0x1.7462b91b8df65p-3, 0x1.39fdcceb4bb45p-3, 0x1.2b5f68a50d903p-3);
  const double tail = fma_exact(s, fma_exact(z, r, half), k * 0x1.a39ef35793c76p-33) - half;
  return -2.0 * fma_exact(k, 0x1.62e42feep-1, f + tail);
}

// cos(2 pi w / 2^32): whole quarters of a turn are taken off in integers, so the angle left is exact in [-pi/4, pi/4).
TT_HD float cosine_of_turn(uint32_t w) {
  const uint32_t quarter = (w + 0x20000000u) >> 30;
  const float angle = static_cast<float>(static_cast<int32_t>(w - (quarter << 30))) * 0x1.921fb6p-30f;
  const float z = angle * angle;
  const float sine = fma_exact(angle * z, horner_exact(z, -0x1.555552p-3f, 0x1.110c28p-7f, -0x1.9ac9bp-13f), angle);
  const float cosine = fma_exact(z * z, horner_exact(z, 0x1.555554p-5f, -0x1.6c12d2p-10f, 0x1.9bd89cp-16f), fma_exact(-0.5f, z, 1.0f));
  const float r = quarter & 1u ? sine : cosine;  // cos x, -sin x, -cos x, sin x
  return bits_as<float>(bits_as<uint32_t>(r) ^ ((quarter + 1u) << 30 & 0x80000000u));
}
TT_HD double cosine_of_turn(uint64_t w) {
  const uint64_t quarter = (w + (uint64_t{1} << 61)) >> 62;
  const double angle = static_cast<double>(static_cast<int64_t>(w - (quarter << 62))) * 0x1.921fb54442d18p-62;
  const double z = angle * angle;
  const double sine = fma_exact(angle * z, horner_exact(z, -0x1.5555555555555p-3, 0x1.1111111111110p-7, -0x1.a01a01a019938p-13,
                                                        0x1.71de3a546095bp-19, -0x1.ae645412c560cp-26, 0x1.61217f0b800d5p-33,
                                                        -0x1.ab17d404de5b3p-41), angle);
  const double cosine = fma_exact(z * z, horner_exact(z, 0x1.5555555555555p-5, -0x1.6c16c16c16967p-10, 0x1.a01a019f4eb01p-16,
                                                      -0x1.27e4fa17da09ep-22, 0x1.1eeb68e93b64cp-29, -0x1.907da367a37cbp-37),
                                  fma_exact(-0.5, z, 1.0));
  const double r = quarter & 1u ? sine : cosine;
  return bits_as<double>(bits_as<uint64_t>(r) ^ ((quarter + 1u) << 62 & (uint64_t{1} << 63)));
}

// The half keeps the uniform number above 0: |z| is at most 6.7 for float, 9.5 for double.
TT_HD float normal_float(uint32_t w0, uint32_t w1) {
  const float u = (static_cast<float>(static_cast<int32_t>(w0 >> 1)) + 0.5f) * 0x1p-31f;
  return sqrt_of(minus_two_log(u)) * cosine_of_turn(w1);
}
TT_HD double normal_double(uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3) {
  const double u = (static_cast<double>(static_cast<int64_t>(join_words(w0, w1) >> 1)) + 0.5) * 0x1p-63;
  return sqrt_of(minus_two_log(u)) * cosine_of_turn(join_words(w2, w3));
}

// ---- one element from its words

template <class T>
TT_HD T uniform_element(const uint32_t* w, double a, double b) {
  const T low = static_cast<T>(a), span = static_cast<T>(b - a);
  if constexpr (kSame<T, float>) {
    return low + span * unit_float(w[0]);
  } else {
    return low + span * unit_double(w[0], w[1]);
  }
}
template <class T>
TT_HD T normal_element(const uint32_t* w, double mean, double deviation) {
  if constexpr (kSame<T, float>) {
    return static_cast<float>(mean) + static_cast<float>(deviation) * normal_float(w[0], w[1]);
  } else {
    return mean + deviation * normal_double(w[0], w[1], w[2], w[3]);
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
