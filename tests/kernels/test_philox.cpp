// Random numbers: the published answers of Philox4x32-10, the layout of words, moments of the
// distributions, and equal bits on every instruction set (a committed hash per distribution).
#include <algorithm>

#include "kernels/common/philox.h"
#include "tests/kernels/functor_test.h"

namespace tinytorch {
namespace {

using namespace oracle;

void expect_block(PhiloxBlock got, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  EXPECT_EQ(got.w[0], a);
  EXPECT_EQ(got.w[1], b);
  EXPECT_EQ(got.w[2], c);
  EXPECT_EQ(got.w[3], d);
}

// kat_vectors of Random123, rows philox4x32 10.
TEST(Philox, PublishedAnswers) {
  expect_block(philox({{0, 0, 0, 0}}, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  expect_block(philox({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u), 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
               0x6d5451fd);
  expect_block(philox({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0),
               0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
}

TEST(Philox, BlocksTakeSeedAndOffsetByHalves) {
  const uint64_t seed = 0x123456789abcdef0, offset = 0xfedcba9876543210;
  const PhiloxBlock want = philox({{0x76543210, 0xfedcba98, 0, 0}}, 0x9abcdef0, 0x12345678);
  expect_block(philox_block(seed, offset), want.w[0], want.w[1], want.w[2], want.w[3]);
}

TEST(Philox, WordsPerElement) {
  const RandomParams narrow{0, 0, 0, int64_t{1} << 32}, wide{0, 0, 0, (int64_t{1} << 32) + 1};
  EXPECT_EQ(words_per_element(RandomOp::uniform, Dtype::f32, narrow), 1);
  EXPECT_EQ(words_per_element(RandomOp::uniform, Dtype::f64, narrow), 2);
  EXPECT_EQ(words_per_element(RandomOp::normal, Dtype::f32, narrow), 2);
  EXPECT_EQ(words_per_element(RandomOp::normal, Dtype::f64, narrow), 4);
  EXPECT_EQ(words_per_element(RandomOp::bernoulli, Dtype::f64, narrow), 1);
  EXPECT_EQ(words_per_element(RandomOp::randint, Dtype::i64, narrow), 1);
  EXPECT_EQ(words_per_element(RandomOp::randint, Dtype::u8, wide), 2);
  for (const int words : {1, 2, 4}) {
    for (const int64_t n : {0, 1, 2, 3, 4, 5, 8, 1001})
      EXPECT_EQ(blocks_used(n, words), (n * words + 3) / 4);
  }
}

TEST(Philox, Uniform) {
  EXPECT_EQ(unit_float(0), 0);
  EXPECT_EQ(unit_float(~0u), 1 - 0x1p-24f);
  EXPECT_EQ(unit_float(0x80000000u), 0.5f);
  EXPECT_EQ(unit_double(0, 0x80000000u), 0.5);
  EXPECT_EQ(unit_double(~0u, ~0u), 1 - 0x1p-53);
  EXPECT_EQ(unit_double(0x800, 0), 0x1p-53);
}

TEST(Philox, Bernoulli) {
  EXPECT_EQ(bernoulli_threshold(0), 0u);
  EXPECT_EQ(bernoulli_threshold(0.25), uint64_t{1} << 30);
  EXPECT_EQ(bernoulli_threshold(1), uint64_t{1} << 32);  // above every word
}

TEST(Philox, RandintStaysInside) {
  EXPECT_EQ(randint_narrow(0, -3, 4), -3);
  EXPECT_EQ(randint_narrow(~0u, -3, 4), 3);
  EXPECT_EQ(randint_narrow(~0u, 0, int64_t{1} << 32), 0xffffffff);
  EXPECT_EQ(randint_narrow(~0u, 5, 6), 5);
  EXPECT_EQ(randint_wide(0, 0, INT64_MIN, INT64_MAX), INT64_MIN);
  EXPECT_EQ(randint_wide(~0u, ~0u, INT64_MIN, INT64_MAX), INT64_MAX - 1);
  EXPECT_TRUE(randint_is_wide(INT64_MIN, INT64_MAX));
}

// ---- the distributions of each instruction set

class Distributions : public IsaTest {
 protected:
  static constexpr int64_t kBlocks = 1 << 18;
  static constexpr uint64_t kSeed = 2024;

  std::vector<uint32_t> words() const {
    std::vector<uint32_t> w(4 * kBlocks);
    isa().philox().words(w.data(), kSeed, (uint64_t{1} << 32) - kBlocks / 2,
                         kBlocks);  // the counter carries into its second word
    return w;
  }
  template <class T>
  std::vector<T> draw(void (*loop)(T*, const uint32_t*, int64_t, double, double),
                      int64_t words_each, double a, double b) const {
    std::vector<T> out(static_cast<size_t>(4 * kBlocks / words_each));
    loop(out.data(), words().data(), static_cast<int64_t>(out.size()), a, b);
    return out;
  }
};

// FNV-1a.
template <class T>
uint64_t hash(const std::vector<T>& v) {
  uint64_t h = 0xcbf29ce484222325;
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(v.data());
  for (size_t i = 0; i < v.size() * sizeof(T); ++i) h = (h ^ bytes[i]) * 0x100000001b3;
  return h;
}

struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0, largest = 0;
};
template <class T>
Moments moments(const std::vector<T>& v) {
  Moments m;
  for (const T x : v) m.mean += static_cast<double>(x) / static_cast<double>(v.size());
  for (const T x : v) {
    const double d = x - m.mean, n = static_cast<double>(v.size());
    m.variance += d * d / n;
    m.skewness += d * d * d / n;
    m.kurtosis += d * d * d * d / n;
    m.largest = std::max(m.largest, std::fabs(static_cast<double>(x)));
  }
  m.skewness /= std::pow(m.variance, 1.5);
  m.kurtosis /= m.variance * m.variance;
  return m;
}

// Five standard deviations of each estimate.
template <class T>
void expect_normal(const std::vector<T>& v) {
  const Moments m = moments(v);
  const double n = static_cast<double>(v.size());
  EXPECT_NEAR(m.mean, 0, 5 * std::sqrt(1 / n));
  EXPECT_NEAR(m.variance, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(m.skewness, 0, 5 * std::sqrt(6 / n));
  EXPECT_NEAR(m.kurtosis, 3, 5 * std::sqrt(24 / n));
  EXPECT_GT(m.largest, 4);
  // Kolmogorov and Smirnov: 2.5 / sqrt n is passed by chance once in 130,000.
  std::vector<T> sorted = v;
  std::sort(sorted.begin(), sorted.end());
  double gap = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    gap = std::max(gap, std::fabs(exact::normal_cdf(static_cast<double>(sorted[i])) -
                                  (static_cast<double>(i) + 0.5) / n));
  }
  EXPECT_LT(gap, 2.5 / std::sqrt(n));
}
template <class T>
void expect_uniform(const std::vector<T>& v, double a, double b) {
  const Moments m = moments(v);
  const double n = static_cast<double>(v.size()), width = b - a;
  EXPECT_NEAR(m.mean, (a + b) / 2, 5 * width / std::sqrt(12 * n));
  EXPECT_NEAR(m.variance, width * width / 12, 5 * width * width / std::sqrt(180 * n));
  EXPECT_GE(*std::min_element(v.begin(), v.end()), a);
  EXPECT_LE(*std::max_element(v.begin(), v.end()), b);
}

TEST_P(Distributions, Words) { EXPECT_EQ(hash(words()), 15526477912203919506u); }
TEST_P(Distributions, UniformFloat) {
  const std::vector<float> v = draw(isa().philox().uniform_f32, 1, -1, 3);
  expect_uniform(v, -1, 3);
  EXPECT_EQ(hash(v), 17789783175731030488u);
}
TEST_P(Distributions, UniformDouble) {
  const std::vector<double> v = draw(isa().philox().uniform_f64, 2, -1, 3);
  expect_uniform(v, -1, 3);
  EXPECT_EQ(hash(v), 9300153594840700003u);
}
TEST_P(Distributions, NormalFloat) {
  const std::vector<float> v = draw(isa().philox().normal_f32, 2, 0, 1);
  expect_normal(v);
  EXPECT_EQ(hash(v), 16877060595610986401u);
}
TEST_P(Distributions, NormalDouble) {
  const std::vector<double> v = draw(isa().philox().normal_f64, 4, 0, 1);
  expect_normal(v);
  EXPECT_EQ(hash(v), 8290993760864436804u);
}

// Against Box and Muller's formula in long double, with the same words; the uniform number is
// rounded to the type first.
TEST_P(Distributions, NormalIsAccurate) {
  const std::vector<uint32_t> w = words();
  const std::vector<float> f = draw(isa().philox().normal_f32, 2, 0, 1);
  const std::vector<double> d = draw(isa().philox().normal_f64, 4, 0, 1);
  const long double turn = 8 * std::atan(1.0L);
  double worst_f = 0, worst_d = 0;
  for (size_t i = 0; i < d.size(); ++i) {
    const long double u = (static_cast<float>(w[2 * i] >> 1) + 0.5f) * 0x1p-31f;
    const long double want = std::sqrt(-2 * std::log(u)) * std::cos(turn * 0x1p-32L * w[2 * i + 1]);
    worst_f = std::max(worst_f, static_cast<double>(std::fabs(f[i] - want)));
    const uint64_t a = join_words(w[4 * i], w[4 * i + 1]),
                   b = join_words(w[4 * i + 2], w[4 * i + 3]);
    const long double v = (static_cast<double>(a) + 0.5) * 0x1p-64;
    const long double wanted = std::sqrt(-2 * std::log(v)) * std::cos(turn * 0x1p-64L * b);
    worst_d = std::max(worst_d, static_cast<double>(std::fabs(d[i] - wanted)));
  }
  EXPECT_LT(worst_f, 8 * 0x1p-23);
  EXPECT_LT(worst_d, 8 * 0x1p-52);
}

TEST_P(Distributions, ExtremeWordsGiveFiniteNormals) {
  const uint32_t w[4] = {0, 0, ~0u, ~0u};
  float f[2];
  isa().philox().normal_f32(f, w, 2, 0, 1);
  EXPECT_NEAR(f[0], 6.66, 0.01);  // sqrt(-2 log 2^-32)
  EXPECT_EQ(std::fabs(f[1]), 0);
  double d[1];
  const uint32_t smallest[4] = {0, 0, 0, 0};
  isa().philox().normal_f64(d, smallest, 1, 0, 1);
  EXPECT_NEAR(d[0], 9.49, 0.01);  // sqrt(-2 log 2^-65)
}

TT_FOR_EACH_ISA(Distributions);

}  // namespace
}  // namespace tinytorch
