// The fast forms of the floating words against their exact forms: at most 4 ulp (most words less),
// on every instruction set, over the whole range, with infinities, NaN, subnormal arguments and
// subnormal results.
#include "tests/kernels/functor_test.h"

namespace tinytorch {
namespace {

using namespace oracle;

class Functors : public IsaTest {
 protected:
  template <class Word, class T>
  void check_unary(UnaryOp op, const char* name, UnaryParams p = {}) {
    using E = Wider<T>;
    const std::vector<T> x = samples<T>();
    const std::vector<T> got =
        run<T>(loops().unary[static_cast<int>(op)][static_cast<int>(dtype_of<T>)], x, p);
    const E a = static_cast<T>(p.a.f), b = static_cast<T>(p.b.f);
    double worst = 0;
    size_t where = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double u = ulps<T>(got[i], Word::exact(static_cast<E>(x[i]), a, b));
      if (u > worst) worst = u, where = i;
    }
    EXPECT_LE(worst, 4) << name << "(" << x[where] << ") in " << name_of(dtype_of<T>) << " gave "
                        << got[where] << ", constants " << p.a.f << ", " << p.b.f;
  }

  template <class Word, WordTypes types>
  void check_word(UnaryOp op, const char* name);

  // `scale`: what an error is measured by; by default the exact result.
  template <class Word, class T>
  void check_binary(BinaryOp op, const char* name, const std::vector<T>& a, const std::vector<T>& b,
                    Wider<T> (*scale)(Wider<T>, Wider<T>) = nullptr) {
    using E = Wider<T>;
    const std::vector<T> got =
        run<T>(loops().binary[static_cast<int>(op)][static_cast<int>(dtype_of<T>)], a, b);
    double worst = 0;
    size_t where = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const E want = Word::exact(static_cast<E>(a[i]), static_cast<E>(b[i]));
      double u = ulps<T>(got[i], want);
      if (scale && std::isfinite(u)) {
        const E size = std::max(scale(a[i], b[i]), static_cast<E>(std::numeric_limits<T>::min()));
        u = static_cast<double>(std::fabs(got[i] - want) /
                                (size * std::numeric_limits<T>::epsilon()));
      }
      if (u > worst) worst = u, where = i;
    }
    EXPECT_LE(worst, 4) << name << "(" << a[where] << ", " << b[where] << ") in "
                        << name_of(dtype_of<T>) << " gave " << got[where];
  }

  template <class T>
  void check_pow();
};

// All pairs of special values, and random pairs from samples().
template <class T>
void make_pairs(std::vector<T>* a, std::vector<T>* b) {
  for (const T x : special_values<T>()) {
    for (const T y : special_values<T>()) a->push_back(x), b->push_back(y);
  }
  const std::vector<T> x = samples<T>(20000);
  for (size_t i = 0; i < x.size(); ++i)
    a->push_back(x[i]), b->push_back(x[(i * 7919 + 13) % x.size()]);
}

// g f(x): the gradient g is an ordinary number, the other argument anything.
template <class T>
void make_gradient_pairs(std::vector<T>* g, std::vector<T>* x) {
  std::mt19937_64 random(7);
  for (const T v : samples<T>(40000)) {
    g->push_back(static_cast<T>(std::uniform_real_distribution<double>(-2, 2)(random)));
    x->push_back(v);
  }
}

// Constants to try with a word.
std::vector<UnaryParams> constants(UnaryOp op) {
  switch (op) {
    case UnaryOp::add_scalar:
    case UnaryOp::mul_scalar:
    case UnaryOp::rsub_scalar:
    case UnaryOp::rdiv_scalar:
      return {{{0.1, 0}, {}}, {{-3, 0}, {}}, {{HUGE_VAL, 0}, {}}};
    case UnaryOp::clamp:
      return {{{-1, 0}, {2.5, 0}}, {{-HUGE_VAL, 0}, {0.1, 0}}};
    case UnaryOp::pow_scalar:
      return {{{2, 0}, {}}, {{-1, 0}, {}},   {{0.5, 0}, {}},
              {{3, 0}, {}}, {{-2.5, 0}, {}}, {{0, 0}, {}}};
    default:
      return {{}};
  }
}

