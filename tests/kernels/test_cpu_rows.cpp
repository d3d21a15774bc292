// Rows of the CPU kernel tables over [M, N] and [outer, n, inner], and random numbers, at each
// instruction set against the reference.
#include "tests/kernels/kernel_test.h"

#include <algorithm>

namespace tinytorch {
namespace {

constexpr double kEps32 = std::numeric_limits<float>::epsilon(),
                 kEps64 = std::numeric_limits<double>::epsilon();
double eps_of(Dtype d) { return d == Dtype::f32 ? kEps32 : kEps64; }

class CpuRows : public CpuKernels {
 protected:
  Shape shape3(int64_t most_n) {
    const int64_t inner = random_() % 2 ? 1 : static_cast<int64_t>(1 + random_() % 150);
    return {static_cast<int64_t>(random_() % 30),
            static_cast<int64_t>(1 + random_() % static_cast<uint64_t>(most_n)), inner};
  }
};

TEST_P(CpuRows, LayerNorm) {
  const Shape shapes[] = {{1, 1},     {1, 7},     {3, 16},   {40, 33},   {300, 130}, {5000, 3},
                          {70, 1024}, {2, 20000}, {64, 701}, {1100, 48}, {9, 9000}};
  int round = 0;
  for (const Shape& shape : shapes) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const bool weighted = round % 2 == 0, biased = round / 2 % 2 == 0;
      // In double the mean is no better than its rounding, which stands far from zero here.
      const double centre = round++ % 3 ? 0 : 100, far = dtype == Dtype::f64 ? 1 + centre : 1;
      const int64_t rows = shape[0], n = shape[1];
      TestTensor x(dtype, shape), g(dtype, shape), w(dtype, {n}), b(dtype, {n}), out(dtype, shape),
          mean(dtype, {rows}), inverse(dtype, {rows}), gx(dtype, shape), gw(dtype, {n}),
          gb(dtype, {n});
      x.fill(random_, centre - 1, centre + 1);
      g.fill(random_, -1, 1);
      w.fill(random_, 0.5, 2);
      b.fill(random_, -1, 1);
      const View *weight = weighted ? &w.view() : nullptr, *bias = biased ? &b.view() : nullptr;
      const double eps = eps_of(dtype), sums = 8 * eps * std::sqrt(static_cast<double>(rows));
      // Each output within tolerance(position) of the reference's.
      const auto compare = [&](const std::vector<TestTensor*>& outputs, const Call& call,
                               const std::vector<std::function<double(int64_t)>>& tolerances) {
        run(outputs, call);
        const Outcome want = reference(outputs, call);
        for (size_t i = 0; i < outputs.size(); ++i) {
          TestTensor exact(dtype, outputs[i] == &out || outputs[i] == &gx         ? shape
                                  : outputs[i] == &mean || outputs[i] == &inverse ? Shape{rows}
                                                                                  : Shape{n});
          exact.restore(want.bytes[i]);
          expect_within(
              *outputs[i], [&](int64_t at) { return exact.number(at); }, tolerances[i],
              "layer_norm " + text_of(shape) + ", output " + std::to_string(i));
        }
      };
      const auto of_row = [&](int64_t at) { return inverse.number(at / n); };
      const auto forward = [&](const KernelTable& k, KernelContext& ctx) {
        k.layer_norm(ctx, out.view(), mean.view(), inverse.view(), x.view(), weight, bias, {1e-5});
      };
      compare({&mean, &inverse, &out}, forward,
              {[&](int64_t) { return 2 * eps * (1 + centre); },
               [&](int64_t at) { return 8 * far * eps * inverse.number(at); },
               [&](int64_t at) { return 8 * far * eps * (1 + of_row(at)); }});
      const auto close_gx = [&](int64_t at) { return 8 * eps * of_row(at); };
      const auto close_sum = [&](int64_t) { return sums; };
      const auto backward = [&](bool of_x, bool of_w, bool of_b) {
        return [&, of_x, of_w, of_b](const KernelTable& k, KernelContext& ctx) {
          k.layer_norm_grad(ctx, of_x ? &gx.view() : nullptr, of_w ? &gw.view() : nullptr,
                            of_b ? &gb.view() : nullptr, g.view(), x.view(), mean.view(),
                            inverse.view(), weight);
        };
      };
      compare({&gx, &gw, &gb}, backward(true, true, true), {close_gx, close_sum, close_sum});
      compare({&gx}, backward(true, false, false), {close_gx});
      compare({&gw}, backward(false, true, false), {close_sum});
      compare({&gx, &gb}, backward(true, false, true), {close_gx, close_sum});
    }
  }
}

