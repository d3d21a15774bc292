// The exact forms that need more than one expression: standard library only, no line shared with
// math.h. E is double (oracle of f32), long double (of f64) or, for arithmetic, a wide integer.
// Host only.
#pragma once

#include <cmath>

#include "kernels/common/host_device.h"

namespace tinytorch::TT_KERNEL_NS::exact {

template <class E>
TT_INLINE E sigmoid(E x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}

// The distribution function of the standard normal distribution, and its density.
template <class E>
TT_INLINE E normal_cdf(E x) {
  return std::erfc(-x / std::sqrt(E(2))) / 2;
}
template <class E>
TT_INLINE E normal_density(E x) {
  return std::exp(-x * x / 2) / std::sqrt(8 * std::atan(E(1)));
}
template <class E>
TT_INLINE E gelu_slope(E x) {
  return normal_cdf(x) + x * normal_density(x);
}

// (1 + tanh(u)) / 2 = sigmoid(2 u): twice the argument of the approximation by Hendrycks and Gimpel
// (2016), and its slope.
template <class E>
TT_INLINE E gelu_tanh_argument(E x) {
  return 2 * std::sqrt(2 / (4 * std::atan(E(1)))) * (x + E(0.044715L) * x * x * x);
}
template <class E>
TT_INLINE E gelu_tanh(E x) {
  return x * sigmoid(gelu_tanh_argument(x));
}
template <class E>
TT_INLINE E gelu_tanh_slope(E x) {
  const E t = gelu_tanh_argument(x), s = sigmoid(t);
  const E curve = s * sigmoid(-t);
  if (curve == 0 && std::isfinite(x)) return s;  // the slope below may be infinite
  return s + x * curve * 2 * std::sqrt(2 / (4 * std::atan(E(1)))) * (1 + 3 * E(0.044715L) * x * x);
}

template <class E>
TT_INLINE E softplus(E x) {
  return (x > 0 ? x : E(0)) + std::log1p(std::exp(x > 0 ? -x : x));
}

// Division of integers: rounded down; 0 for the divisor 0, which the kernel reports.
template <class E>
TT_INLINE E remainder(E a, E b) {
  if constexpr (E(0.5) == 0) {
    if (b == 0) return 0;
    const E r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  } else {
    const E r = std::fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  }
}
template <class E>
TT_INLINE E floor_divide(E a, E b) {
  if constexpr (E(0.5) == 0) {
    return b == 0 ? E(0) : (a - remainder(a, b)) / b;
  } else {
    if (b == 0) return a / b;
    const E r = std::fmod(a, b);
    E q = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0)) q -= 1;
    return q == 0 ? std::copysign(E(0), a / b) : std::floor(q + E(0.5));
  }
}

}  // namespace tinytorch::TT_KERNEL_NS::exact
