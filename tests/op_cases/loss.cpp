// Cases of losses, each with every reduction.
#include "tests/op_cases/op_cases.h"

#include <cmath>

namespace tinytorch::op_cases {
namespace {

constexpr std::pair<Reduction, const char*> kReductions[] = {
    {Reduction::none, "none"}, {Reduction::mean, "mean"}, {Reduction::sum, "sum"}};

HostArray reduced(const HostArray& each, Reduction reduction) {
  if (reduction == Reduction::none) return each;
  HostArray r = host_array({});
  for (double x : each.v) r.v[0] += x;
  if (reduction == Reduction::mean) r.v[0] /= static_cast<double>(each.v.size());
  return r;
}

Tensor reduced(const Tensor& each, Reduction reduction) {
  return reduction == Reduction::none   ? each
         : reduction == Reduction::mean ? mean(each)
                                        : sum(each);
}

// f(x, t) for every element, reduced.
Oracle pairwise_oracle(double (*f)(double, double), Reduction reduction) {
  return [f, reduction](const std::vector<HostArray>& in) {
    HostArray each = in[0];
    for (size_t i = 0; i < each.v.size(); ++i) each.v[i] = f(in[0].v[i], in[1].v[i]);
    return std::vector<HostArray>{reduced(each, reduction)};
  };
}

Oracle cross_entropy_oracle(Reduction reduction) {
  return [reduction](const std::vector<HostArray>& in) {
    const int64_t n = in[0].shape[0], classes = in[0].shape[1];
    HostArray each = host_array({n});
    for (int64_t i = 0; i < n; ++i) {
      double top = -INFINITY, sum = 0;
      for (int64_t c = 0; c < classes; ++c) top = std::fmax(top, in[0].at({i, c}));
      for (int64_t c = 0; c < classes; ++c) sum += std::exp(in[0].at({i, c}) - top);
      for (int64_t c = 0; c < classes; ++c) {
        const double log_p = in[0].at({i, c}) - top - std::log(sum);
        const double wanted = in[1].shape.rank() == 2
                                  ? in[1].at({i, c})
                                  : in[1].v[static_cast<size_t>(i)] == static_cast<double>(c);
        each.at({i}) -= wanted * log_p;
      }
    }
    return std::vector<HostArray>{reduced(each, reduction)};
  };
}

Run cross_entropy_terms(Reduction reduction) {
  return [reduction](const Tensors& in) {
    const Tensor top = amax(in[0], {1}, true);
    const Tensor size =
        add(add(sub(top, in[0]), abs(top)), 4.0);  // of every logarithm, as in softmax.cpp
    const Tensor each = in[1].rank() == 2 ? sum(mul(in[1], size), {1})
                                          : size.gather(1, in[1].unsqueeze(1)).squeeze(1);
    return Tensors{reduced(each, reduction)};
  };
}

double bce(double p, double t) {
  return -(t * std::fmax(std::log(p), -100) + (1 - t) * std::fmax(std::log1p(-p), -100));
}
double bce_with_logits(double x, double t) {
  return std::fmax(x, 0) - x * t + std::log1p(std::exp(-std::fabs(x)));
}
double squared(double x, double t) { return (x - t) * (x - t); }

}  // namespace

Cases loss_cases() {
  Cases cases;
  for (const auto& [reduction, name] : kReductions) {
    const Reduction r = reduction;
    const std::string suffix = std::string("_") + name;
    const auto put = [&](const char* op, Tensor (*f)(const Tensor&, const Tensor&, Reduction),
                         const std::string& variant, const Input& x, const Input& t,
                         const Run& size, const Oracle& oracle, bool grad = true) {
      cases.push_back({.op = op,
                       .variant = variant + suffix,
                       .inputs = {x, t},
                       .run = [f, r](const Tensors& in) { return Tensors{f(in[0], in[1], r)}; },
                       .tolerance = terms(size),
                       .oracle = oracle,
                       .differentiable = grad,
                       .bench = variant.starts_with("bench")});
    };
    const auto put_ce = [&](const std::string& variant, const Input& x, const Input& t,
                            bool grad = true) {
      put("cross_entropy", cross_entropy, variant, x, t, cross_entropy_terms(r),
          cross_entropy_oracle(r), grad);
    };
    put_ce("classes", real({4, 3}), ints({4}, 0, 3));
    put_ce("probabilities", real({4, 3}), rows({4, 3}).no_grad());
    put_ce("probabilities_tracked", real({4, 3}), rows({4, 3}));
    put_ce("only_probabilities_tracked", real({2, 3}).no_grad(), rows({2, 3}));
    put_ce("one_row", real({1, 5}), ints({1}, 0, 5));
    put_ce("one_class", real({3, 1}), ints({3}, 0, 1));
    put_ce("f64", real({4, 3}).as(Dtype::f64), ints({4}, 0, 3));
    for (Layout l : all_layouts()) {
      put_ce(std::string("classes_") + name_of(l), real({4, 3}).laid(l), ints({4}, 0, 3).laid(l));
      put_ce(std::string("probabilities_") + name_of(l), real({3, 4}).laid(l),
             rows({3, 4}).laid(l).no_grad());
    }
    put_ce("large", real({4, 3}, -1000, 1000), ints({4}, 0, 3), false);
    put_ce("many", real({37, 11}), ints({37}, 0, 11), false);
    put_ce("bench_classes", real({128, 10}), ints({128}, 0, 10), false);
    put_ce("bench_wide", real({64, 1000}), ints({64}, 0, 1000), false);

    const auto two = [&](const char* op, Tensor (*f)(const Tensor&, const Tensor&, Reduction),
                         double (*plain)(double, double), const Run& size, double low, double high,
                         double t_low, double t_high) {
      const auto put_two = [&](const std::string& variant, const Input& x, const Input& t,
                               bool grad = true) {
        put(op, f, variant, x, t, size, pairwise_oracle(plain, r), grad);
      };
      const Input x = real({3, 4}, low, high), t = real({3, 4}, t_low, t_high);
      put_two("plain", x, t.no_grad());
      put_two("both_tracked", x, t);
      put_two("only_target_tracked", x.no_grad(), t);
      put_two("rank1", real({5}, low, high), real({5}, t_low, t_high).no_grad());
      put_two("rank0", real({}, low, high), real({}, t_low, t_high).no_grad());
      put_two("rank4", real({2, 1, 2, 3}, low, high), real({2, 1, 2, 3}, t_low, t_high).no_grad());
      put_two("f64", x.as(Dtype::f64), t.as(Dtype::f64).no_grad());
      for (Layout l : all_layouts()) put_two(name_of(l), x.laid(l), t.no_grad());
      put_two("many", real({401}, low, high), real({401}, t_low, t_high).no_grad(), false);
      put_two("bench", real({128, 256}, low, high), real({128, 256}, t_low, t_high).no_grad(),
              false);
    };
    // 1 - p loses digits that log then shows: the error of log(1 - p) is eps / (1 - p).
    const Run bce_terms = [r](const Tensors& in) {
      const Tensor q = rsub(in[0], 1.0);
      const Tensor of_p = mul(in[1], add(abs(log(in[0])), 1.0));
      const Tensor of_q = mul(rsub(in[1], 1.0), add(abs(log(q)), rdiv(q, 1.0)));
      return Tensors{reduced(add(of_p, of_q), r)};
    };
    const Run logit_terms = [r](const Tensors& in) {
      return Tensors{reduced(add(mul(abs(in[0]), add(abs(in[1]), 1.0)), 1.0), r)};
    };
    const Run square_terms = [r](const Tensors& in) {
      return Tensors{reduced(square(add(abs(in[0]), abs(in[1]))), r)};
    };
    two("binary_cross_entropy", binary_cross_entropy, bce, bce_terms, 0.1, 0.9, 0.1, 0.9);
    two("binary_cross_entropy_with_logits", binary_cross_entropy_with_logits, bce_with_logits,
        logit_terms, -3, 3, 0.1, 0.9);
    two("mse_loss", mse_loss, squared, square_terms, -2, 2, -2, 2);
    const std::vector<double> certain = {0, 1, 0, 1}, wanted = {0, 1, 1, 0};
    put(
        "binary_cross_entropy", binary_cross_entropy, "certain", list(certain),
        list(wanted).no_grad(),
        [r](const Tensors& in) { return Tensors{reduced(full_like(in[0], 100.0), r)}; },
        pairwise_oracle(bce, r), false);
    put("binary_cross_entropy_with_logits", binary_cross_entropy_with_logits, "extreme",
        list({-200, 200, 1000, -1000, 0}), list({1, 0, 1, 0, 0.5}).no_grad(), logit_terms,
        pairwise_oracle(bce_with_logits, r), false);
  }
  return cases;
}

}  // namespace tinytorch::op_cases
