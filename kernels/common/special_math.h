// erf, gelu and its gradients, pow. Where an exponential multiplies the argument's rounding error
// (gelu of -12, pow to 1e300) the exponent is carried as a Pair; forms whose terms cancel compute
// f32 in double. See math.h for the conventions.
#pragma once

#include "kernels/common/math.h"

namespace tinytorch::TT_KERNEL_NS {

// Polynomials in t = (y - K) / (y + K), after Shepherd and Laframboise, "Chebyshev approximation of
// (1 + 2x) exp(x^2) erfc(x)" (1981), with functions, intervals and coefficients of our own.

// e^(y^2) erfc(y) for y in [0.75, 4] or [0.75, 6].
TT_HD float erfcx_of(float y) {
  const float w = 1.0f / (y + 2.0f), t = (y - 2.0f) * w;
  return w * horner(t, 0x1.058672p+0f, -0x1.5fd388p-1f, 0x1.1e2dep-2f, -0x1.2a80dcp-5f,
                    -0x1.6049p-6f, 0x1.a4653ep-8f, 0x1.8392cap-9f, -0x1.11efcp-11f);
}
TT_HD double erfcx_of(double y) {
  const double w = 1.0 / (y + 2.0), t = (y - 2.0) * w;
  return w * horner(t, 0x1.058671b52c776p+0, -0x1.5fd386754eff9p-1, 0x1.1e2deea6b116fp-2,
                    -0x1.2a88e6107d30ap-5, -0x1.606e415527677p-6, 0x1.a89eaff80a3edp-8,
                    0x1.9517bb6cc805fp-9, -0x1.b6fbf926fb14dp-11, -0x1.5ba436d5cd2f2p-11,
                    0x1.20537ff08f617p-15, 0x1.2ef9d83575fe7p-13, 0x1.1e7d3105bad35p-15,
                    -0x1.6becf944a249dp-16, -0x1.0edc204419a9fp-16, -0x1.33cbbc4223929p-20,
                    0x1.f71263f4fd453p-19, 0x1.135dceaf30f04p-19, -0x1.1a0c05b0d24f1p-22,
                    -0x1.49c7ecdfd4e30p-21);
}

// e^(a^2/2) (1 - Phi(a)), the upper tail of the normal distribution, for a in [0, 39].
TT_HD double scaled_normal_tail(double a) {
  const double w = 1.0 / (a + 3.0), t = (a - 3.0) * w;
  return w * horner(t, 0x1.754a751a56f4ap-1, -0x1.04c7295a48f33p-1, 0x1.d71387c654c99p-3,
                    -0x1.832dbf6992428p-5, -0x1.56d8e3d7ee5cap-7, 0x1.c8f52c321b24cp-8,
                    0x1.0d608c8807201p-10, -0x1.12285ef581064p-10, -0x1.0d09e8d10d938p-12,
                    0x1.43c9e76862711p-13, 0x1.4a9027a12c572p-14, -0x1.bc76e2afa07c3p-17,
                    -0x1.5b15b3f9ba468p-16, -0x1.d823742012660p-19, 0x1.e8132cb23a2cbp-19,
                    0x1.2ee03c9790577p-19, 0x1.f3253c2604378p-27, -0x1.3e455d86c64e3p-21,
                    -0x1.2d90819250809p-22, 0x1.60b495cb7ed42p-25, 0x1.b0f9de7f8bcf0p-24,
                    0x1.d92a94768af2fp-26, -0x1.0f7b79e505833p-26, -0x1.3d36bf09f9dadp-27,
                    0x1.1f15b880577bfp-31, 0x1.b6a0293a9881ap-31);
}

// a e^(a^2/2) (1 - Phi(a)) for a in [1, 14.5] or [1, 39]. The factor a = 3 (1 + t) / (1 - t) is in
// the polynomial.
TT_HD float gelu_tail(float a) {
  const float t = (a - 3.0f) / (a + 3.0f);
  return horner(t, 0x1.754a76p-2f, 0x1.c20d2ep-4f, -0x1.1e04a4p-3f, 0x1.76480ap-4f, -0x1.d8d51cp-6f,
                -0x1.c8bdf6p-10f, 0x1.045b5ap-8f, -0x1.fb769ep-16f, -0x1.25d846p-11f);
}
TT_HD double gelu_tail(double a) {
  const double t = (a - 3.0) / (a + 3.0);
  return horner(
      t, 0x1.754a751a56f4ap-2, 0x1.c20d2f0038062p-4, -0x1.1e048ed1677c9p-3, 0x1.764817ebefd3ep-4,
      -0x1.d8e3f85f9cc45p-6, -0x1.c97936f5e736bp-10, 0x1.0626a7b21a75dp-8, -0x1.31f4e98a5b086p-17,
      -0x1.556add4330f86p-11, -0x1.ac929e240203ep-15, 0x1.e913068c228bcp-14, 0x1.12f5b54b96d9cp-15,
      -0x1.1cb65c8e0ap-16, -0x1.950e420059978p-17, 0x1.c6a444e8d8a55p-25, 0x1.7d8629430fa13p-19,
      0x1.483f5cf80282p-20, -0x1.01c5dd351b9e1p-23, -0x1.7770343c5e081p-21, -0x1.5e6a2bbea1f44p-23,
      0x1.73c327f953dffp-22, -0x1.6e347e27fd203p-24);
}

// z = x^2 in [0, 1]: (Phi(x) - 1/2) / x.
TT_HD float normal_polynomial(float z) {
  return horner(z, 0x1.988454p-2f, -0x1.105832p-4f, 0x1.46ce56p-7f, -0x1.36fe02p-10f,
                0x1.dc0c52p-14f, -0x1.00fde4p-17f);
}
TT_HD double normal_polynomial(double z) {
  return horner(z, 0x1.9884533d43651p-2, -0x1.1058377e2cedfp-4, 0x1.46d042976900cp-7,
                -0x1.37403f6b92f83p-10, 0x1.e42b0d4b0898ep-14, -0x1.3ce8f9b94818cp-17,
                0x1.6589f141c05b4p-21, -0x1.621cbfe35f36bp-25, 0x1.380ac5c320fdep-29,
                -0x1.e698570851b55p-34, 0x1.1ea3fcd1c6984p-38);
}

// z = x^2 in [0, 9/16]: erf(x) / x.
TT_HD float erf_polynomial(float z) {
  return horner(z, 0x1.20dd74p+0f, -0x1.81273ap-2f, 0x1.ce2ae2p-4f, -0x1.b7aaap-6f, 0x1.4f3d08p-8f,
                -0x1.623bfp-11f);
}
TT_HD double erf_polynomial(double z) {
  return horner(z, 0x1.20dd750429b6dp+0, -0x1.812746b0379e7p-2, 0x1.ce2f21a042bc6p-4,
                -0x1.b82ce31287ce6p-6, 0x1.565bcd0e2c679p-8, -0x1.c02db3ec9fd99p-11,
                0x1.f9a32306e0932p-14, -0x1.f4d1d6286861cp-17, 0x1.b9dae461077e7p-20,
                -0x1.5ec0e0bec99f7p-23, 0x1.ef41d2b29a3a8p-27, -0x1.05364c48fa2d3p-30);
}

template <class T>
TT_HD T erf_of(T x) {
  const T limit = sizeof(T) == 4 ? T(4) : T(6);  // erf is 1 from here on
  const T a = abs_of(x), y = a > limit ? limit : a;
  const Pair<T> square = product_exact(y, y);
  const T far = T(1) - decay_of(square.high, square.low).times(erfcx_of(y));
  return with_sign_of(a < T(0.75) ? y * erf_polynomial(square.high) : far, x);
}

// e^(-a^2/2) for |x| = a, limited to where the normal distribution's tail vanishes; a NaN passes.
template <class T>
struct NormalTail {
  Decay<T> decay;
  T a;
};
template <class T>
TT_HD NormalTail<T> normal_tail(T a) {
  const T limit = sizeof(T) == 4 ? T(14.8) : T(38.8), y = a > limit ? limit : a;
  const Pair<T> square = product_exact(y, y);
  return {decay_of(T(0.5) * square.high, T(0.5) * square.low), y};
}

// x Phi(x) = max(x, 0) - |x| (1 - Phi(|x|)). NaN at -infinity, as the product gives.
template <class T>
TT_HD T gelu_of(T x) {
  const NormalTail<T> tail = normal_tail(abs_of(x));
  const T far = (x < T(0) ? T(0) : x) - tail.decay.times(gelu_tail(tail.a));
  const T near = x * fma_fast(x, normal_polynomial(x * x), T(0.5));
  const T r = tail.a < T(1) ? near : far;
  return x == -kInfinity<T> ? kNaN<T> : r;
}

// The slope of gelu, Phi(x) + x phi(x), is 1 - c(x) for x >= 0 and c(-x) below, where c(a) = 1 -
// Phi(a) - a phi(a) has a zero near 0.75, at which its terms cancel. Floats have the zero as a
// factor; doubles measure their error by the terms.

// e^(a^2/2) c(a) for a in [0, 14.8].
TT_HD float scaled_gelu_change(float a) {
  const float t = (a - 3.0f) / (a + 3.0f);
  const float rest =
      horner(t, 0x1.e9c6dep-2f, -0x1.eb6b5ep-4f, 0x1.b70f48p-5f, -0x1.cd30fep-7f, 0x1.aafa1cp-13f,
             0x1.1e6a9p-10f, -0x1.84af18p-14f, -0x1.0173c2p-13f, 0x1.2972acp-18f, 0x1.79982p-17f);
  return ((0x1.80ead2p-1f - a) - 0x1.a03fd4p-27f) * rest;
}
TT_HD float gelu_slope(float x) {
  const float a = abs_of(x);
  const NormalTail<float> tail = normal_tail(a);
  const float change = tail.decay.times(scaled_gelu_change(tail.a));
  // Taylor's series, up to z^3; z < 1/16.
  const float near = fma_fast(
      x, horner(x * x, 0x1.988454p-1f, -0x1.105838p-2f, 0x1.ea3864p-5f, -0x1.37404p-7f), 0.5f);
  const float r = a < 0.25f ? near : x < 0 ? change : 1 - change;
  return a == kInfinity<float> ? kNaN<float> : r;
}
TT_HD double gelu_slope(double x) {
  const NormalTail<double> tail = normal_tail(abs_of(x));
  const double change =
      tail.decay.times(scaled_normal_tail(tail.a) - tail.a * 0x1.9884533d43651p-2);
  const double r = x < 0 ? change : 1 - change;
  return abs_of(x) == kInfinity<double> ? kNaN<double> : r;
}

// e^(-t) for t = 2 sqrt(2/pi) (a + 0.044715 a^3), with the constants as Pairs.
template <class T>
struct GeluTanh;
template <>
struct GeluTanh<float> {
  static constexpr Pair<float> kCubic{0x1.6e4e26p-5f, 0x1.a9003ep-30f},
      kScale{0x1.988454p+0f, -0x1.857936p-25f};
  static constexpr float kLimit = 11;  // e^(-t) is 0 from here on
};
template <>
struct GeluTanh<double> {
  static constexpr Pair<double> kCubic{0x1.6e4e26d4801f7p-5, 0x1.441355475a31ap-59};
  static constexpr Pair<double> kScale{0x1.9884533d43651p+0, -0x1.cbc0d30ebfd15p-54};
  static constexpr double kLimit = 24;
};
template <class T>
TT_HD Decay<T> gelu_tanh_decay(T a) {  // 0 <= a <= kLimit
  constexpr Pair<T> c = GeluTanh<T>::kCubic, scale = GeluTanh<T>::kScale;
  const Pair<T> square = product_exact(a, a);
  const Pair<T> cubic = product_exact(c.high, square.high);
  const T cubic_low = cubic.low + (c.high * square.low + c.low * square.high);
  // Knuth's two-sum, for either term may be the larger.
  const T w = T(1) + cubic.high, back = w - T(1);
  const T w_low = ((T(1) - (w - back)) + (cubic.high - back)) + cubic_low;
  const Pair<T> u = product_exact(w, a);
  const T u_low = u.low + w_low * a;
  const Pair<T> t = product_exact(scale.high, u.high);
  return decay_of(t.high, t.low + (scale.high * u_low + scale.low * u.high));
}

template <class T>
TT_HD T gelu_tanh_of(T x) {
  const T a = abs_of(x), limit = GeluTanh<T>::kLimit, y = a > limit ? limit : a;
  const Decay<T> decay = gelu_tanh_decay(y);
  const T r = (x < T(0) ? decay.times(-y) : x) / (T(1) + decay.value());
  return x == -kInfinity<T> ? kNaN<T> : r;
}

// With s = 1 / (1 + e) and e = e^(-t) the slope at x = a >= 0 is s + a dt e s^2, and at -a 1 minus
// that: e s^2 (1 + e - a dt), which has a zero near 0.75 as above.
// Floats go through doubles, which need no Pairs.
TT_HD float gelu_tanh_slope(float x) {
  using G = GeluTanh<double>;
  const double a = abs_of(x), y = a > 12 ? 12 : a;
  const double dt3 = 3 * G::kScale.high * G::kCubic.high,
               t = y * fma_fast(y * y, dt3 / 3, G::kScale.high);
  const ExpParts<double> parts = exp_parts(-t);
  const double power =
      bits_as<double>((parts.rounded - FloatBits<double>::kBias) << FloatBits<double>::kMantissa);
  const double e = fma_fast(power, parts.m, power), inverse = 1 / (1 + e);
  const double dt = fma_fast(y * y, dt3, G::kScale.high);
  const double change = e * inverse * (1 - y * dt * inverse), r = x < 0 ? change : 1 - change;
  return abs_of(x) == kInfinity<float> ? kNaN<float> : static_cast<float>(r);
}
TT_HD double gelu_tanh_slope(double x) {
  const double a = abs_of(x), limit = GeluTanh<double>::kLimit, y = a > limit ? limit : a;
  const Decay<double> decay = gelu_tanh_decay(y);
  const double inverse = 1 / (1 + decay.value());
  const double dt = 0x1.9884533d43651p+0 * (1 + 3 * 0x1.6e4e26d4801f7p-5 * y * y);
  const double change = decay.times(inverse * (1 - y * dt * inverse));
  const double r = x < 0 ? change : 1 - change;
  return a == kInfinity<double> ? kNaN<double> : r;
}

// ---- pow

// The logarithm of 2^k (1 + f) to about 2^-64. Leading terms of 2 atanh(s) = 2 s + s z (2/3 + z
// R(z)), z = s^2, are Pairs.
TT_HD Pair<double> log_pair(double k, double f) {
  const double d = 2 + f, d_low = f - (d - 2), inverse = 1 / d;
  const double s = f * inverse;
  const Pair<double> back = product_exact(s, d);
  const double s_low = ((f - back.high) - back.low - s * d_low) * inverse;
  Pair<double> z = product_exact(s, s);
  z.low += 2 * s * s_low;
  const double r = horner(z.high, 0x1.999999999999fp-2, 0x1.249249248e4d8p-2, 0x1.c71c71d7fbbacp-3,
                          0x1.745d09e3d8241p-3, 0x1.3b18bc82cc745p-3, 0x1.1018374c7f117p-3,
                          0x1.087e4945615c6p-3);
  Pair<double> c = sum_of_ordered(0x1.5555555555555p-1, z.high * r);
  c.low += 0x1.5555555555555p-55;
  Pair<double> q = product_exact(z.high, c.high);
  q.low += z.high * c.low + z.low * c.high;
  Pair<double> e = product_exact(s, q.high);
  e.low += s * q.low + s_low * q.high;
  Pair<double> l = sum_of_ordered(2 * s, e.high);
  l.low += 2 * s_low + e.low;
  Pair<double> sum = sum_of_ordered(k * FloatBits<double>::kLn2High, l.high);
  sum.low += l.low + k * FloatBits<double>::kLn2Low;
  return sum;
}

// a^b for a > 0, infinity and zero included; 0^0 and the like are for the caller.
TT_HD double pow_of_positive(double a, double b) {
  const LogParts<double> parts = log_parts(a);
  Pair<double> l = log_pair(parts.k, parts.f);
  l.high = a < kInfinity<double> ? l.high : a;
  l.high = a == 0 ? -kInfinity<double> : l.high;
  const double high = b * l.high;
  const double low = product_exact(b, l.high).low + b * l.low;
  return exp_of(high, abs_of(high) < 1000 ? low : 0);
}
TT_HD float pow_of_positive(float a, float b) {
  return static_cast<float>(exp_of(static_cast<double>(b) * log_of(static_cast<double>(a))));
}

// As C's pow (ISO C F.10.4.4).
template <class T>
TT_HD T pow_of(T x, T y) {
  const T a = abs_of(x);
  // An exponent of 2^66 already takes the number next to 1 out of range; a larger one would
  // overflow on the way.
  const T limit = T(0x1p66), up = y > limit ? limit : y, exponent = up < -limit ? -limit : up;
  T r = pow_of_positive(a, exponent);
  const bool integer = floor_of(y) == y, odd = integer & (floor_of(y * T(0.5)) != y * T(0.5));
  r = ((x < T(0)) & (a < kInfinity<T>)&!integer) ? kNaN<T> : r;
  r = odd ? with_sign_of(r, x) : r;  // NaN is no odd integer and stays what it is
  return ((x == T(1)) | (y == T(0))) ? T(1) : r;
}

}  // namespace tinytorch::TT_KERNEL_NS
