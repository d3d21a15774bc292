// The optional rows of the CPU kernel tables, at each instruction set against plain loops in double
// that follow the definitions.
#include "tests/kernels/kernel_test.h"

#include <algorithm>

namespace tinytorch {
namespace {

double eps_of(Dtype d) {
  return d == Dtype::f32 ? std::numeric_limits<float>::epsilon()
                         : std::numeric_limits<double>::epsilon();
}

class CpuFused : public CpuKernels {
 protected:
  void expect_near(const TestTensor& got, const std::vector<double>& want, double tolerance,
                   const std::string& what) {
    expect_within(
        got, [&](int64_t i) { return want[static_cast<size_t>(i)]; },
        [&](int64_t i) { return tolerance * (1 + std::fabs(want[static_cast<size_t>(i)])); }, what);
  }
};

TEST_P(CpuFused, CrossEntropy) {
  for (int round = 0; round < 90; ++round) {
    const Dtype dtype = round % 3 ? Dtype::f32 : Dtype::f64;
    const int64_t rows = round % 10 == 0 ? 900 : static_cast<int64_t>(1 + random_() % 70);
    const int64_t n = static_cast<int64_t>(1 + random_() % (round % 2 ? 40 : 1300));
    const Reduction reduction = static_cast<Reduction>(round % 3);
    const Shape result = reduction == Reduction::none ? Shape{rows} : Shape{};
    TestTensor x(dtype, {rows, n}), target(Dtype::i64, {rows}), out(dtype, result),
        lse(dtype, {rows}), g(dtype, result), gx(dtype, {rows, n});
    x.fill(random_, -6, 6);
    g.fill(random_, -2, 2);
    for (int64_t r = 0; r < rows; ++r)
      target.at<int64_t>(r) = static_cast<int64_t>(random_() % static_cast<uint64_t>(n));
    std::vector<double> losses, sums, gradient;
    double total = 0;
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < n; ++c) sum += std::exp(x.number(r * n + c));
      sums.push_back(std::log(sum));
      losses.push_back(sums.back() - x.number(r * n + target.at<int64_t>(r)));
      total += losses.back();
    }
    const double count = reduction == Reduction::mean ? static_cast<double>(rows) : 1;
    for (int64_t i = 0; i < rows * n; ++i) {
      const int64_t r = i / n;
      const double hot = i % n == target.at<int64_t>(r),
                   upstream = g.number(reduction == Reduction::none ? r : 0) / count;
      gradient.push_back((std::exp(x.number(i) - sums[static_cast<size_t>(r)]) - hot) * upstream);
    }
    if (reduction != Reduction::none) losses = {total / count};
    const LossParams p = {reduction};
    const std::string what = text_of({rows, n});
    const double eps = eps_of(dtype);
    run({&out, &lse}, [&](const KernelTable& k, KernelContext& ctx) {
      k.cross_entropy(ctx, out.view(), lse.view(), x.view(), target.view(), p);
    });
    expect_near(lse, sums, 4 * eps, "log_sum_exp " + what);
    expect_near(out, losses, 8 * eps, "cross_entropy " + what);
    run({&gx}, [&](const KernelTable& k, KernelContext& ctx) {
      k.cross_entropy_grad(ctx, gx.view(), g.view(), x.view(), lse.view(), target.view(), p);
    });
    expect_near(gx, gradient, 32 * eps, "cross_entropy_grad " + what);
  }
}

TEST_P(CpuFused, CrossEntropyRefusesClasses) {
  TestTensor x(Dtype::f32, {8, 10}), target(Dtype::i64, {8}), out(Dtype::f32, {}),
      lse(Dtype::f32, {8}), gx(Dtype::f32, {8, 10}), g(Dtype::f32, {});
  x.fill(random_, -1, 1);
  g.set(0, 1);
  for (int64_t r = 0; r < 8; ++r) target.at<int64_t>(r) = r == 3 ? 10 : r == 6 ? -1 : r;
  Outcome got = run({&out, &lse}, [&](const KernelTable& k, KernelContext& ctx) {
    k.cross_entropy(ctx, out.view(), lse.view(), x.view(), target.view(), {Reduction::mean});
  });
  EXPECT_EQ(got.error.kind, static_cast<uint32_t>(ValueErrorKind::index_out_of_range));
  EXPECT_EQ(got.error.position, 3);
  EXPECT_EQ(got.error.value, 10);
  EXPECT_EQ(got.error.limit, 10);
  got = run({&gx}, [&](const KernelTable& k, KernelContext& ctx) {
    k.cross_entropy_grad(ctx, gx.view(), g.view(), x.view(), lse.view(), target.view(),
                         {Reduction::mean});
  });
  EXPECT_EQ(got.error.position, 3);
}

