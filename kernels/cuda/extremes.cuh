// Maxima and minima share their code: a minimum is the maximum of values turned round, floats by
// their sign, integers by all their bits. NaN wins.
#pragma once

#include <type_traits>

#include "kernels/common/dispatch.h"
#include "kernels/common/math.h"
#include "kernels/cuda/device/device.cuh"

namespace tinytorch::TT_KERNEL_NS {

template <int kBytes>
struct UnsignedOf {
  using Type = uint64_t;
};
template <>
struct UnsignedOf<4> {
  using Type = uint32_t;
};
template <>
struct UnsignedOf<1> {
  using Type = uint8_t;
};

template <class T>
struct Turn {
  using Bits = typename UnsignedOf<sizeof(T)>::Type;
  using Best = typename std::conditional<sizeof(T) == 1, uint32_t, T>::type;  // lanes swap words
  Bits mask;

  explicit Turn(ReduceOp op) {
    constexpr Bits kSign = Bits{1} << (sizeof(T) * 8 - 1), kAll = static_cast<Bits>(~Bits{0});
    mask = op == ReduceOp::max ? 0 : kIsFloat<T> ? kSign : kAll;
  }
  TT_HD T operator()(T x) const { return bits_as<T>(static_cast<Bits>(bits_as<Bits>(x) ^ mask)); }
  // Below no other value.
  TT_HD static Best lowest() {
    if constexpr (kIsFloat<T>) {
      return -kInfinity<T>;
    } else {
      return IntLimits<T>::min;
    }
  }
};

// f(Tag<T>) with the type in which values of a dtype are compared.
template <class F>
void with_ordered(Dtype d, F&& f) {
  if (d == Dtype::bool_) return f(Tag<uint8_t>{});
  with_numeric(d, f);
}

}  // namespace tinytorch::TT_KERNEL_NS
