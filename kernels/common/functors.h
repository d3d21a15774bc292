// The words of elementwise.def: unary_<word>::fast(x, a, b) and binary_<word>::fast(a, b) in the
// element type T, for the loops of kernels/cpu and kernels/cuda; exact(...) in a wider type E
// (double for f32, long double for f64, a wide integer for integers), made of the standard library
// only, for the reference and for tests. fast never traps: integer x / 0 gives 0 and the loop
// reports it.
#pragma once

#include <tinytorch/backend/params.h>

#include "kernels/common/convert.h"
#include "kernels/common/exact_math.h"
#include "kernels/common/special_math.h"

namespace tinytorch::TT_KERNEL_NS {

// ---- arithmetic of integers wraps: done in an unsigned type of at least 32 bits, for narrower
// ones promote to signed int

template <class T>
struct WrappingType {
  using Type = uint32_t;
};
template <>
struct WrappingType<int64_t> {
  using Type = uint64_t;
};
template <>
struct WrappingType<float> {
  using Type = float;
};
template <>
struct WrappingType<double> {
  using Type = double;
};
template <class T>
using Wrapping = typename WrappingType<T>::Type;

template <class T>
TT_HD T add_of(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
}
template <class T>
TT_HD T sub_of(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
}
template <class T>
TT_HD T mul_of(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
}
template <class T>
TT_HD T neg_of(T x) {
  if constexpr (kIsFloat<T>) {
    return -x;
  } else {
    return sub_of(T(0), x);
  }
}
template <class T>
TT_HD T magnitude_of(T x) {
  if constexpr (kIsFloat<T>) {
    return abs_of(x);
  } else if constexpr (static_cast<T>(-1) > T(0)) {
    return x;
  } else {
    return x < T(0) ? neg_of(x) : x;
  }
}

// NaN stays NaN.
template <class T>
TT_HD T sign_of(T x) {
  if constexpr (static_cast<T>(-1) > T(0)) {
    return x > T(0) ? T(1) : x;
  } else {
    return x > T(0) ? T(1) : x < T(0) ? static_cast<T>(-1) : x;
  }
}

// C's division truncates; 0 and -1 are divisors that could trap.
template <class T>
TT_HD T remainder_of(T a, T b) {
  if constexpr (kIsFloat<T>) {
    const T r = fmod_of(a, b);  // exact, so the same in every library
    return ((r != T(0)) & ((r < T(0)) != (b < T(0)))) ? r + b : r;
  } else {
    const T divisor = ((b == T(0)) | (b == static_cast<T>(-1))) ? T(1) : b;  // for u8, -1 is 255
    if constexpr (static_cast<T>(-1) > T(0)) {
      return b == T(0) ? T(0) : static_cast<T>(a % b);
    } else {
      const T r = static_cast<T>(a % divisor);
      return ((r != T(0)) & ((r < T(0)) != (b < T(0)))) ? static_cast<T>(r + b) : r;
    }
  }
}
template <class T>
TT_HD T floor_divide_of(T a, T b) {
  if constexpr (kIsFloat<T>) {
    const T r = fmod_of(a, b);
    const T truncated = (a - r) / b;  // nearly an integer
    const T q = truncated - (((r != T(0)) & ((r < T(0)) != (b < T(0)))) ? T(1) : T(0));
    const T rounded = floor_of(q), up = q - rounded > T(0.5) ? rounded + T(1) : rounded;
    return b == T(0) ? a / b : q != T(0) ? up : with_sign_of(T(0), a / b);
  } else if constexpr (static_cast<T>(-1) > T(0)) {
    return b == T(0) ? T(0) : static_cast<T>(a / b);
  } else {
    const T divisor = ((b == T(0)) | (b == T(-1))) ? T(1) : b;
    const T q = a / divisor, r = a % divisor;
    const T floored =
        static_cast<T>(q - (((r != T(0)) & ((r < T(0)) != (b < T(0)))) ? T(1) : T(0)));
    return b == T(0) ? T(0) : b == T(-1) ? neg_of(a) : floored;
  }
}

// A constant of UnaryParams in the element type. Integers wrap, except that the bounds of a clamp
// saturate.
template <class T>
TT_HD T param_as(UnaryOp op, ScalarValue v) {
  if constexpr (kIsFloat<T>) {
    return static_cast<T>(v.f);
  } else if constexpr (kSame<T, bool> || kSame<T, int64_t>) {
    return static_cast<T>(v.i);
  } else {
    const int64_t low = IntLimits<T>::min, high = IntLimits<T>::max;
    const int64_t bounded = v.i < low ? low : v.i > high ? high : v.i;
    return static_cast<T>(op == UnaryOp::clamp ? bounded : v.i);
  }
}

// ---- the words

template <class T>
using Itself = T;
template <class T>
using Truth = bool;

#define TT_UNARY_WORD(name, Result, fast_form, exact_form)                             \
  struct unary_##name {                                                                \
    template <class T>                                                                 \
    TT_HD static Result<T> fast([[maybe_unused]] T x, [[maybe_unused]] T a = T(),      \
                                [[maybe_unused]] T b = T()) {                          \
      return fast_form;                                                                \
    }                                                                                  \
    template <class E>                                                                 \
    TT_INLINE static Result<E> exact([[maybe_unused]] E x, [[maybe_unused]] E a = E(), \
                                     [[maybe_unused]] E b = E()) {                     \
      return exact_form;                                                               \
    }                                                                                  \
  }