TEST_P(CpuFused, MeanSquaredError) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const int64_t n : {1, 4, 100, 5000, 300000}) {
      for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
        TestTensor a(dtype, {n}), b(dtype, {n}), out(dtype, {}), g(dtype, {}), gx(dtype, {n});
        a.fill(random_, -1, 1);
        b.fill(random_, -1, 1);
        g.set(0, 0.75);
        long double sum = 0;
        std::vector<double> gradient;
        const double count = reduction == Reduction::mean ? static_cast<double>(n) : 1;
        for (int64_t i = 0; i < n; ++i) {
          const double d = a.number(i) - b.number(i);
          sum += static_cast<long double>(d) * d;
          gradient.push_back(0.75 * 2 * d / count);
        }
        run({&out}, [&](const KernelTable& k, KernelContext& ctx) {
          k.mse(ctx, out.view(), a.view(), b.view(), {reduction});
        });
        expect_near(out, {static_cast<double>(sum) / count}, 8 * eps_of(dtype), "mse");
        run({&gx}, [&](const KernelTable& k, KernelContext& ctx) {
          k.mse_grad(ctx, gx.view(), g.view(), a.view(), b.view(), {reduction});
        });
        expect_near(gx, gradient, 4 * eps_of(dtype), "mse_grad");
      }
    }
  }
}

TEST_P(CpuFused, MaskedScale) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const int64_t n : {0, 1, 77, 100000}) {
      TestTensor x(dtype, {n}), mask(Dtype::bool_, {n}), out(dtype, {n});
      x.fill(random_, -1, 1);
      mask.fill(random_, 0, 2);
      std::vector<double> want;
      for (int64_t i = 0; i < n; ++i) want.push_back(mask.number(i) != 0 ? x.number(i) * 1.25 : 0);
      run({&out}, [&](const KernelTable& k, KernelContext& ctx) {
        k.masked_scale(ctx, out.view(), x.view(), mask.view(), 1.25);
      });
      expect_near(out, want, eps_of(dtype), "masked_scale");
    }
  }
}

// Statistics and gradients of [N, C, S] in long double.
struct NormOracle {
  std::vector<double> mean, inverse, out, gx, gw, gb;

  NormOracle(const TestTensor& x, const TestTensor& g, const TestTensor& w, const TestTensor& b,
             bool affine, double eps) {
    const int64_t N = x.view().shape[0], C = x.view().shape[1], S = x.view().shape[2];
    const auto at = [&](int64_t c, int64_t i) { return i / S * C * S + c * S + i % S; };
    out.resize(static_cast<size_t>(x.numel()));
    gx = out;
    for (int64_t c = 0; c < C; ++c) {
      const long double count = static_cast<double>(N * S), weight = affine ? w.number(c) : 1;
      long double m = 0, v = 0, sum = 0, product = 0;
      for (int64_t i = 0; i < N * S; ++i) m += x.number(at(c, i));
      m /= count;
      for (int64_t i = 0; i < N * S; ++i) v += (x.number(at(c, i)) - m) * (x.number(at(c, i)) - m);
      const long double s = 1 / std::sqrt(v / count + eps);
      for (int64_t i = 0; i < N * S; ++i) {
        const int64_t k = at(c, i);
        out[static_cast<size_t>(k)] =
            static_cast<double>((x.number(k) - m) * s * weight + (affine ? b.number(c) : 0));
        sum += g.number(k);
        product += g.number(k) * (x.number(k) - m) * s;
      }
      for (int64_t i = 0; i < N * S; ++i) {
        const int64_t k = at(c, i);
        gx[static_cast<size_t>(k)] = static_cast<double>(
            weight * s * (g.number(k) - sum / count - (x.number(k) - m) * s * product / count));
      }
      mean.push_back(static_cast<double>(m));
      inverse.push_back(static_cast<double>(s));
      gw.push_back(static_cast<double>(product));
      gb.push_back(static_cast<double>(sum));
    }
  }
};