TEST_P(CpuRows, Softmax) {
  for (int round = 0; round < 160; ++round) {
    const Shape shape = round % 20 == 0 ? Shape{3, 20000, 1} : shape3(round % 2 ? 40 : 700);
    const Dtype dtype = round % 3 ? Dtype::f32 : Dtype::f64;
    const double eps = eps_of(dtype);
    TestTensor x(dtype, shape), y(dtype, shape), g(dtype, shape), gx(dtype, shape),
        want(dtype, shape);
    x.fill(random_, -9, 9);
    g.fill(random_, -1, 1);
    for (const bool log : {false, true}) {
      const Call forward = [&](const KernelTable& k, KernelContext& ctx) {
        k.softmax(ctx, y.view(), x.view(), log);
      };
      run({&y}, forward);
      want.restore(reference({&y}, forward).bytes[0]);
      // The argument of the exponential, up to 18, is rounded before it is used.
      expect_within(
          y, [&](int64_t i) { return want.number(i); },
          [&](int64_t i) {
            return eps * (log ? 4 + std::fabs(want.number(i)) : 24 * want.number(i));
          },
          "softmax " + text_of(shape));
      const Call backward = [&](const KernelTable& k, KernelContext& ctx) {
        k.softmax_grad(ctx, gx.view(), g.view(), y.view(), log);
      };
      run({&gx}, backward);
      want.restore(reference({&gx}, backward).bytes[0]);
      const double terms = log ? static_cast<double>(shape[1]) : 1;
      expect_within(
          gx, [&](int64_t i) { return want.number(i); },
          [&](int64_t i) {
            const double weight = log ? std::exp(y.number(i)) : y.number(i);
            return eps * (std::fabs(g.number(i)) + 8 * weight * (terms + 1));
          },
          "softmax_grad " + text_of(shape));
    }
  }
}

TEST_P(CpuRows, SoftmaxKeepsNan) {
  for (const int64_t n : {5, 64, 300}) {
    TestTensor x(Dtype::f32, {2, n, 1}), y(Dtype::f32, {2, n, 1});
    x.fill(random_, -1, 1);
    x.set(n - 1, NAN);
    x.set(n, -HUGE_VAL);
    run({&y}, [&](const KernelTable& k, KernelContext& ctx) {
      k.softmax(ctx, y.view(), x.view(), false);
    });
    for (int64_t i = 0; i < n; ++i) EXPECT_TRUE(std::isnan(y.number(i)));
    EXPECT_EQ(y.number(n), 0);
  }
}

class CpuIndex : public CpuRows {
 protected:
  // Valid indices, or with `bad` a few that are not.
  void fill_indices(const TestTensor& index, int64_t n, bool bad) {
    for (int64_t i = 0; i < index.numel(); ++i) {
      int64_t value = static_cast<int64_t>(random_() % static_cast<uint64_t>(n));
      if (bad && random_() % 20 == 0)
        value = random_() % 2 ? n + static_cast<int64_t>(random_() % 3) : -1;
      index.at<int64_t>(i) = value;
    }
  }
  void expect_same_error(const Outcome& got, const Outcome& want) {
    EXPECT_EQ(got.error.kind, want.error.kind);
    EXPECT_EQ(got.error.position, want.error.position);
    EXPECT_EQ(got.error.value, want.error.value);
    EXPECT_EQ(got.error.limit, want.error.limit);
  }
};

TEST_P(CpuIndex, SelectAndGather) {
  for (int round = 0; round < 200; ++round) {
    const Shape shape = shape3(50);
    const int64_t m = static_cast<int64_t>(random_() % 400);
    const Dtype dtype = static_cast<Dtype>(random_() % kDtypeCount);
    TestTensor x(dtype, shape), out(dtype, {shape[0], m, shape[2]}), list(Dtype::i64, {m}),
        grid(Dtype::i64, {shape[0], m, shape[2]});
    x.fill_bits(random_);
    fill_indices(list, shape[1], round % 4 == 0);
    fill_indices(grid, shape[1], round % 4 == 0);
    const Call select = [&](const KernelTable& k, KernelContext& ctx) {
      k.index_select(ctx, out.view(), x.view(), list.view());
    };
    const Outcome selected = run({&out}, select), want_selected = reference({&out}, select);
    expect_close(out, want_selected.bytes[0], 0, "index_select " + text_of(shape));
    expect_same_error(selected, want_selected);
    const Call gather = [&](const KernelTable& k, KernelContext& ctx) {
      k.gather(ctx, out.view(), x.view(), grid.view());
    };
    const Outcome gathered = run({&out}, gather), want_gathered = reference({&out}, gather);
    expect_close(out, want_gathered.bytes[0], 0, "gather " + text_of(shape));
    expect_same_error(gathered, want_gathered);
  }
}

TEST_P(CpuIndex, Additions) {
  for (int round = 0; round < 200; ++round) {
    const Shape shape = shape3(50);
    const int64_t m = static_cast<int64_t>(random_() % 300);
    const Dtype dtypes[] = {Dtype::f32, Dtype::f64, Dtype::i64, Dtype::i32};
    const Dtype dtype = dtypes[round % 4];
    TestTensor out(dtype, shape), src(dtype, {shape[0], m, shape[2]}), list(Dtype::i64, {m}),
        grid(Dtype::i64, {shape[0], m, shape[2]});
    out.fill(random_, -2, 2);
    src.fill(random_, -2, 2);
    fill_indices(list, shape[1], round % 5 == 0);
    fill_indices(grid, shape[1], round % 5 == 0);
    // Additions happen one after the other, so the bound grows with their number.
    const double tolerance =
        round % 4 < 2 ? eps_of(dtype) * static_cast<double>(m + 1) * static_cast<double>(m + 1) : 0;
    for (const bool listed : {true, false}) {
      const Call add = [&](const KernelTable& k, KernelContext& ctx) {
        listed ? k.index_add(ctx, out.view(), list.view(), src.view())
               : k.scatter_add(ctx, out.view(), grid.view(), src.view());
      };
      const Outcome got = run({&out}, add), want = reference({&out}, add);
      TestTensor expected(dtype, shape);
      expected.restore(want.bytes[0]);
      expect_within(
          out, [&](int64_t i) { return expected.number(i); }, [&](int64_t) { return tolerance; },
          "additions " + text_of(shape));
      expect_same_error(got, want);
    }
  }
}

