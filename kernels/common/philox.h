// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011) and the distributions made of it. Bits are the same on every backend and instruction set:
// integer operations and IEEE + - * / sqrt only. What includes this must be compiled with
// -ffp-contract=off (-fmad=false): a fused multiply-add has other bits. Layout: kernels.def, row
// `random`.
#pragma once

#include <tinytorch/backend/params.h>

#include "kernels/common/convert.h"

namespace tinytorch::TT_KERNEL_NS {

struct PhiloxBlock {
  uint32_t w[4];
};

TT_HD PhiloxBlock philox(PhiloxBlock counter, uint32_t key0, uint32_t key1) {
  uint32_t a = counter.w[0], b = counter.w[1], c = counter.w[2], d = counter.w[3];
  TT_UNROLL
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
  return philox({{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), 0, 0}},
                static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
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

TT_HD uint64_t join_words(uint32_t low, uint32_t high) {
  return static_cast<uint64_t>(high) << 32 | low;
}

// ---- uniform: [0, 1)

// By way of int32: vectors have that conversion everywhere.
TT_HD double double_of(uint32_t w) {
  return static_cast<double>(static_cast<int32_t>(w ^ 0x80000000u)) + 0x1p31;
}

TT_HD float unit_float(uint32_t w) {
  return static_cast<float>(static_cast<int32_t>(w >> 8)) * 0x1p-24f;
}
// The upper 53 of 64 bits; every step is exact.
TT_HD double unit_double(uint32_t low, uint32_t high) {
  return (double_of(high) * 0x1p21 + static_cast<double>(static_cast<int32_t>(low >> 11))) *
         0x1p-53;
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
  return static_cast<int64_t>(static_cast<uint64_t>(lo) +
                              multiply_high(join_words(low, high), span));
}

// ---- standard normal: Box and Muller (1958), the cosine of each pair

template <class T>
TT_HD T polynomial(T, T c) {
  return c;
}
// c0 + c1 x + c2 x^2 + ..., two roundings a step.
template <class T, class... Rest>
TT_HD T polynomial(T x, T c0, T c1, Rest... rest) {
  return polynomial(x, c1, rest...) * x + c0;
}

// -2 log(u) for normal u, 0 < u <= 1: u = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), and log 2 in
// two parts.
TT_HD float minus_two_log(float u) {
  const uint32_t bits = bits_as<uint32_t>(u) - 0x3f3504f3u + (128u << 23);
  const float k = static_cast<float>(static_cast<int32_t>(bits >> 23) - 128);
  const float f = bits_as<float>((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
  const float p =
      polynomial(f, 0x1.555554p-2f, -0x1.fffffcp-3f, 0x1.999d5ap-3f, -0x1.555b4ap-3f,
                 0x1.23d21ap-3f, -0x1.fcf4c6p-4f, 0x1.dea282p-4f, -0x1.d635bcp-4f, 0x1.1d8ea6p-4f);
  const float square = f * f;
  const float tail = square * f * p + (k * 0x1.0bfbe8p-15f - 0.5f * square);
  return -2.0f * (k * 0x1.62ep-1f + (f + tail));
}
TT_HD double minus_two_log(double u) {
  const uint64_t bits = bits_as<uint64_t>(u) - 0x3fe6a09e667f3bcdu + (uint64_t{1024} << 52);
  const double k = bits_as<double>(bits >> 52 | uint64_t{0x433} << 52) - (0x1p52 + 1024);
  const double f = bits_as<double>((bits & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
  // log(1 + f) = f - f^2/2 + s (f^2/2 + s^2 R(s^2)) with s = f / (2 + f), from 2 s = f - s f.
  const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  const double r = polynomial(z, 0x1.5555555555558p-1, 0x1.9999999995273p-2, 0x1.2492492dfd86cp-2,
                              0x1.c71c62d5e53e0p-3, 0x1.7462b91b8df65p-3, 0x1.39fdcceb4bb45p-3,
                              0x1.2b5f68a50d903p-3);
  const double tail = (s * (half + z * r) + k * 0x1.a39ef35793c76p-33) - half;
  return -2.0 * (k * 0x1.62e42feep-1 + (f + tail));
}

// The cosine of quarter turns + angle: cos x, -sin x, -cos x, sin x.
TT_HD float cosine_after(uint32_t quarter, float angle) {
  const float z = angle * angle;
  const float sine =
      angle * z * polynomial(z, -0x1.555552p-3f, 0x1.110c28p-7f, -0x1.9ac9bp-13f) + angle;
  const float cosine =
      z * z * polynomial(z, 0x1.555554p-5f, -0x1.6c12d2p-10f, 0x1.9bd89cp-16f) + (1.0f - 0.5f * z);
  return bits_as<float>(bits_as<uint32_t>(quarter & 1u ? sine : cosine) ^
                        ((quarter + 1u) << 30 & 0x80000000u));
}
TT_HD double cosine_after(uint32_t quarter, double angle) {
  const double z = angle * angle;
  const double p = polynomial(z, -0x1.5555555555555p-3, 0x1.1111111111110p-7,
                              -0x1.a01a01a019938p-13, 0x1.71de3a546095bp-19, -0x1.ae645412c560cp-26,
                              0x1.61217f0b800d5p-33, -0x1.ab17d404de5b3p-41);
  const double q =
      polynomial(z, 0x1.5555555555555p-5, -0x1.6c16c16c16967p-10, 0x1.a01a019f4eb01p-16,
                 -0x1.27e4fa17da09ep-22, 0x1.1eeb68e93b64cp-29, -0x1.907da367a37cbp-37);
  const double sine = angle * z * p + angle, cosine = z * z * q + (1.0 - 0.5 * z);
  const uint64_t odd = quarter & 1u, sign = (quarter + 1u) >> 1 & 1u;
  return bits_as<double>(bits_as<uint64_t>(odd ? sine : cosine) ^ sign << 63);
}

// cos(2 pi w 2^-32), cos(2 pi w 2^-64): whole quarters of a turn are taken off in integers, so the
// rest is in [-pi/4, pi/4).
TT_HD float cosine_of_turn(uint32_t w) {
  const uint32_t quarter = (w + 0x20000000u) >> 30;
  return cosine_after(
      quarter, static_cast<float>(static_cast<int32_t>(w - (quarter << 30))) * 0x1.921fb6p-30f);
}
TT_HD double cosine_of_turn(uint32_t low, uint32_t high) {
  const uint32_t quarter = (high + 0x20000000u) >> 30;
  const double rest =
      static_cast<double>(static_cast<int32_t>(high - (quarter << 30))) * 0x1p32 + double_of(low);
  return cosine_after(quarter, rest * 0x1.921fb54442d18p-62);
}

// The half keeps the uniform number above 0: |z| is at most 6.7 for float, 9.5 for double.
TT_HD float normal_float(uint32_t w0, uint32_t w1) {
  const float u = (static_cast<float>(static_cast<int32_t>(w0 >> 1)) + 0.5f) * 0x1p-31f;
  return sqrt_of(minus_two_log(u)) * cosine_of_turn(w1);
}
TT_HD double normal_double(uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3) {
  const double u = (double_of(w1) * 0x1p32 + double_of(w0) + 0.5) * 0x1p-64;
  return sqrt_of(minus_two_log(u)) * cosine_of_turn(w2, w3);
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