TEST_P(CpuFused, BatchNorm) {
  const Shape shapes[] = {{1, 3, 40}, {7, 5, 9},     {40, 70, 1},   {300, 130, 1},
                          {4, 6, 49}, {2, 3, 20000}, {9, 2, 3000},  {64, 16, 5},
                          {2, 1, 2},  {5, 200, 1},   {3, 17, 1000}, {2, 9, 9000}};
  for (const Shape& shape : shapes) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      for (const bool affine : {false, true}) {
        const int64_t channels = shape[1];
        TestTensor x(dtype, shape), g(dtype, shape), w(dtype, {channels}), b(dtype, {channels}),
            out(dtype, shape), mean(dtype, {channels}), inverse(dtype, {channels}),
            gx(dtype, shape), gw(dtype, {channels}), gb(dtype, {channels});
        const double centre = affine ? 50 : 0;  // far from zero the variance needs care
        x.fill(random_, centre - 1, centre + 1);
        g.fill(random_, -1, 1);
        w.fill(random_, 0.5, 2);
        b.fill(random_, -1, 1);
        const NormOracle want(x, g, w, b, affine, 1e-5);
        const View *weight = affine ? &w.view() : nullptr, *bias = affine ? &b.view() : nullptr;
        run({&out, &mean, &inverse}, [&](const KernelTable& k, KernelContext& ctx) {
          k.batch_norm(ctx, out.view(), mean.view(), inverse.view(), x.view(), weight, bias,
                       {1e-5});
        });
        const double few = shape[0] * shape[2] < 5 ? 400 : 1;  // a tiny variance
        const double eps = eps_of(dtype) * few;
        // In double the mean is no better than its rounding, which stands far from zero here.
        const double far = 1 + centre, far_in_double = dtype == Dtype::f64 ? far : 1;
        expect_near(mean, want.mean, 2 * eps, "mean " + text_of(shape));
        expect_near(inverse, want.inverse, 8 * eps, "inverse_std " + text_of(shape));
        expect_near(out, want.out, 8 * far_in_double * eps, "batch_norm " + text_of(shape));
        run({&gx, &gw, &gb}, [&](const KernelTable& k, KernelContext& ctx) {
          k.batch_norm_grad(ctx, &gx.view(), &gw.view(), &gb.view(), g.view(), x.view(),
                            mean.view(), inverse.view(), weight);
        });
        const double terms = static_cast<double>(shape[0] * shape[2]);
        expect_near(gx, want.gx, 32 * far * eps, "gx " + text_of(shape));
        expect_near(gw, want.gw, 8 * far * eps * std::sqrt(terms) * 4, "gw " + text_of(shape));
        expect_near(gb, want.gb, 8 * eps * std::sqrt(terms) * 4, "gb " + text_of(shape));
        run({&gb}, [&](const KernelTable& k, KernelContext& ctx) {
          k.batch_norm_grad(ctx, nullptr, nullptr, &gb.view(), g.view(), x.view(), mean.view(),
                            inverse.view(), weight);
        });
        expect_near(gb, want.gb, 8 * eps * std::sqrt(terms) * 4, "gb alone " + text_of(shape));
      }
    }
  }
}

// ---- optimizers: several tensors, several steps

class CpuOptimizer : public CpuFused {
 protected:
  struct Group {
    std::vector<std::unique_ptr<TestTensor>> tensors;
    std::vector<const View*> views;
    std::vector<std::vector<double>> exact;
    ViewList list() const { return {static_cast<int>(views.size()), views.data()}; }
  };
  Group group(Dtype dtype, bool zero) {
    Group g;
    for (const Shape& shape : {Shape{3, 7}, Shape{1}, Shape{200, 300}, Shape{0}, Shape{17}}) {
      g.tensors.push_back(std::make_unique<TestTensor>(dtype, shape));
      const TestTensor& t = *g.tensors.back();
      t.fill(random_, -1, zero ? -1 : 1);
      std::vector<double> values;
      for (int64_t i = 0; i < t.numel(); ++i) {
        if (zero) t.set(i, 0);
        values.push_back(t.number(i));
      }
      g.views.push_back(&t.view());
      g.exact.push_back(values);
    }
    return g;
  }
  std::vector<TestTensor*> outputs(std::initializer_list<Group*> groups, TestTensor& hyper) {
    std::vector<TestTensor*> all = {&hyper};
    for (Group* g : groups) {
      for (auto& t : g->tensors) all.push_back(t.get());
    }
    return all;
  }
  void expect_group(const Group& g, double tolerance, const std::string& what) {
    for (size_t t = 0; t < g.tensors.size(); ++t)
      expect_near(*g.tensors[t], g.exact[t], tolerance, what);
  }
};

