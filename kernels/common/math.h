// exp, log, log1p, expm1, tanh and what stands on them, from fma and bit operations: no libm and no
// branch, so that loops over them vectorise. T is float or double. Polynomials are interpolated at
// Chebyshev nodes on the reduced interval; every result is within 4 ulp
// (tests/kernels/test_functors.cpp), subnormal results, infinities and NaN included.
#pragma once

#include "kernels/common/host_device.h"

namespace tinytorch::TT_KERNEL_NS {

template <class T>
struct FloatBits;
template <>
struct FloatBits<float> {
  using Int = int32_t;
  using UInt = uint32_t;
  static constexpr int kMantissa = 23, kBias = 127;
  // Adding it rounds to an integer n; the low bits are then n + 2 kBias.
  static constexpr float kRound = 0x1.8p23f + 254;
  static constexpr float kAppend = 0x1p23f;  // its low bits hold an unsigned integer
  static constexpr float kLn2High = 0x1.62ep-1f,
                         kLn2Low = 0x1.0bfbe8p-15f;  // their sum; n kLn2High is exact
  static constexpr float kExpMax = 89,
                         kExpMin = -110;  // beyond: infinity; zero, also if multiplied by 64
  static constexpr UInt kSqrtHalf = 0x3f3504f3u;
  static constexpr float kMinNormal = 0x1p-126f;
};
template <>
struct FloatBits<double> {
  using Int = int64_t;
  using UInt = uint64_t;
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kRound = 0x1.8p52 + 2046;
  static constexpr double kAppend = 0x1p52;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kExpMax = 710, kExpMin = -752;
  static constexpr UInt kSqrtHalf = 0x3fe6a09e667f3bcdu;
  static constexpr double kMinNormal = 0x1p-1022;
};

template <class T>
inline constexpr T kInfinity = static_cast<T>(__builtin_inff());
template <class T>
inline constexpr T kNaN = static_cast<T>(__builtin_nanf(""));

template <class T>
TT_HD T horner(T, T c) {
  return c;
}
// c0 + c1 x + c2 x^2 + ...
template <class T, class... Rest>
TT_HD T horner(T x, T c0, T c1, Rest... rest) {
  return fma_fast(horner(x, c1, rest...), x, c0);
}

template <class T>
TT_HD T abs_of(T x) {
  using U = typename FloatBits<T>::UInt;
  return bits_as<T>(static_cast<U>(bits_as<U>(x) & ~(U{1} << (sizeof(T) * 8 - 1))));
}
template <class T>
TT_HD T with_sign_of(T magnitude, T sign) {
  using U = typename FloatBits<T>::UInt;
  constexpr U kSign = U{1} << (sizeof(T) * 8 - 1);
  return bits_as<T>(static_cast<U>((bits_as<U>(magnitude) & ~kSign) | (bits_as<U>(sign) & kSign)));
}

// ---- numbers of twice the precision

template <class T>
struct Pair {
  T high, low;
};
template <class T>
TT_HD Pair<T> product_exact(T a, T b) {
  const T p = a * b;
#if TT_HAS_FMA
  return {p, fma_exact(a, b, -p)};
#else
  // Dekker (1971): halves of the factors whose products are exact.
  constexpr T kSplit = static_cast<T>((uint64_t{1} << (sizeof(T) == 4 ? 12 : 27)) + 1);
  const T ta = a * kSplit, a1 = ta - (ta - a), a2 = a - a1;
  const T tb = b * kSplit, b1 = tb - (tb - b), b2 = b - b1;
  return {p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2};
#endif
}
// |a| >= |b|, or a is 0.
template <class T>
TT_HD Pair<T> sum_of_ordered(T a, T b) {
  const T s = a + b;
  return {s, b - (s - a)};
}

// ---- exponential

TT_HD float exp_polynomial(float r) {  // (e^r - 1 - r) / r^2, |r| <= ln 2 / 2
  return horner(r, 0x1p-1f, 0x1.5554dcp-3f, 0x1.555518p-5f, 0x1.120be2p-7f, 0x1.6d117cp-10f);
}
TT_HD double exp_polynomial(double r) {
  return horner(r, 0x1.0p-1, 0x1.5555555555557p-3, 0x1.5555555555556p-5, 0x1.11111111100bep-7,
                0x1.6c16c16c162c3p-10, 0x1.a01a01abf85abp-13, 0x1.a01a01a6e1e2ap-16,
                0x1.71de01fdbf9cap-19, 0x1.27e4db46cddd1p-22, 0x1.af4e554377204p-26,
                0x1.1f7340dbc337ep-29);
}

// e^x = 2^n (1 + m), |m| < 0.42; the low bits of `rounded` hold n + 2 kBias.
template <class T>
struct ExpParts {
  T m;
  typename FloatBits<T>::UInt rounded;
};
// Of x + low, x inside [kExpMin, kExpMax]; |low| is at most an ulp of x. Without low it is not
// added, for + 0 costs an instruction.
template <class T, class... Low>
TT_HD ExpParts<T> exp_parts(T x, Low... low) {
  using B = FloatBits<T>;
  const T rounded = fma_fast(x, static_cast<T>(0x1.71547652b82fep+0), B::kRound);
  const T n = rounded - B::kRound;
  const T r = (fma_fast(n, -B::kLn2Low, fma_fast(n, -B::kLn2High, x)) + ... + low);
  return {fma_fast(r * r, exp_polynomial(r), r), bits_as<typename B::UInt>(rounded)};
}

// 2^n x, in two factors, for 2^n itself may be too large or subnormal; only the last multiplication
// can round.
template <class T>
TT_HD T apply_power(T x, typename FloatBits<T>::UInt rounded) {
  using B = FloatBits<T>;
  using U = typename B::UInt;
  const U half = (rounded << (B::kMantissa - 1)) & bits_as<U>(kInfinity<T>);
  const U other = (rounded << B::kMantissa) - half;
  return x * bits_as<T>(half) * bits_as<T>(other);
}

// Bounds of exp's argument by comparing bits: two instructions where floats would take a dozen. A
// NaN becomes a number.
TT_HD float clamp_exponent(float x) {
  const int32_t i = bits_as<int32_t>(x), high = bits_as<int32_t>(FloatBits<float>::kExpMax);
  const uint32_t u = static_cast<uint32_t>(i < high ? i : high),
                 low = bits_as<uint32_t>(FloatBits<float>::kExpMin);
  return bits_as<float>(u < low ? u : low);
}
TT_HD double clamp_exponent(double x) {
  const double y = x > FloatBits<double>::kExpMax ? FloatBits<double>::kExpMax : x;
  const uint64_t u = bits_as<uint64_t>(y), low = bits_as<uint64_t>(FloatBits<double>::kExpMin);
  return bits_as<double>(u < low ? u : low);
}

template <class T>
TT_HD T exp_of(T x) {
  const ExpParts<T> e = exp_parts(clamp_exponent(x));
  const T r = apply_power(T(1) + e.m, e.rounded);
  return x == x ? r : x;
}
// x + low = log of something: as exp_of, |low| at most an ulp of x.
template <class T>
TT_HD T exp_of(T x, T low) {
  const ExpParts<T> e = exp_parts(clamp_exponent(x), low);
  const T r = apply_power(T(1) + e.m, e.rounded);
  return x == x ? r : x;
}
// e^(-a), times a factor of moderate size, for a >= 0; a NaN passes.
template <class T>
struct Decay {
  T m;
  typename FloatBits<T>::UInt rounded;
  TT_HD T value() const { return apply_power(T(1) + m, rounded); }
  TT_HD T times(T factor) const { return apply_power(fma_fast(m, factor, factor), rounded); }
};
template <class T, class... Low>
TT_HD Decay<T> decay_of(T a, Low... low) {
  const T limit = -FloatBits<T>::kExpMin;
  const ExpParts<T> e = exp_parts(-(a > limit ? limit : a), -low...);
  return {e.m, e.rounded};
}

// e^x - 1 for 0 <= x < 80.
template <class T>
TT_HD T expm1_of_positive(T x) {
  using B = FloatBits<T>;
  using U = typename B::UInt;
  const ExpParts<T> e = exp_parts(x);
  const T scale =
      bits_as<T>(static_cast<U>((e.rounded << B::kMantissa) - (U{B::kBias} << B::kMantissa)));
  return fma_fast(scale, e.m, scale - T(1));
}

// ---- logarithm

// x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive finite x.
template <class T>
struct LogParts {
  T k, f;
};
template <class T>
TT_HD LogParts<T> log_parts(T x) {
  using B = FloatBits<T>;
  using U = typename B::UInt;
  constexpr U kMask = (U{1} << B::kMantissa) - 1;
  constexpr U kOffset = U{B::kBias + 1};  // keeps exponents positive
  const bool subnormal = x < B::kMinNormal;
  const U u = bits_as<U>(subnormal ? x * B::kAppend : x) - B::kSqrtHalf + (kOffset << B::kMantissa);
  const T k = bits_as<T>(static_cast<U>((u >> B::kMantissa) | bits_as<U>(B::kAppend))) -
              (B::kAppend + static_cast<T>(kOffset)) -
              (subnormal ? static_cast<T>(B::kMantissa) : T(0));
  return {k, bits_as<T>(static_cast<U>((u & kMask) + B::kSqrtHalf)) - T(1)};
}

// z in [0, 1/9]: (2 atanh(s) - 2 s) / s^3 with z = s^2.
TT_HD float atanh_polynomial(float z) {
  return horner(z, 0x1.555556p-1f, 0x1.9998d4p-2f, 0x1.24c926p-2f, 0x1.bc8cf8p-3f, 0x1.dba26p-3f);
}
TT_HD double atanh_polynomial(double z) {
  return horner(z, 0x1.5555555555555p-1, 0x1.999999999999cp-2, 0x1.2492492491fe8p-2,
                0x1.c71c71c77e0f7p-3, 0x1.745d1724e5b21p-3, 0x1.3b13b7c41e111p-3,
                0x1.11103f2bddc9fp-3, 0x1.e2046677f3c39p-4, 0x1.ad46f379b316dp-4,
                0x1.9739afdde0110p-4, 0x1.0371f75936f6fp-4, 0x1.37efaea22dc4bp-3);
}

// The logarithm of 2^k (1 + f).
TT_HD float log_of_parts(float k, float f) {
  const float p =
      horner(f, 0x1.555554p-2f, -0x1.fffffcp-3f, 0x1.999d5ap-3f, -0x1.555b4ap-3f, 0x1.23d21ap-3f,
             -0x1.fcf4c6p-4f, 0x1.dea282p-4f, -0x1.d635bcp-4f, 0x1.1d8ea6p-4f);
  const float f2 = f * f;
  const float tail = fma_fast(f2 * f, p, fma_fast(-0.5f, f2, k * FloatBits<float>::kLn2Low));
  return fma_fast(k, FloatBits<float>::kLn2High, f + tail);
}
TT_HD double log_of_parts(double k, double f) {
  // log(1 + f) = f - f^2/2 + s (f^2/2 + s^2 R(s^2)) with s = f / (2 + f), from 2 s = f - s f.
  const double s = f / (2 + f), z = s * s, half = 0.5 * f * f;
  const double r = horner(z, 0x1.5555555555558p-1, 0x1.9999999995273p-2, 0x1.2492492dfd86cp-2,
                          0x1.c71c62d5e53e0p-3, 0x1.7462b91b8df65p-3, 0x1.39fdcceb4bb45p-3,
                          0x1.2b5f68a50d903p-3);
  const double tail = fma_fast(s, fma_fast(z, r, half), k * FloatBits<double>::kLn2Low) - half;
  return fma_fast(k, FloatBits<double>::kLn2High, f + tail);
}

template <class T>
TT_HD T log_of(T x) {
  const LogParts<T> parts = log_parts(x);
  T r = log_of_parts(parts.k, parts.f);
  r = x < kInfinity<T> ? r : x;  // infinity, NaN
  r = x == T(0) ? -kInfinity<T> : r;
  return x < T(0) ? kNaN<T> : r;
}

// log(1 + u) = 2 atanh(u / (2 + u)) for 0 <= u <= 1.
template <class T>
TT_HD T log1p_of_unit(T u) {
  const T s = u / (T(2) + u), z = s * s;
  return fma_fast(s * z, atanh_polynomial(z), s + s);
}

// ---- what stands on them

template <class T>
TT_HD T tanh_of(T x) {
  const T a = abs_of(x), limit = sizeof(T) == 4 ? T(10) : T(22);
  const T e = expm1_of_positive(T(2) * (a > limit ? limit : a));
  return with_sign_of(e / (e + T(2)), x);
}

template <class T>
TT_HD T sigmoid_of(T x) {
  const T e = decay_of(abs_of(x)).value();
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

template <class T>
TT_HD T softplus_of(T x) {
  const T tail = log1p_of_unit(decay_of(abs_of(x)).value());
  return (x < T(0) ? T(0) : x) + tail;
}

}  // namespace tinytorch::TT_KERNEL_NS
