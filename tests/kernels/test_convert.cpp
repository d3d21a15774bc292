// Casts between all element types against the reference's, which decodes and encodes by arithmetic
// in long double.
#include "kernels/reference/wide.h"
#include "tests/kernels/functor_test.h"

namespace tinytorch {
namespace {

using namespace oracle;

class Convert : public IsaTest {
 protected:
  template <class To, class From>
  void check(const std::vector<From>& x);
  template <class From>
  void check_all(const std::vector<From>& x) {
    check<float>(x);
    check<double>(x);
    check<BFloat16>(x);
    check<Float16>(x);
    check<int64_t>(x);
    check<int32_t>(x);
    check<uint8_t>(x);
  }
};

template <class T>
uint64_t bits_of(T x) {
  uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof x);
  return bits;
}

template <class To, class From>
void Convert::check(const std::vector<From>& x) {
  std::vector<To> got(x.size());
  loops().convert[static_cast<int>(dtype_of<To>)][static_cast<int>(dtype_of<From>)](
      got.data(), x.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const To want = store_exact<To>(load_exact(x[i]));
    if constexpr (!std::is_integral_v<To>) {
      const bool both_nan = std::isnan(static_cast<double>(load_exact(want))) &&
                            std::isnan(static_cast<double>(load_exact(got[i])));
      if (both_nan) continue;
    }
    ASSERT_EQ(bits_of(got[i]), bits_of(want))
        << name_of(dtype_of<From>) << " " << static_cast<double>(load_exact(x[i])) << " (bits "
        << bits_of(x[i]) << ") to " << name_of(dtype_of<To>);
  }
  if constexpr (std::is_same_v<To, float>) {  // once: truth, into bytes because std::vector<bool>
                                              // has none
    std::vector<uint8_t> truth(x.size(), 2);
    loops().convert[static_cast<int>(Dtype::bool_)][static_cast<int>(dtype_of<From>)](
        truth.data(), x.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(truth[i], load_exact(x[i]) != 0);
  }
}

template <class T>
std::vector<T> all_patterns() {
  std::vector<T> v(65536);
  for (int i = 0; i < 65536; ++i) v[static_cast<size_t>(i)].bits = static_cast<uint16_t>(i);
  return v;
}
// Every 16-bit float, the points half way to its neighbour, and the closest numbers on both sides
// of those.
template <class Half, class T>
std::vector<T> half_ways() {
  std::vector<T> v;
  const std::vector<Half> all = all_patterns<Half>();
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    const long double a = load_exact(all[i]), b = load_exact(all[i + 1]);
    if (!std::isfinite(static_cast<double>(a)) || std::isnan(static_cast<double>(b))) continue;
    const long double next =
        std::isinf(static_cast<double>(b)) ? a + (a - load_exact(all[i - 1])) : b;
    const T middle = static_cast<T>((a + next) / 2);
    v.push_back(middle), v.push_back(std::nextafter(middle, T(HUGE_VAL))),
        v.push_back(std::nextafter(middle, -T(HUGE_VAL)));
  }
  return v;
}
std::vector<int64_t> wide_integers() {
  std::vector<int64_t> v = {
      0,         1,         -1,        255,       256,           -256,
      INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, INT64_MAX - 1, int64_t{INT32_MAX} + 1};
  std::mt19937_64 random(9);
  for (int i = 0; i < 100000; ++i) v.push_back(static_cast<int64_t>(random()) >> (i % 64));
  for (int shift = 8; shift < 62;
       ++shift) {  // half way between neighbours of bf16, f16, f32, f64, and just beside
    for (const int digits : {7, 8, 10, 11, 23, 24, 52, 53}) {
      if (digits + 1 > shift) continue;
      const int64_t base = (int64_t{1} << shift) + (int64_t{1} << (shift - digits));
      for (const int64_t d : {-1, 0, 1}) v.push_back(base + d), v.push_back(-(base + d));
    }
  }
  return v;
}

TEST_P(Convert, FromBf16) { check_all(all_patterns<BFloat16>()); }
TEST_P(Convert, FromF16) { check_all(all_patterns<Float16>()); }
TEST_P(Convert, FromF32) {
  check_all(samples<float>());
  check<BFloat16>(half_ways<BFloat16, float>());
  check<Float16>(half_ways<Float16, float>());
  std::vector<float> edges;
  for (const float x : {0x1p31f, 0x1p63f, 256.0f, 255.5f, 1.0f, 0.5f}) {
    for (const float y : {x, std::nextafter(x, 0.0f), std::nextafter(x, HUGE_VALF)})
      edges.push_back(y), edges.push_back(-y);
  }
  check_all(edges);
}
TEST_P(Convert, FromF64) {
  check_all(samples<double>());
  check<BFloat16>(half_ways<BFloat16, double>());
  check<Float16>(half_ways<Float16, double>());
  std::vector<double> edges;
  for (const double x : {0x1p31, 0x1p31 - 1, 0x1p63, 256.0, 0x1.ffffffp127, 0x1.fffffefffffffp127,
                         0x1p-149, 0x1p-150}) {
    for (const double y : {x, std::nextafter(x, 0.0), std::nextafter(x, HUGE_VAL)})
      edges.push_back(y), edges.push_back(-y);
  }
  check_all(edges);
}
TEST_P(Convert, FromI64) { check_all(wide_integers()); }
TEST_P(Convert, FromI32) {
  std::vector<int32_t> v;
  for (const int64_t x : wide_integers()) v.push_back(static_cast<int32_t>(x));
  check_all(v);
}
TEST_P(Convert, FromU8) {
  std::vector<uint8_t> v;
  for (int i = 0; i < 256; ++i) v.push_back(static_cast<uint8_t>(i));
  check_all(v);
}

TT_FOR_EACH_ISA(Convert);

}  // namespace
}  // namespace tinytorch