template <class Word, WordTypes types>
void Functors::check_word(UnaryOp op, const char* name) {
  if constexpr (types == WordTypes::N || types == WordTypes::F) {
    for (const UnaryParams& p : constants(op)) {
      check_unary<Word, float>(op, name, p);
      check_unary<Word, double>(op, name, p);
    }
  }
}

TEST_P(Functors, UnaryWords) {
#define TT_UNARY(name, types) check_word<unary_##name, WordTypes::types>(UnaryOp::name, #name);
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
}

TEST_P(Functors, ArithmeticOfPairs) {
  std::vector<float> a, b;
  std::vector<double> c, d;
  make_pairs(&a, &b);
  make_pairs(&c, &d);
#define TT_CHECK(name)                                             \
  check_binary<binary_##name, float>(BinaryOp::name, #name, a, b); \
  check_binary<binary_##name, double>(BinaryOp::name, #name, c, d)
  TT_CHECK(add);
  TT_CHECK(sub);
  TT_CHECK(mul);
  TT_CHECK(div);
  TT_CHECK(maximum);
  TT_CHECK(minimum);
  TT_CHECK(remainder);
  TT_CHECK(relu_grad);
#undef TT_CHECK
}

// Where the quotient has no more digits than the type: beyond, neither form is the floor of
// anything.
TEST_P(Functors, FloorDivide) {
  std::mt19937_64 random(3);
  std::vector<float> a, b;
  std::vector<double> c, d;
  for (int i = 0; i < 100000; ++i) {
    const double x = std::uniform_real_distribution<double>(-1e4, 1e4)(random),
                 y = std::uniform_real_distribution<double>(-8, 8)(random);
    a.push_back(static_cast<float>(x)), b.push_back(static_cast<float>(i % 2 ? y : std::round(y)));
    c.push_back(x), d.push_back(i % 2 ? y : std::round(y));
  }
  for (const double x : {0.0, -0.0, 1.0, -1.0, 5.0, -5.0, HUGE_VAL, -HUGE_VAL, std::nan("")}) {
    for (const double y : {0.0, 1.0, -1.0, 3.0, -3.0, HUGE_VAL, -HUGE_VAL, std::nan("")}) {
      a.push_back(static_cast<float>(x)), b.push_back(static_cast<float>(y));
      c.push_back(x), d.push_back(y);
    }
  }
  check_binary<binary_floor_divide, float>(BinaryOp::floor_divide, "floor_divide", a, b);
  check_binary<binary_floor_divide, double>(BinaryOp::floor_divide, "floor_divide", c, d);
}

// The sums of magnitudes of what gelu's slopes are made of.
template <class E>
E gelu_terms(E g, E x) {
  return std::isfinite(x)
             ? std::fabs(g) * (exact::normal_cdf(x) + std::fabs(x) * exact::normal_density(x))
             : E(1);
}
template <class E>
E gelu_tanh_terms(E g, E x) {
  if (!(std::fabs(x) < 10)) return std::fabs(g * exact::gelu_tanh_slope(x));  // one term is left
  const E t = exact::gelu_tanh_argument(x), s = exact::sigmoid(t);
  return std::fabs(g) * (s + std::fabs(exact::gelu_tanh_slope(x) - s));
}

TEST_P(Functors, Gradients) {
  std::vector<float> g, x;
  std::vector<double> h, y;
  make_gradient_pairs(&g, &x);
  make_gradient_pairs(&h, &y);
#define TT_CHECK(name, float_scale, double_scale)                               \
  check_binary<binary_##name, float>(BinaryOp::name, #name, g, x, float_scale); \
  check_binary<binary_##name, double>(BinaryOp::name, #name, h, y, double_scale)
  TT_CHECK(tanh_grad, nullptr, nullptr);
  TT_CHECK(sigmoid_grad, nullptr, nullptr);
  // In f64 the terms cancel near x = -0.75; f32 is computed in double and does not feel it.
  TT_CHECK(gelu_grad, nullptr, gelu_terms<long double>);
  TT_CHECK(gelu_tanh_grad, nullptr, gelu_tanh_terms<long double>);
#undef TT_CHECK
}

