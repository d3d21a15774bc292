// Matrix products of the simulated runtime against sums in long double: layouts, batches, bias,
// activation, long sums, and operands that are not there.
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/cuda_twin/runtime/rt_fixture.h"

namespace tinytorch::twin {
namespace {

template <class T>
class OnDevice {
 public:
  OnDevice(const std::vector<T>& values, StreamHandle stream)
      : stream_(stream), bytes_(values.size() * sizeof(T)) {
    allocate(&data, bytes_);
    copy(data, values.data(), bytes_, CopyKind::host_to_device, stream);
  }
  ~OnDevice() { release(data); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  std::vector<T> values() const {
    std::vector<T> v(bytes_ / sizeof(T));
    EXPECT_EQ(copy(v.data(), data, bytes_, CopyKind::device_to_host, stream_), kSuccess)
        << control().last_fault();
    return v;
  }
  void* data = nullptr;

 private:
  StreamHandle stream_;
  size_t bytes_;
};

template <class T>
std::vector<T> random_values(size_t n, bool positive = false) {
  std::mt19937_64 random(n);
  std::uniform_real_distribution<T> uniform(positive ? T(0) : T(-1), T(1));
  std::vector<T> v(n);
  for (T& x : v) x = uniform(random);
  return v;
}

struct Case {
  int64_t m, n, k, batch;
  bool ta, tb, bias, relu;
  int64_t padding = 0;  // of each leading dimension
  bool repeat_b = false, positive = false;
};

template <class T>
void check(const Case& t) {
  Host h;
  cuda::GemmDesc d{};
  d.dtype = sizeof(T) == 8 ? Dtype::f64 : Dtype::f32;
  d.m = t.m, d.n = t.n, d.k = t.k, d.batch = t.batch, d.ta = t.ta, d.tb = t.tb;
  const int64_t a_rows = t.ta ? t.k : t.m, b_rows = t.tb ? t.n : t.k;
  d.lda = (t.ta ? t.m : t.k) + t.padding;
  d.ldb = (t.tb ? t.k : t.n) + t.padding;
  d.ldc = t.n + t.padding;
  d.stride_a = a_rows * d.lda;
  d.stride_b = t.repeat_b ? 0 : b_rows * d.ldb;
  d.stride_c = t.m * d.ldc;
  const auto a = random_values<T>(static_cast<size_t>(t.batch * a_rows * d.lda), t.positive);
  const auto b = random_values<T>(static_cast<size_t>(t.batch * b_rows * d.ldb), t.positive);
  const auto bias = random_values<T>(static_cast<size_t>(t.n));
  const OnDevice<T> da(a, h.streams[0]), db(b, h.streams[0]), dbias(bias, h.streams[0]),
      dc(std::vector<T>(static_cast<size_t>(t.batch * d.stride_c), T(7)), h.streams[0]);
  d.a = da.data, d.b = db.data, d.c = dc.data;
  if (t.bias) d.bias = dbias.data;
  if (t.relu) d.act = Activation::relu;
  const OnDevice<T> work(std::vector<T>(t.k < 1024 ? 1 : 4 * dc.values().size()), h.streams[0]);
  GemmCall call = product_in(h.streams[0], work.data);
  ASSERT_EQ(gemm(d, call), kSuccess) << call.message;
  const std::vector<T> c = dc.values();
  for (int64_t i = 0; i < t.batch * t.m; ++i)
    for (int64_t j = 0; j < d.ldc; ++j) {
      const auto value = static_cast<long double>(c[static_cast<size_t>(i * d.ldc + j)]);
      if (j >= t.n) {
        ASSERT_EQ(value, 7) << "between rows";
        continue;
      }
      long double sum = 0, terms = 0;
      const int64_t batch = i / t.m, row = i % t.m;
      for (int64_t k = 0; k < t.k; ++k) {
        const T x =
            a[static_cast<size_t>(batch * d.stride_a + (t.ta ? k * d.lda + row : row * d.lda + k))];
        const T y =
            b[static_cast<size_t>(batch * d.stride_b + (t.tb ? j * d.ldb + k : k * d.ldb + j))];
        const long double term = static_cast<long double>(x) * y;
        sum += term;
        terms += std::fabs(term);
      }
      if (t.bias) sum += bias[static_cast<size_t>(j)], terms += std::fabs(bias[size_t(j)]);
      if (t.relu) sum = std::max(sum, 0.0L);
      const long double bound = 8 * std::numeric_limits<T>::epsilon() * terms;
      ASSERT_LE(std::fabs(value - sum), bound) << i << ", " << j << " of " << t.m << "x" << t.n;
    }
}

TEST_F(Runtime, ProductsOfEveryLayout) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      const Case cases[] = {{1, 1, 1, 1, ta, tb, false, false},
                            {5, 17, 9, 1, ta, tb, true, false, 3},
                            {67, 33, 300, 1, ta, tb, true, true},
                            {3, 16, 8, 4, ta, tb, false, true, 1},
                            {4, 5, 6, 3, ta, tb, false, false, 0, true}};
      for (const Case& t : cases) {
        check<float>(t);
        check<double>(t);
      }
    }
}

TEST_F(Runtime, LongSumsKeepTheirBound) {
  for (const bool positive : {false, true}) {
    const Case t{1, 2, 100000, 1, false, false, false, false, 0, false, positive};
    check<float>(t);
    check<double>(t);
  }
}

TEST_F(Runtime, ProductsCarryNanAndInfinity) {
  Host h;
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  for (const float odd : {inf, nan}) {
    const OnDevice<float> a({odd, 1}, h.streams[0]), b({1, 2}, h.streams[0]), c({7}, h.streams[0]);
    const OnDevice<double> a8({double{odd}, 1}, h.streams[0]), b8({1, 2}, h.streams[0]),
        c8({7}, h.streams[0]);
    cuda::GemmDesc d{Dtype::f32, 1,     1, 2, 1, a.data, b.data, c.data,
                     false,      false, 2, 1, 1, 0,      0,      0};
    d.act = Activation::relu;
    GemmCall call = product_in(h.streams[0]);
    gemm(d, call);
    d.dtype = Dtype::f64;
    d.a = a8.data, d.b = b8.data, d.c = c8.data;
    gemm(d, call);
    EXPECT_EQ(std::isnan(c.values()[0]), std::isnan(odd));
    EXPECT_EQ(std::isnan(c8.values()[0]), std::isnan(odd));
  }
}

TEST_F(Runtime, ProductsOfBadShapesAreRefused) {
  Host h;
  const OnDevice<float> a({1, 2, 3, 4}, h.streams[0]);
  const cuda::GemmDesc good{Dtype::f32, 2,     2, 2, 1, a.data, a.data, a.data,
                            false,      false, 2, 2, 2, 0,      0,      0};
  const auto refused = [&](auto change) {
    cuda::GemmDesc d = good;
    change(d);
    GemmCall call = product_in(h.streams[0]);
    return gemm(d, call) == kInvalidValue && call.message;
  };
  EXPECT_TRUE(refused([](cuda::GemmDesc& d) { d.lda = 1; }));
  EXPECT_TRUE(refused([](cuda::GemmDesc& d) { d.k = 0; }));
  EXPECT_TRUE(refused([](cuda::GemmDesc& d) { d.dtype = Dtype::i32; }));
  EXPECT_TRUE(refused([](cuda::GemmDesc& d) { d.batch = 2; }));
  EXPECT_TRUE(refused([](cuda::GemmDesc& d) { d.act = Activation::tanh; }));
  EXPECT_TRUE(refused([&](cuda::GemmDesc& d) { d.bias = d.bias_grad = a.data; }));
  GemmCall other = product_in(h.streams[0], nullptr, 1);
  EXPECT_EQ(gemm(good, other), kInvalidValue);
}

// The library has this epilogue for some shapes; of the others it writes nothing there.
TEST_F(Runtime, ProductsSumTheRowsOfTheirFirstOperand) {
  for (const int64_t n : {4, 3}) {
    for (const bool ta : {false, true}) {
      Host h;
      const auto a = random_values<float>(5 * 7),
                 b = random_values<float>(static_cast<size_t>(7 * n));
      const OnDevice<float> da(a, h.streams[0]), db(b, h.streams[0]),
          dc(std::vector<float>(static_cast<size_t>(5 * n)), h.streams[0]),
          sums(std::vector<float>(5, -9), h.streams[0]);
      cuda::GemmDesc d{Dtype::f32, 5,     n,          7, 1, da.data, db.data, dc.data,
                       ta,         false, ta ? 5 : 7, n, n, 0,       0,       0};
      d.bias_grad = sums.data;
      GemmCall call = product_in(h.streams[0]);
      ASSERT_EQ(gemm(d, call), kSuccess) << call.message;
      EXPECT_EQ(call.wrote_bias_grad, n == 4);
      const std::vector<float> seen = sums.values();
      for (size_t i = 0; i < 5; ++i) {
        double sum = 0;
        for (size_t k = 0; k < 7; ++k) sum += static_cast<double>(a[ta ? k * 5 + i : i * 7 + k]);
        EXPECT_FLOAT_EQ(seen[i], n == 4 ? static_cast<float>(sum) : -9);
      }
    }
  }
}

TEST_F(Runtime, AFailedProductTellsAMessage) {
  Host h;
  control().fail("gemm", 1, kUnknown);
  GemmCall call = product_in(h.streams[0]);
  EXPECT_EQ(gemm({}, call), kUnknown);
  ASSERT_NE(call.message, nullptr);
  const char* message = nullptr;
  control().fail("gemm_open", 1, kUnknown);
  EXPECT_EQ(gemm_open(&message), kUnknown);
  ASSERT_NE(message, nullptr);
}

}  // namespace
}  // namespace tinytorch::twin
