// Matrix products against plain loops in double, for each instruction set and both engines, and the
// same bits on any number of threads.
#include <gtest/gtest.h>

#include <string>

#include "backends/cpu/rt.h"
#include "backends/cpu/thread_pool.h"
#include "tests/kernels/cpu_levels.h"

namespace tinytorch {
namespace {

struct Shape {
  int64_t m, n, k;
};
// Single elements, tails of every kind, one row or column, k of several blocks, and sizes that run
// in parallel.
const Shape kShapes[] = {
    {1, 1, 1},       {4, 8, 2},      {4, 2, 8},      {1, 8, 4},      {5, 3, 0},
    {7, 5, 3},       {16, 16, 16},   {13, 31, 17},   {17, 33, 19},   {1, 100, 50},
    {100, 1, 50},    {2, 300, 100},  {300, 3, 40},   {3, 5, 70},     {64, 64, 64},
    {40, 33, 64},    {1, 7, 9000},   {64, 10, 784},  {130, 70, 300}, {28, 513, 257},
    {150, 170, 260}, {700, 40, 270}, {60, 530, 300}, {720, 70, 380}, {60, 70, 5000}};

double activated(Activation act, double x) {
  switch (act) {
    case Activation::relu:
      return x < 0 ? 0 : x;
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::none:
      break;
  }
  return x;
}

enum class Extras { none, column_bias_and_activation, row_bias_accumulate };

template <class T>
struct Problem {
  GemmCall<T> call{};
  std::vector<T> a, b, c, bias;
  std::vector<Sum> product, want;

  Problem(const Shape& s, bool ta, bool tb, bool positive = false) {
    const int64_t lda = (ta ? s.m : s.k) + 3, ldb = (tb ? s.k : s.n) + 2, ldc = s.n + 1;  // gaps
    a = random_values<T>(static_cast<size_t>((ta ? s.k : s.m) * lda), 1);
    b = random_values<T>(static_cast<size_t>((tb ? s.n : s.k) * ldb), 2);
    c = random_values<T>(static_cast<size_t>(s.m * ldc), 3);
    bias = random_values<T>(static_cast<size_t>(s.m + s.n), 4);
    if (positive) {
      for (T& v : a) v = std::fabs(v);
      for (T& v : b) v = std::fabs(v);
    }
    call.m = s.m, call.n = s.n, call.k = s.k, call.ta = ta, call.tb = tb;
    call.a = a.data(), call.lda = lda, call.b = b.data(), call.ldb = ldb, call.ldc = ldc;
    product.resize(c.size());
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        Sum sum;
        const T *x = ta ? a.data() + i : a.data() + i * lda,
                *y = tb ? b.data() + j * ldb : b.data() + j;
        for (int64_t p = 0; p < s.k; ++p, x += ta ? lda : 1, y += tb ? 1 : ldb) {
          sum.add(static_cast<double>(*x) * static_cast<double>(*y));
        }
        product[static_cast<size_t>(i * ldc + j)] = sum;
      }
    }
    with(Extras::none, Activation::none);
  }

  void with(Extras extras, Activation act) {
    call.col_bias = extras == Extras::column_bias_and_activation ? bias.data() : nullptr;
    call.act = call.col_bias ? act : Activation::none;
    call.row_bias = extras == Extras::row_bias_accumulate ? bias.data() : nullptr;
    call.accumulate = call.row_bias != nullptr;
    want.assign(c.size(), Sum());
    for (size_t i = 0; i < c.size(); ++i) {
      const auto row = static_cast<int64_t>(i) / call.ldc, col = static_cast<int64_t>(i) % call.ldc;
      if (col >= call.n) {  // a gap stays as it is
        want[i].add(static_cast<double>(c[i]));
        continue;
      }
      Sum sum = product[i];
      if (call.accumulate) sum.add(static_cast<double>(c[i]));
      if (call.row_bias) sum.add(static_cast<double>(call.row_bias[row]));
      if (call.col_bias) sum.add(static_cast<double>(call.col_bias[col]));
      sum.value = activated(call.act, sum.value);
      if (call.act != Activation::none) sum.magnitude += 1;  // the rounding of the function itself
      want[i] = sum;
    }
  }

  std::vector<T> run(const CpuLevel& level, bool blas) {
    std::vector<T> out = c;
    call.c = out.data();
    level.gemm(test_context(), call, blas);
    return out;
  }
};

