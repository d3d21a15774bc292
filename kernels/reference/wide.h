// The types in which the reference computes, and exact loads and stores: every element type fits
// into long double or a 128-bit integer without rounding, so a result is rounded once, when it is
// stored. Shares no line with kernels/common/convert.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/reference/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

__extension__ typedef __int128 WideInt;

template <class T>
struct WideOf {
  using Type = WideInt;
};
template <>
struct WideOf<float> {
  using Type = double;
};
template <>
struct WideOf<double> {
  using Type = long double;
};
template <class T>
using Wide = typename WideOf<T>::Type;

// A result of the wide type in the element type: floats round to nearest, integers keep their low
// bits (C++20 defines it so).
template <class T, class E>
T narrow(E x) {
  return static_cast<T>(x);
}

// ---- conversion between any two element types

// A binary float with a sign bit, `Exponent` and `Mantissa` bits.
template <int Exponent, int Mantissa>
struct SmallFloat {
  static constexpr int kBias = (1 << (Exponent - 1)) - 1;

  static long double decode(uint16_t bits) {
    const int exponent = bits >> Mantissa & ((1 << Exponent) - 1),
              fraction = bits & ((1 << Mantissa) - 1);
    long double x;
    if (exponent == (1 << Exponent) - 1) {
      x = fraction ? std::numeric_limits<long double>::quiet_NaN()
                   : std::numeric_limits<long double>::infinity();
    } else if (exponent == 0) {
      x = std::ldexp(static_cast<long double>(fraction), 1 - kBias - Mantissa);
    } else {
      x = std::ldexp(static_cast<long double>(fraction + (1 << Mantissa)),
                     exponent - kBias - Mantissa);
    }
    return bits >> 15 ? -x : x;
  }

  static uint16_t encode(long double x) {
    constexpr uint16_t kInfinity = ((1 << Exponent) - 1) << Mantissa;
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    if (std::isnan(x)) return sign | kInfinity | 1 << (Mantissa - 1);
    x = std::fabs(x);
    if (x == 0) return sign;
    if (std::isinf(x)) return sign | kInfinity;
    // The distance of neighbours at x is 2^quantum; x becomes a multiple of it.
    const int exponent = std::ilogb(x) > 1 - kBias ? std::ilogb(x) : 1 - kBias,
              quantum = exponent - Mantissa;
    const long double steps = std::nearbyint(std::ldexp(x, -quantum));
    // Counting in steps from the start of the binade carries into the exponent field by itself.
    const int bits = ((exponent + kBias - 1) << Mantissa) + static_cast<int>(steps);
    return sign | static_cast<uint16_t>(bits < kInfinity ? bits : kInfinity);
  }
};
using Bf16Format = SmallFloat<8, 7>;
using F16Format = SmallFloat<5, 10>;

// Any element exactly: floats as long double, integers and bool as WideInt.
template <class T>
auto load_exact(T x) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return Bf16Format::decode(x.bits);
  } else if constexpr (std::is_same_v<T, Float16>) {
    return F16Format::decode(x.bits);
  } else if constexpr (std::is_floating_point_v<T>) {
    return static_cast<long double>(x);
  } else {
    return static_cast<WideInt>(x);
  }
}

// E is long double or WideInt. Float to int saturates and NaN gives 0; int to int keeps the low
// bits; to bool is x != 0.
template <class T, class E>
T store_exact(E x) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return {Bf16Format::encode(static_cast<long double>(x))};
  } else if constexpr (std::is_same_v<T, Float16>) {
    return {F16Format::encode(static_cast<long double>(x))};
  } else if constexpr (std::is_same_v<T, bool>) {
    return x != 0;
  } else if constexpr (std::is_floating_point_v<T> || std::is_same_v<E, WideInt>) {
    return static_cast<T>(x);
  } else {
    if (std::isnan(x)) return 0;
    if (x <= static_cast<E>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
    if (x >= static_cast<E>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
    return static_cast<T>(x);
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