class CpuRandom : public CpuKernels {
 protected:
  TestTensor state(int64_t seed, int64_t offset) {
    TestTensor s(Dtype::i64, {2});
    s.at<int64_t>(0) = seed;
    s.at<int64_t>(1) = offset;
    return s;
  }
};

TEST_P(CpuRandom, SameBitsAsTheReference) {
  struct Case {
    RandomOp op;
    Dtype dtype;
    RandomParams p;
  };
  const Case cases[] = {{RandomOp::uniform, Dtype::f32, {-1, 3, 0, 0}},
                        {RandomOp::uniform, Dtype::f64, {0, 1, 0, 0}},
                        {RandomOp::normal, Dtype::f32, {0.5, 2, 0, 0}},
                        {RandomOp::normal, Dtype::f64, {0, 1, 0, 0}},
                        {RandomOp::bernoulli, Dtype::f32, {0.3, 0, 0, 0}},
                        {RandomOp::bernoulli, Dtype::bool_, {0.5, 0, 0, 0}},
                        {RandomOp::bernoulli, Dtype::bf16, {1, 0, 0, 0}},
                        {RandomOp::randint, Dtype::i64, {0, 0, -5, 900}},
                        {RandomOp::randint, Dtype::i32, {0, 0, 0, 7}},
                        {RandomOp::randint, Dtype::u8, {0, 0, 0, 256}},
                        {RandomOp::randint, Dtype::f32, {0, 0, -10, 10}},
                        {RandomOp::randint, Dtype::f16, {0, 0, 0, 100}},
                        {RandomOp::randint, Dtype::i64, {0, 0, INT64_MIN, INT64_MAX}}};
  for (const Case& c : cases) {
    for (const int64_t n : {0, 1, 3, 4, 5, 1023, 70001}) {
      TestTensor out(c.dtype, {n}),
          s = state(static_cast<int64_t>(random_()), n == 5 ? INT64_MAX - 1 : 17);
      const Call call = [&](const KernelTable& k, KernelContext& ctx) {
        k.random(ctx, c.op, out.view(), s.view(), c.p);
      };
      run({&out, &s}, call);
      const Outcome want = reference({&out, &s}, call);
      const std::string what = "op " + std::to_string(static_cast<int>(c.op)) + " " +
                               name_of(c.dtype) + " " + std::to_string(n);
      expect_close(out, want.bytes[0], 0, what);
      expect_close(s, want.bytes[1], 0, what);
    }
  }
}

TEST_P(CpuRandom, Permutation) {
  for (const int64_t n : {0, 1, 2, 63, 64, 65, 1000, 20000}) {
    TestTensor out(Dtype::i64, {n}), s = state(static_cast<int64_t>(random_()), 5);
    const Call call = [&](const KernelTable& k, KernelContext& ctx) {
      k.randperm(ctx, out.view(), s.view());
    };
    run({&out, &s}, call);
    const Outcome want = reference({&out, &s}, call);
    expect_close(out, want.bytes[0], 0, std::to_string(n));
    expect_close(s, want.bytes[1], 0, std::to_string(n));
  }
}

TEST_P(CpuRandom, Ramp) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i64, Dtype::i32, Dtype::u8}) {
    for (const int64_t n : {0, 1, 2, 9, 100000}) {
      for (const bool to_end : {false, true}) {
        TestTensor out(dtype, {n});
        RampParams p = {
            {-1, -1}, {2.0 / static_cast<double>(std::max<int64_t>(n - 1, 1)), 3}, 1, to_end};
        const Call call = [&](const KernelTable& k, KernelContext& ctx) {
          k.ramp(ctx, out.view(), p);
        };
        run({&out}, call);
        TestTensor want(dtype, {n});
        want.restore(reference({&out}, call).bytes[0]);
        const double tolerance = dtype == Dtype::f32 ? kEps32 : dtype == Dtype::f64 ? kEps64 : 0;
        expect_within(
            out, [&](int64_t i) { return want.number(i); }, [&](int64_t) { return tolerance; },
            "ramp " + std::to_string(n));
      }
    }
  }
}

TT_FOR_EACH_CPU_TABLE(CpuRows);
TT_FOR_EACH_CPU_TABLE(CpuIndex);
TT_FOR_EACH_CPU_TABLE(CpuRandom);

}  // namespace
}  // namespace tinytorch