template <class T>
void Functors::check_pow() {
  std::vector<T> a, b;
  make_pairs(&a, &b);
  std::mt19937_64 random(5);
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  const double largest = std::log(static_cast<double>(std::numeric_limits<T>::max()));
  for (int i = 0; i < 100000; ++i) {
    // Results from subnormal to overflow, from bases of any size and from bases near 1.
    const T base = static_cast<T>(std::exp(uniform(-largest, largest))),
            near = static_cast<T>(1 + uniform(-0.1, 0.1));
    a.push_back(base), b.push_back(static_cast<T>(uniform(-1.1, 1.1) * largest /
                                                  std::log(static_cast<double>(base))));
    if (near != 1)
      a.push_back(near), b.push_back(static_cast<T>(uniform(-1.1, 1.1) * largest /
                                                    std::log(static_cast<double>(near))));
    a.push_back(static_cast<T>(std::round(uniform(-20, 20)))),
        b.push_back(static_cast<T>(std::round(uniform(-20, 20))));
    a.push_back(static_cast<T>(uniform(-8, 8))), b.push_back(static_cast<T>(uniform(-8, 8)));
  }
  check_binary<binary_pow, T>(BinaryOp::pow, "pow", a, b);
}
TEST_P(Functors, PowFloat) { check_pow<float>(); }
TEST_P(Functors, PowDouble) { check_pow<double>(); }

TEST_P(Functors, WhatIsExactStaysExact) {
  const auto at = [&](UnaryOp op, float x, UnaryParams p = {}) {
    return run<float>(loops().unary[static_cast<int>(op)][0], std::vector<float>{x}, p)[0];
  };
  const auto pow = [&](double x, double y) {
    return run<double>(loops().binary[static_cast<int>(BinaryOp::pow)][1], std::vector<double>{x},
                       std::vector<double>{y})[0];
  };
  EXPECT_EQ(at(UnaryOp::exp, 0), 1);
  EXPECT_EQ(at(UnaryOp::log, 1), 0);
  EXPECT_EQ(at(UnaryOp::sigmoid, 0), 0.5f);
  EXPECT_EQ(at(UnaryOp::tanh, 30), 1);
  EXPECT_EQ(at(UnaryOp::erf, -7), -1);
  EXPECT_EQ(at(UnaryOp::gelu, 20), 20);
  EXPECT_EQ(at(UnaryOp::gelu_tanh, -30), 0);
  for (const UnaryOp odd : {UnaryOp::tanh, UnaryOp::erf}) EXPECT_TRUE(std::signbit(at(odd, -0.0f)));
  for (int k = 0; k <= 10; ++k) EXPECT_EQ(pow(3, k), std::pow(3.0, k));
  EXPECT_EQ(pow(-2, 3), -8);
  EXPECT_EQ(pow(4, 0.5), 2);
}

TEST_P(Functors, Comparisons) {
  std::vector<double> a, b;
  make_pairs(&a, &b);
#define TT_CHECK(name)                                                                            \
  {                                                                                               \
    std::vector<uint8_t> got(a.size(), 2);                                                        \
    loops().binary[static_cast<int>(BinaryOp::name)][1](got.data(), a.data(), b.data(),           \
                                                        static_cast<int64_t>(a.size()));          \
    for (size_t i = 0; i < a.size(); ++i)                                                         \
      EXPECT_EQ(got[i], binary_##name::exact(a[i], b[i])) << #name << " " << a[i] << " " << b[i]; \
  }
  TT_CHECK(eq)
  TT_CHECK(ne)
  TT_CHECK(lt)
  TT_CHECK(le)
  TT_CHECK(gt)
  TT_CHECK(ge)
#undef TT_CHECK
  std::vector<uint8_t> nan(a.size()), finite(a.size());
  loops().unary[static_cast<int>(UnaryOp::isnan)][1](nan.data(), a.data(),
                                                     static_cast<int64_t>(a.size()), {});
  loops().unary[static_cast<int>(UnaryOp::isfinite)][1](finite.data(), a.data(),
                                                        static_cast<int64_t>(a.size()), {});
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(nan[i], std::isnan(a[i]));
    EXPECT_EQ(finite[i], std::isfinite(a[i]));
  }
}

TT_FOR_EACH_ISA(Functors);

}  // namespace
}  // namespace tinytorch
