// Paths of the CPU kernels that only large or long operands take: stores past the cache, tiles of
// transpositions, rows and columns asked for ahead, pieces of a variance.
#include <algorithm>

#include "tests/kernels/kernel_test.h"

namespace tinytorch {
namespace {

class CpuLarge : public CpuKernels {};

// Just above the size from which results go past the cache; every element is looked at, and what
// stands beside the output.
TEST_P(CpuLarge, StoresPastTheCache) {
  const int64_t n = (int64_t{8} << 20) + 77;
  const TestTensor a(Dtype::f32, {n}), b(Dtype::f32, {n});
  for (int64_t i = 0; i < n; ++i) {
    a.at<float>(i) = static_cast<float>(i % 1009);
    b.at<float>(i) = static_cast<float>(i % 31);
  }
  TestTensor sum(Dtype::f32, {n}), copy(Dtype::f32, {n});
  run({&sum}, [&](const KernelTable& k, KernelContext& ctx) {
    k.binary(ctx, BinaryOp::add, sum.view(), a.view(), b.view());
  });
  run({&copy},
      [&](const KernelTable& k, KernelContext& ctx) { k.copy(ctx, copy.view(), a.view()); });
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; ++i) {
    wrong += sum.at<float>(i) != static_cast<float>(i % 1009 + i % 31);
    wrong += copy.at<float>(i) != a.at<float>(i);
  }
  EXPECT_EQ(wrong, 0);
}

// The output of a word may be its input, whatever the size.
TEST_P(CpuLarge, InPlace) {
  const int64_t n = (int64_t{8} << 20) + 5;
  TestTensor x(Dtype::f32, {n});
  for (int64_t i = 0; i < n; ++i) x.at<float>(i) = static_cast<float>(i % 1009);
  run({&x}, [&](const KernelTable& k, KernelContext& ctx) {
    k.unary(ctx, UnaryOp::neg, x.view(), x.view(), {});
  });
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; ++i) wrong += x.at<float>(i) != -static_cast<float>(i % 1009);
  EXPECT_EQ(wrong, 0);
}

TEST_P(CpuLarge, Transpositions) {
  for (const Dtype dtype : {Dtype::u8, Dtype::bf16, Dtype::f32, Dtype::f64}) {
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{16, 16},
                                        {15, 17},
                                        {64, 64},
                                        {63, 65},
                                        {129, 47},
                                        {200, 130}}) {
      TestTensor x(dtype, {rows, columns}, {1, rows}), out(dtype, {rows, columns});
      x.fill_bits(random_);
      const Call call = [&](const KernelTable& k, KernelContext& ctx) {
        k.copy(ctx, out.view(), x.view());
      };
      run({&out}, call);
      EXPECT_EQ(out.bytes(), reference({&out}, call).bytes[0]) << rows << " x " << columns;
    }
  }
}

// Pieces of some cache lines that stand far apart.
TEST_P(CpuLarge, CopiesOfPieces) {
  for (const int64_t width : {31, 32, 64, 511, 512, 513}) {
    const int64_t rows = 37, groups = 5;
    TestTensor x(Dtype::f32, {rows, groups, width}, {width, rows * width, 1}),
        out(Dtype::f32, {rows, groups, width});
    x.fill_bits(random_);
    const Call call = [&](const KernelTable& k, KernelContext& ctx) {
      k.copy(ctx, out.view(), x.view());
    };
    run({&out}, call);
    EXPECT_EQ(out.bytes(), reference({&out}, call).bytes[0]) << width;
  }
}

double variance_of(const TestTensor& x, int64_t at, int64_t n, int64_t step) {
  long double mean = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) mean += x.number(at + i * step);
  mean /= static_cast<long double>(n);
  for (int64_t i = 0; i < n; ++i) {
    const long double d = x.number(at + i * step) - mean;
    squares += d * d;
  }
  return static_cast<double>(squares / static_cast<long double>(n));
}

TEST_P(CpuLarge, Variance) {
  const Shape shapes[] = {{1, 1, 1},    {3, 7, 1},    {40, 1000, 1}, {2, 30000, 1}, {1, 8192, 1},
                          {1, 8193, 1}, {9, 8191, 1}, {2, 3, 1},     {1, 300, 64},  {3, 129, 65},
                          {2, 1, 5},    {1, 7, 200},  {0, 4, 3},     {1, 9000, 3}};
  for (const Shape& shape : shapes) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const int64_t n = shape[1], inner = shape[2];
      const double eps = dtype == Dtype::f32 ? std::numeric_limits<float>::epsilon()
                                             : std::numeric_limits<double>::epsilon();
      TestTensor x(dtype, shape), out(dtype, {shape[0], inner});
      x.fill(random_, 99, 101);
      run({&out}, [&](const KernelTable& k, KernelContext& ctx) {
        k.variance(ctx, out.view(), x.view(), {1 / static_cast<double>(n)});
      });
      expect_within(
          out,
          [&](int64_t i) { return variance_of(x, i / inner * n * inner + i % inner, n, inner); },
          [&](int64_t) { return 8 * eps * (dtype == Dtype::f64 ? 100 : 1); },
          "variance " + text_of(shape));
    }
  }
}

TEST_P(CpuLarge, VarianceOfNanAndInfinity) {
  for (const double odd : {std::nan(""), HUGE_VAL}) {
    for (const int64_t place : {0, 1, 299}) {
      TestTensor x(Dtype::f32, {1, 300, 1}), out(Dtype::f32, {1, 1});
      x.fill(random_, -1, 1);
      x.set(place, odd);
      run({&out}, [&](const KernelTable& k, KernelContext& ctx) {
        k.variance(ctx, out.view(), x.view(), {1});
      });
      EXPECT_TRUE(std::isnan(out.number(0))) << odd << " at " << place;
    }
  }
}

TT_FOR_EACH_CPU_TABLE(CpuLarge);

}  // namespace
}  // namespace tinytorch