#define TT_BINARY_WORD(name, Result, fast_form, exact_form) \
  struct binary_##name {                                    \
    template <class T>                                      \
    TT_HD static Result<T> fast(T a, T b) {                 \
      return fast_form;                                     \
    }                                                       \
    template <class E>                                      \
    TT_INLINE static Result<E> exact(E a, E b) {            \
      return exact_form;                                    \
    }                                                       \
  }

TT_UNARY_WORD(neg, Itself, neg_of(x), -x);
TT_UNARY_WORD(abs, Itself, magnitude_of(x), x < 0 ? -x : x == 0 ? E(0) : x);
TT_UNARY_WORD(sign, Itself, sign_of(x), (x != x) ? x : E((x > 0) - (x < 0)));
TT_UNARY_WORD(square, Itself, mul_of(x, x), (x * x));
TT_UNARY_WORD(relu, Itself, x <= T(0) ? T(0) : x, x <= 0 ? E(0) : x);
TT_UNARY_WORD(add_scalar, Itself, add_of(x, a), x + a);
TT_UNARY_WORD(mul_scalar, Itself, mul_of(x, a), (x * a));
TT_UNARY_WORD(rsub_scalar, Itself, sub_of(a, x), a - x);
TT_UNARY_WORD(clamp, Itself, (x = x < a ? a : x, x > b ? b : x),
              (x = x < a ? a : x, x > b ? b : x));
TT_UNARY_WORD(rdiv_scalar, Itself, a / x, a / x);
TT_UNARY_WORD(pow_scalar, Itself, pow_of(x, a), std::pow(x, a));
TT_UNARY_WORD(exp, Itself, exp_of(x), std::exp(x));
TT_UNARY_WORD(log, Itself, log_of(x), std::log(x));
TT_UNARY_WORD(sqrt, Itself, sqrt_of(x), std::sqrt(x));
TT_UNARY_WORD(tanh, Itself, tanh_of(x), std::tanh(x));
TT_UNARY_WORD(sigmoid, Itself, sigmoid_of(x), exact::sigmoid(x));
TT_UNARY_WORD(gelu, Itself, gelu_of(x), (x * exact::normal_cdf(x)));
TT_UNARY_WORD(gelu_tanh, Itself, gelu_tanh_of(x), exact::gelu_tanh(x));
TT_UNARY_WORD(erf, Itself, erf_of(x), std::erf(x));
TT_UNARY_WORD(softplus, Itself, softplus_of(x), exact::softplus(x));
TT_UNARY_WORD(isnan, Truth, x != x, x != x);
TT_UNARY_WORD(isfinite, Truth, sub_of(x, x) == T(0), x - x == 0);
TT_UNARY_WORD(logical_not, Truth, x == T(0), x == 0);

TT_BINARY_WORD(add, Itself, add_of(a, b), a + b);
TT_BINARY_WORD(sub, Itself, sub_of(a, b), a - b);
TT_BINARY_WORD(mul, Itself, mul_of(a, b), (a * b));
TT_BINARY_WORD(maximum, Itself, ((a > b) | (a != a)) ? a : b, (a > b || a != a) ? a : b);
TT_BINARY_WORD(minimum, Itself, ((a < b) | (a != a)) ? a : b, (a < b || a != a) ? a : b);
TT_BINARY_WORD(floor_divide, Itself, floor_divide_of(a, b), exact::floor_divide(a, b));
TT_BINARY_WORD(remainder, Itself, remainder_of(a, b), exact::remainder(a, b));
TT_BINARY_WORD(div, Itself, a / b, a / b);
TT_BINARY_WORD(pow, Itself, pow_of(a, b), std::pow(a, b));
// g (1 - y^2) as (1 - |y|) g (1 + |y|): nothing cancels, nothing overflows.
TT_BINARY_WORD(tanh_grad, Itself, (T(1) - abs_of(b)) * a * (T(1) + abs_of(b)),
               (a * (1 - b) * (1 + b)));
TT_BINARY_WORD(sigmoid_grad, Itself, (a * b * (T(1) - b)), (a * b * (1 - b)));
TT_BINARY_WORD(relu_grad, Itself, b > T(0) ? a : T(0), b > 0 ? a : E(0));
TT_BINARY_WORD(gelu_grad, Itself, (a * gelu_slope(b)), (a * exact::gelu_slope(b)));
TT_BINARY_WORD(gelu_tanh_grad, Itself, (a * gelu_tanh_slope(b)), (a * exact::gelu_tanh_slope(b)));
TT_BINARY_WORD(eq, Truth, a == b, a == b);
TT_BINARY_WORD(ne, Truth, a != b, a != b);
TT_BINARY_WORD(lt, Truth, a < b, a < b);
TT_BINARY_WORD(le, Truth, a <= b, a <= b);
TT_BINARY_WORD(gt, Truth, a > b, a > b);
TT_BINARY_WORD(ge, Truth, a >= b, a >= b);
TT_BINARY_WORD(logical_and, Truth, (a != T(0)) & (b != T(0)), a != 0 && b != 0);
TT_BINARY_WORD(logical_or, Truth, (a != T(0)) | (b != T(0)), a != 0 || b != 0);

#undef TT_UNARY_WORD
#undef TT_BINARY_WORD

}  // namespace tinytorch::TT_KERNEL_NS
