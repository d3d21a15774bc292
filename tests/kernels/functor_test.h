// What the tests of functors share: samples of a type, distance in units of the last place, and
// running a loop on a vector.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/common/dispatch.h"
#include "tests/kernels/functor_loops.h"

namespace tinytorch {

// A test that runs once for each instruction set.
class IsaTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!isa().supported()) GTEST_SKIP() << "this processor has no " << isa().name;
  }
  const KernelIsa& isa() const { return kKernelIsas[GetParam()]; }
  const FunctorLoops& loops() const { return isa().functors(); }
};
#define TT_FOR_EACH_ISA(Suite)                                                                    \
  INSTANTIATE_TEST_SUITE_P(Isa, Suite, testing::Range(0, kKernelIsaCount), [](const auto& info) { \
    return std::string(kKernelIsas[info.param].name);                                             \
  })

// The type of the oracle: at least 11 bits more than T.
template <class T>
using Wider = std::conditional_t<sizeof(T) == 4, double, long double>;

// |got - want| in units of the last place of `want` in T. NaN and infinity must be met exactly,
// except that the largest numbers and infinity are neighbours.
template <class T>
double ulps(T got, Wider<T> want) {
  using E = Wider<T>;
  if (std::isnan(want) || std::isnan(got))
    return std::isnan(want) == std::isnan(got) ? 0 : HUGE_VAL;
  const T rounded = static_cast<T>(want);
  if (rounded == got) return 0;
  if (std::isinf(want) || (std::isinf(rounded) && std::isinf(got))) return HUGE_VAL;
  using Limits = std::numeric_limits<T>;
  const E beyond = std::ldexp(E(1), Limits::max_exponent);
  const E reached =
      std::isinf(got) ? std::copysign(beyond, static_cast<E>(got)) : static_cast<E>(got);
  int exponent = Limits::min_exponent;
  if (want != 0) std::frexp(want, &exponent);
  exponent = std::min(std::max(exponent, Limits::min_exponent), Limits::max_exponent);
  return static_cast<double>(std::fabs(reached - want) /
                             std::ldexp(E(1), exponent - Limits::digits));
}

template <class T>
std::vector<T> special_values() {
  using L = std::numeric_limits<T>;
  std::vector<T> v = {0,
                      L::denorm_min(),
                      3 * L::denorm_min(),
                      L::min() / 2,
                      L::min(),
                      L::epsilon(),
                      T(0.1),
                      T(0.5),
                      1,
                      1 + L::epsilon(),
                      1 - L::epsilon() / 2,
                      T(1.5),
                      2,
                      T(2.5),
                      3,
                      10,
                      T(1e10),
                      L::max() / 2,
                      L::max(),
                      L::infinity(),
                      L::quiet_NaN()};
  const size_t n = v.size();
  for (size_t i = 0; i < n; ++i) v.push_back(-v[i]);
  return v;
}

// Special values, bit patterns across the whole range, and dense samples of intervals around 0.
template <class T>
std::vector<T> samples(int per_kind = 60000) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  std::vector<T> v = special_values<T>();
  std::mt19937_64 random(12345);
  for (int i = 0; i < per_kind; ++i) {
    const Bits bits = static_cast<Bits>(random());
    T x;
    std::memcpy(&x, &bits, sizeof x);
    v.push_back(x);
  }
  for (const double width : {1.0, 4.0, 20.0, 120.0, 800.0}) {
    for (int i = 0; i < per_kind; ++i)
      v.push_back(static_cast<T>(std::uniform_real_distribution<double>(-width, width)(random)));
  }
  return v;
}

// out[i] = word(x[i]).
template <class R, class T>
std::vector<R> run(FunctorLoops::Unary loop, const std::vector<T>& x, const UnaryParams& p = {}) {
  std::vector<R> out(x.size());
  loop(out.data(), x.data(), static_cast<int64_t>(x.size()), p);
  return out;
}
template <class R, class T>
std::vector<R> run(FunctorLoops::Binary loop, const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<R> out(a.size());
  loop(out.data(), a.data(), b.data(), static_cast<int64_t>(a.size()));
  return out;
}

}  // namespace tinytorch
