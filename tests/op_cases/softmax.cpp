// Cases of softmax and its logarithm, along every dim.
#include "tests/op_cases/op_cases.h"

#include <cmath>

namespace tinytorch::op_cases {
namespace {

Oracle softmax_oracle(int dim, bool log) {
  return [dim, log](const std::vector<HostArray>& in) {
    HostArray r = in[0];
    const int rank = r.shape.rank(), d = dim < 0 ? dim + rank : dim;
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < d; ++i) outer *= r.shape[i];
    for (int i = d + 1; i < rank; ++i) inner *= r.shape[i];
    const int64_t n = rank ? r.shape[d] : 1;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i) {
        const auto at = [&](int64_t j) -> double& {
          return r.v[static_cast<size_t>((o * n + j) * inner + i)];
        };
        double top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < n; ++j) top = std::fmax(top, at(j));
        for (int64_t j = 0; j < n; ++j) sum += std::exp(at(j) - top);
        for (int64_t j = 0; j < n; ++j)
          at(j) = log ? at(j) - top - std::log(sum) : std::exp(at(j) - top) / sum;
      }
    return std::vector<HostArray>{r};
  };
}

// x - max is rounded to eps |x - max|, which exp makes a relative error of y; log_softmax keeps it
// as it is.
Run softmax_terms(int dim, bool log) {
  return [dim, log](const Tensors& in) {
    if (!in[0].numel()) return in;
    const int d = dim < 0 ? dim + in[0].rank() : dim;
    const Tensor top = in[0].rank() ? amax(in[0], {d}, true) : in[0];
    const Tensor spread = add(sub(top, in[0]), 1.0);
    if (log) return Tensors{add(add(spread, abs(top)), 4.0)};
    return Tensors{mul(spread, softmax(in[0], dim))};
  };
}

}  // namespace

Cases softmax_cases() {
  Cases cases;
  for (bool log : {false, true}) {
    const auto f = log ? log_softmax : softmax;
    const auto put = [&](const std::string& variant, const Input& in, int dim, bool grad = true,
                         bool oracle = true) {
      cases.push_back({.op = log ? "log_softmax" : "softmax",
                       .variant = variant,
                       .inputs = {in},
                       .run = [f, dim](const Tensors& t) { return Tensors{f(t[0], dim)}; },
                       .tolerance = terms(softmax_terms(dim, log)),
                       .oracle = oracle ? softmax_oracle(dim, log) : Oracle{},
                       .differentiable = grad,
                       .bench = variant.starts_with("bench")});
    };
    for (int dim : {0, 1, 2, -1, -2, -3}) put("dim" + std::to_string(dim), real({2, 3, 4}), dim);
    for (Layout l : all_layouts())
      for (int dim : {0, -1})
        put(std::string(name_of(l)) + std::to_string(dim), real({3, 4}).laid(l), dim);
    put("rank1", real({5}), 0);
    put("rank0", real({}), 0);
    put("size1", real({3, 1}), 1);
    put("empty_rows", real({0, 3}), 1, false);
    put("empty_dim", real({3, 0}), 1, false);
    put("f64", real({3, 4}).as(Dtype::f64), 1);
    put("large", real({3, 5}, 900, 1100), 1, false);
    put("far_apart", list({2, 3}, {0, 80, -80, 1000, -1000, 0}), 1, false);
    put("masked", list({2, 3}, {0, -INFINITY, 1, -INFINITY, -INFINITY, 2}), 1, false, false);
    put("bad_rows", list({3, 2}, {NAN, 1, INFINITY, 1, -INFINITY, -INFINITY}), 1, false, false);
    put("long", real({3, 1001}), 1, false);
    put("bench_classes", real({256, 10}), 1, false);
    put("bench_long", real({64, 1000}), 1, false);
    put("bench_columns", real({512, 64}), 0, false);
  }
  return cases;
}

}  // namespace tinytorch::op_cases