template <class T>
void check_all(bool blas) {
  std::vector<CpuLevel> levels = cpu_levels();
  if (blas)
    levels.erase(levels.begin(), levels.end() - 1);  // its instruction set is its own choice
  for (const Shape& s : kShapes) {
    if (blas && s.k == 0) continue;  // never sent there
    for (int form = 0; form < 4; ++form) {
      Problem<T> problem(s, form & 1, form & 2);
      const Activation act = form == 0   ? Activation::tanh
                             : form == 1 ? Activation::sigmoid
                                         : Activation::relu;
      for (const Extras extras :
           {Extras::none, Extras::column_bias_and_activation, Extras::row_bias_accumulate}) {
        problem.with(extras, act);
        for (const CpuLevel& level : levels) {
          SCOPED_TRACE(std::string(level.name) + (sizeof(T) == 4 ? " f32 " : " f64 ") +
                       std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k) +
                       " form " + std::to_string(form) + " extras " +
                       std::to_string(static_cast<int>(extras)));
          cpu::set_num_threads(1);
          const std::vector<T> one = problem.run(level, blas);
          EXPECT_LE(worst_error(one, problem.want), 8);
          if (s.m * s.n * s.k < 100000) continue;
          cpu::set_num_threads(2);
          EXPECT_TRUE(same_bits(one, problem.run(level, blas))) << "two threads give other bits";
        }
      }
    }
  }
  cpu::set_num_threads(0);
}

TEST(Gemm, OwnEngineF32) { check_all<float>(false); }
TEST(Gemm, OwnEngineF64) { check_all<double>(false); }

TEST(Gemm, OpenBlasF32) {
  if (!cpu::blas()) GTEST_SKIP() << "no OpenBLAS here";
  check_all<float>(true);
}
TEST(Gemm, OpenBlasF64) {
  if (!cpu::blas()) GTEST_SKIP() << "no OpenBLAS here";
  check_all<double>(true);
}

// Values that are all positive are the hard case for sums: every partial sum is as large as it can
// be.
TEST(Gemm, PositiveValuesKeepTheErrorBound) {
  for (const int64_t k : {256, 1000, 3000}) {
    Problem<float> problem({48, 64, k}, false, true, true);
    for (const CpuLevel& level : cpu_levels()) {
      const double worst = worst_error(problem.run(level, false), problem.want);
      EXPECT_LE(worst, 8) << level.name << " k " << k;
      RecordProperty(std::string(level.name) + "_" + std::to_string(k), std::to_string(worst));
    }
  }
}

// What stands in padding lanes and beyond the operands must not reach the result.
TEST(Gemm, NanOutsideTheOperandsStaysOutside) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const CpuLevel& level : cpu_levels()) {
    for (const Shape& s :
         {Shape{5, 3, 7}, Shape{30, 37, 70}, Shape{2, 50, 40}, Shape{200, 77, 130}}) {
      for (int form = 0; form < 4; ++form) {
        Problem<float> problem(s, form & 1, form & 2);
        const auto poison = [&](std::vector<float>& values, int64_t ld, int64_t used) {
          for (size_t i = 0; i < values.size(); ++i) {
            if (static_cast<int64_t>(i) % ld >= used) values[i] = nan;
          }
        };
        poison(problem.a, problem.call.lda, form & 1 ? s.m : s.k);
        poison(problem.b, problem.call.ldb, form & 2 ? s.k : s.n);
        EXPECT_LE(worst_error(problem.run(level, false), problem.want), 8)
            << level.name << " form " << form;
      }
    }
  }
}

TEST(Gemm, InfinityAndNanGoThrough) {
  const float inf = std::numeric_limits<float>::infinity(),
              nan = std::numeric_limits<float>::quiet_NaN();
  for (const CpuLevel& level : cpu_levels()) {
    const std::vector<float> a = {1, inf, 2, nan}, b = {1, 1, 1, 1};
    std::vector<float> out(4);
    GemmCall<float> call{2,        2, 2,          false, false, a.data(),         2,
                         b.data(), 2, out.data(), 2,     false, Activation::relu, nullptr,
                         nullptr};
    level.gemm(test_context(), call, false);
    EXPECT_EQ(out[0], inf) << level.name;
    EXPECT_TRUE(std::isnan(out[2])) << level.name << ": relu keeps NaN";
  }
}

// The rows of the table: batches, a repeated matrix, and linear.
TEST(Gemm, BatchedMatmulRow) {
  for (const CpuLevel& level : cpu_levels()) {
    for (const int64_t repeat : {0, 1}) {
      const int64_t batch = 6, m = 5, n = 9, k = 11;
      const auto a = random_values<double>(static_cast<size_t>(batch * m * k), 5);
      const auto b = random_values<double>(static_cast<size_t>((repeat ? 1 : batch) * k * n), 6);
      std::vector<double> out(static_cast<size_t>(batch * m * n));
      std::vector<Sum> want(out.size());
      for (int64_t i = 0; i < batch * m * n; ++i) {
        const int64_t z = i / (m * n), r = i / n % m, col = i % n;
        for (int64_t p = 0; p < k; ++p) {
          want[static_cast<size_t>(i)].add(
              a[static_cast<size_t>((z * m + r) * k + p)] *
              b[static_cast<size_t>(((repeat ? 0 : z) * k + p) * n + col)]);
        }
      }
      const MatmulParams params{batch, m, n, k, m * k, repeat ? 0 : k * n, false, false};
      level.table().matmul(test_context(), dense_view(out, {batch, m, n}),
                           dense_view(a, {batch, m, k}), dense_view(b, {k, n}), params);
      EXPECT_LE(worst_error(out, want), 8) << level.name;
    }
  }
}

}  // namespace
}  // namespace tinytorch