TEST_P(CpuOptimizer, Sgd) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const SgdParams& p :
         {SgdParams{0, 0, 0, false, false}, SgdParams{0, 0, 0.1, false, true},
          SgdParams{0.9, 0, 0, false, false}, SgdParams{0.9, 0.5, 0.01, false, true},
          SgdParams{0.8, 0, 0.01, true, false}}) {
      Group params = group(dtype, false), grads = group(dtype, false), momenta = group(dtype, true);
      if (p.momentum != 0) {
        for (auto& t : momenta.tensors) {
          for (int64_t i = 0; i < t->numel(); ++i)
            t->set(i, NAN);  // the first step reads none of it
        }
      }
      TestTensor hyper(Dtype::f64, {kHyperCount});
      hyper.set(kHyperLearningRate, 0.1);
      hyper.set(kHyperStep, 0);
      hyper.set(kHyperGradScale, 0.5);
      for (int step = 0; step < 3; ++step) {
        const ViewList none = {0, nullptr};
        run(outputs({&params, &momenta}, hyper), [&](const KernelTable& k, KernelContext& ctx) {
          k.sgd_step(ctx, params.list(), grads.list(), p.momentum != 0 ? momenta.list() : none,
                     hyper.view(), p);
        });
        for (size_t t = 0; t < params.exact.size(); ++t) {
          for (size_t i = 0; i < params.exact[t].size(); ++i) {
            double &x = params.exact[t][i], &m = momenta.exact[t][i];
            const double g = grads.exact[t][i] * (p.maximize ? -0.5 : 0.5) + p.weight_decay * x;
            m = step == 0 ? g : p.momentum * m + (1 - p.dampening) * g;
            x -= 0.1 * (p.momentum == 0 ? g : p.nesterov ? g + p.momentum * m : m);
          }
        }
        EXPECT_EQ(hyper.number(kHyperStep), step + 1);
        expect_group(params, 4 * eps_of(dtype), "parameter");
        if (p.momentum != 0) expect_group(momenta, 4 * eps_of(dtype), "momentum");
      }
    }
  }
}

TEST_P(CpuOptimizer, Adam) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const AdamParams& p : {AdamParams{0.9, 0.999, 1e-8, 0, false, false},
                                AdamParams{0.9, 0.99, 1e-6, 0.1, false, true},
                                AdamParams{0.8, 0.999, 1e-8, 0.2, true, false}}) {
      Group params = group(dtype, false), grads = group(dtype, false), first = group(dtype, true),
            second = group(dtype, true);
      TestTensor hyper(Dtype::f64, {kHyperCount});
      hyper.set(kHyperLearningRate, 0.01);
      hyper.set(kHyperStep, 0);
      hyper.set(kHyperGradScale, 2);
      for (int step = 1; step <= 3; ++step) {
        run(outputs({&params, &first, &second}, hyper),
            [&](const KernelTable& k, KernelContext& ctx) {
              k.adam_step(ctx, params.list(), grads.list(), first.list(), second.list(),
                          hyper.view(), p);
            });
        for (size_t t = 0; t < params.exact.size(); ++t) {
          for (size_t i = 0; i < params.exact[t].size(); ++i) {
            double &x = params.exact[t][i], &m = first.exact[t][i], &v = second.exact[t][i];
            const double g =
                grads.exact[t][i] * (p.maximize ? -2 : 2) + (p.decoupled ? 0 : p.weight_decay * x);
            if (p.decoupled) x -= 0.01 * p.weight_decay * x;
            m = p.beta1 * m + (1 - p.beta1) * g;
            v = p.beta2 * v + (1 - p.beta2) * g * g;
            x -= 0.01 * (m / (1 - std::pow(p.beta1, step))) /
                 (std::sqrt(v / (1 - std::pow(p.beta2, step))) + p.eps);
          }
        }
        EXPECT_EQ(hyper.number(kHyperStep), step);
        expect_group(first, 8 * eps_of(dtype), "first moment");
        expect_group(second, 8 * eps_of(dtype), "second moment");
        expect_group(params, 8 * eps_of(dtype), "parameter");
      }
    }
  }
}

TT_FOR_EACH_CPU_TABLE(CpuFused);
TT_FOR_EACH_CPU_TABLE(CpuOptimizer);

}  // namespace
}  // namespace tinytorch
