// Sums whose error does not grow with their length: floats are added in double, doubles in pairs of
// doubles (Knuth's TwoSum, The Art of Computer Programming, vol. 2, 4.2.2). And how the lanes of a
// warp put together parts of any plain type, in a fixed tree.
#pragma once

#include "kernels/common/math.h"
#include "kernels/cuda/device/device.cuh"

namespace tinytorch::TT_KERNEL_NS {

// a + b = high + low exactly, if all is finite.
TT_HD Pair<double> sum_exact(double a, double b) {
  const double s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

// Zero is Sum<T>{}: plain data, so that it may stand in shared memory.
template <class T>
struct Sum;

template <>
struct Sum<float> {
  double high;
  TT_HD static Sum nothing() { return {}; }
  TT_HD void add(double x) { high += x; }
  TT_HD void add_product(double a, double b) { high = fma_fast(a, b, high); }
  TT_HD void join(const Sum& b) { high += b.high; }
  TT_HD double value() const { return high; }
};

template <>
struct Sum<double> {
  double high, low;
  TT_HD static Sum nothing() { return {}; }
  TT_HD void add(double x, double rest = 0) {
    const Pair<double> s = sum_exact(high, x);
    high = s.high;
    low += s.low + rest;
  }
  TT_HD void add_product(double a, double b) {
    const Pair<double> p = product_exact(a, b);
    add(p.high, p.low);
  }
  TT_HD void join(const Sum& b) { add(b.high, b.low); }
  // Beyond the finite numbers `low` is NaN, but `high` is right.
  TT_HD double value() const { return high - high == 0 ? high + low : high; }
};

// Puts kN elements into a sum; those of a pack of floats as one, which costs two roundings of them.
template <class T, int kN>
TT_HD void add_all(Sum<T>& sum, const T (&x)[kN]) {
  if constexpr (kSame<T, float> && kN == 4) {
    sum.add(static_cast<double>((x[0] + x[1]) + (x[2] + x[3])));
  } else {
    for (int i = 0; i < kN; ++i) sum.add(static_cast<double>(x[i]));
  }
}

// The part of the lane whose number differs in the bits of `mask`. All lanes call it.
template <class P>
__device__ inline P from_lane(const P& part, int mask) {
  if constexpr (sizeof(P) % 8 == 0) {
    struct Words {
      uint64_t at[sizeof(P) / 8];
    } w = bits_as<Words>(part);
    for (uint64_t& x : w.at) x = __shfl_xor_sync(kAllLanes, x, mask);
    return bits_as<P>(w);
  } else {
    static_assert(sizeof(P) == 4);
    return bits_as<P>(__shfl_xor_sync(kAllLanes, bits_as<uint32_t>(part), mask));
  }
}

// Over each `lanes` neighbours, a power of two; all get the result. Op::join(a, b) puts b into a.
template <class Op, class P>
__device__ inline void join_lanes(P& part, int lanes) {
  for (int mask = lanes / 2; mask > 0; mask /= 2) Op::join(part, from_lane(part, mask));
}

// The smallest power of two that is not below n, at most `most`.
inline int power_of_two(int64_t n, int most) {
  int p = 1;
  while (p < n && p < most) p *= 2;
  return p;
}

}  // namespace tinytorch::TT_KERNEL_NS
