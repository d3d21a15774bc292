// Casts between element types: float to int saturates and NaN gives 0, int to int wraps, to bool is
// x != 0, to bf16 and f16 rounds once to the nearest, ties to even, from any type. All branch-free,
// so that loops over them vectorise.
#pragma once

#include <tinytorch/dtype.h>

#include "kernels/common/host_device.h"

namespace tinytorch::TT_KERNEL_NS {

template <class A, class B>
inline constexpr bool kSame = false;
template <class A>
inline constexpr bool kSame<A, A> = true;
template <class T>
inline constexpr bool kIsHalf = kSame<T, BFloat16> || kSame<T, Float16>;
template <class T>
inline constexpr bool kIsFloat = kSame<T, float> || kSame<T, double>;  // computes in floating point

// ---- 16-bit floats

TT_HD float to_float(BFloat16 h) { return bits_as<float>(static_cast<uint32_t>(h.bits) << 16); }

// Normal and subnormal numbers alike: put the bits into a float whose exponent is 112 too low, and
// multiply that away (exactly).
TT_HD float to_float(Float16 h) {
  const uint32_t magnitude = static_cast<uint32_t>(h.bits & 0x7fff) << 13;
  const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000) << 16;
  const uint32_t finite = bits_as<uint32_t>(bits_as<float>(magnitude) * 0x1p112f);
  const uint32_t bits = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : finite;
  return bits_as<float>(bits | sign);
}

TT_HD BFloat16 to_bf16(float x) {
  const uint32_t u = bits_as<uint32_t>(x);
  const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const uint32_t nan = (u >> 16) | 0x40u;
  return BFloat16{static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded)};
}

TT_HD Float16 to_f16(float x) {
  const uint32_t u = bits_as<uint32_t>(x), magnitude = u & 0x7fffffffu, sign = (u >> 16) & 0x8000u;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Adding 1/2 puts the last bit of a float where the last bit of a subnormal half stands; the
  // addition rounds.
  const uint32_t subnormal = bits_as<uint32_t>(bits_as<float>(magnitude) + 0.5f) - 0x3f000000u;
  uint32_t r = magnitude < (113u << 23) ? subnormal : normal;
  r = magnitude >= 0x477ff000u ? 0x7c00u : r;
  r = magnitude > 0x7f800000u ? 0x7e00u : r;
  return Float16{static_cast<uint16_t>(r | sign)};
}

// To float, towards the odd neighbour if inexact: rounding that once more to 16 bits is as good as
// rounding once.
TT_HD float to_float_odd(double x) {
  const float f = static_cast<float>(x);
  const double back = static_cast<double>(f);
  const double a = x < 0 ? -x : x, b = back < 0 ? -back : back;
  const uint32_t u = bits_as<uint32_t>(f);
  const uint32_t odd = (u - (b > a ? 1u : 0u)) | 1u;
  return bits_as<float>(((back == x) | (x != x)) ? u : odd);
}
TT_HD float to_float_odd(float x) { return x; }
TT_HD float to_float_odd(int64_t x) {
  // The low 11 bits, folded into one sticky bit, leave at most 53 significant bits: the conversion
  // to double is exact.
  const int64_t big = (x >> 11 | static_cast<int64_t>((x & 2047) != 0)) * 2048;
  const bool small = (x < (int64_t{1} << 53)) & (x > -(int64_t{1} << 53));
  return to_float_odd(static_cast<double>(small ? x : big));
}

// ---- float to int

template <class T>
struct IntLimits {  // low <= x < high are the floats that truncate into T
  static constexpr T max = static_cast<T>((uint64_t{1} << (sizeof(T) * 8 - 1)) - 1);
  static constexpr T min = static_cast<T>(-max - 1);
  static constexpr double low = -static_cast<double>(uint64_t{1} << (sizeof(T) * 8 - 1));
  static constexpr double high = static_cast<double>(uint64_t{1} << (sizeof(T) * 8 - 1));
};
template <>
struct IntLimits<uint8_t> {
  static constexpr uint8_t max = 255, min = 0;
  static constexpr double low = 0, high = 256;
};

template <class To, class From>
TT_HD To saturate(From x) {
  const From low = static_cast<From>(IntLimits<To>::low),
             high = static_cast<From>(IntLimits<To>::high);
  const bool over = x >= high, under = !(x >= low);  // NaN is under
  const From safe = (over | under) ? From(0) : x;
  To r = static_cast<To>(safe);
  r = over ? IntLimits<To>::max : r;
  return x < low ? IntLimits<To>::min : r;
}

// ---- any to any

template <class To, class From>
TT_HD To convert(From x) {
  if constexpr (kSame<To, From>) {
    return x;
  } else if constexpr (kIsHalf<From>) {
    return convert<To>(to_float(x));
  } else if constexpr (kIsHalf<To>) {
    float f;
    if constexpr (kSame<From, int64_t> || kIsFloat<From>) {
      f = to_float_odd(x);
    } else {
      f = to_float_odd(static_cast<double>(x));
    }
    if constexpr (kSame<To, BFloat16>) {
      return to_bf16(f);
    } else {
      return to_f16(f);
    }
  } else if constexpr (kSame<To, bool>) {
    return x != From(0);
  } else if constexpr (kIsFloat<From> && !kIsFloat<To>) {
    return saturate<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
