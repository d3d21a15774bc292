// Cases of matrix products: every combination of ranks, transposed and strided operands, sizes at
// and beside the edges of tiles.
#include "tests/op_cases/op_cases.h"

#include <cmath>

namespace tinytorch::op_cases {
namespace {

// NumPy's rules in plain loops: both operands become [batch..., rows, columns].
std::vector<HostArray> matmul_oracle(const std::vector<HostArray>& in) {
  HostArray a = in[0], b = in[1];
  const bool vector_a = a.shape.rank() == 1, vector_b = b.shape.rank() == 1;
  if (vector_a) a.shape = {1, a.shape[0]};
  if (vector_b) b.shape = {b.shape[0], 1};
  const int ra = a.shape.rank(), rb = b.shape.rank();
  const int64_t m = a.shape[ra - 2], k = a.shape[ra - 1], n = b.shape[rb - 1];
  const int lead = std::max(ra, rb) - 2;
  Shape batch, out;
  std::vector<int64_t> step_a(static_cast<size_t>(lead)), step_b(step_a);
  int64_t sa = m * k, sb = k * n;
  for (int d = 0; d < lead; ++d) {
    const int da = d - (lead - (ra - 2)), db = d - (lead - (rb - 2));
    const int64_t na = da < 0 ? 1 : a.shape[da], nb = db < 0 ? 1 : b.shape[db];
    batch.push_back(na == 1 ? nb : na);
  }
  for (int d = lead - 1; d >= 0; --d) {
    const int da = d - (lead - (ra - 2)), db = d - (lead - (rb - 2));
    const int64_t na = da < 0 ? 1 : a.shape[da], nb = db < 0 ? 1 : b.shape[db];
    step_a[static_cast<size_t>(d)] = na == 1 ? 0 : sa;
    step_b[static_cast<size_t>(d)] = nb == 1 ? 0 : sb;
    sa *= na;
    sb *= nb;
  }
  HostArray r = host_array({batch.numel(), m, n});
  for (int64_t z = 0; z < batch.numel(); ++z) {
    int64_t rest = z, from_a = 0, from_b = 0;
    for (int d = lead - 1; d >= 0; --d) {
      from_a += rest % batch[d] * step_a[static_cast<size_t>(d)];
      from_b += rest % batch[d] * step_b[static_cast<size_t>(d)];
      rest /= batch[d];
    }
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j)
        for (int64_t l = 0; l < k; ++l)
          r.at({z, i, j}) += a.v[static_cast<size_t>(from_a + i * k + l)] *
                             b.v[static_cast<size_t>(from_b + l * n + j)];
  }
  out = batch;
  if (!vector_a) out.push_back(m);
  if (!vector_b) out.push_back(n);
  r.shape = out;
  return {r};
}

double activate(double x, Activation act) {
  switch (act) {
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    default:
      return x;
  }
}

Oracle linear_oracle(Activation act) {
  return [act](const std::vector<HostArray>& in) {
    const int rank = in[0].shape.rank();
    const int64_t k = in[1].shape[1], n = in[1].shape[0], m = k ? in[0].shape.numel() / k : 0;
    Shape out = in[0].shape;
    out[rank - 1] = n;
    HostArray r = host_array(out);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double s = in.size() > 2 ? in[2].v[static_cast<size_t>(j)] : 0;
        for (int64_t l = 0; l < k; ++l)
          s += in[0].v[static_cast<size_t>(i * k + l)] * in[1].at({j, l});
        r.v[static_cast<size_t>(i * n + j)] = activate(s, act);
      }
    return std::vector<HostArray>{r};
  };
}

// The activations shrink errors (slopes are at most 1), and round once more.
Tensors linear_terms(const Tensors& in) {
  return {add(linear(abs(in[0]), abs(in[1]), in.size() > 2 ? abs(in[2]) : Tensor()), 1.0)};
}

}  // namespace

Cases matmul_cases() {
  Cases cases;
  const auto put = [&](const std::string& variant, const Input& a, const Input& b,
                       bool grad = true) {
    cases.push_back({.op = "matmul",
                     .variant = variant,
                     .inputs = {a, b},
                     .run = [](const Tensors& in) { return Tensors{matmul(in[0], in[1])}; },
                     .tolerance = terms(),
                     .oracle = matmul_oracle,
                     .differentiable = grad,
                     .bench = variant.starts_with("bench")});
  };
  struct Row {
    Shape a, b;
  };
  const Row shapes[] = {{{3}, {3}},
                        {{2, 3}, {3}},
                        {{3}, {3, 4}},
                        {{2, 3}, {3, 4}},
                        {{2, 2, 3}, {3, 4}},
                        {{2, 2, 3}, {2, 3, 4}},
                        {{2, 1, 2, 3}, {3, 3, 2}},
                        {{3}, {2, 3, 4}},
                        {{2, 3, 4}, {4}},
                        {{2, 3}, {2, 3, 2}},
                        {{1, 2, 3}, {2, 3, 1}},
                        {{1, 1}, {1, 1}},
                        {{2, 1, 1, 2}, {3, 2, 2}},
                        {{1, 3}, {3, 1}},
                        {{3, 1}, {1, 3}}};
  for (const Row& s : shapes) put(s.a.str() + s.b.str(), real(s.a), real(s.b));
  for (const Row& s : {Row{{2, 0}, {0, 3}}, Row{{0, 2}, {2, 3}}, Row{{2, 3}, {3, 0}}, Row{{0}, {0}},
                       Row{{0, 2, 3}, {3, 4}}})
    put("empty" + s.a.str() + s.b.str(), real(s.a), real(s.b), false);
  for (Layout la : all_layouts())
    for (Layout lb : all_layouts())
      put(std::string(name_of(la)) + "_" + name_of(lb), real({3, 4}).laid(la),
          real({4, 2}).laid(lb));
  for (Layout l : all_layouts())
    put(std::string("batched_") + name_of(l), real({2, 2, 3}).laid(l), real({2, 3, 2}).laid(l));
  put("f64", real({3, 5}).as(Dtype::f64), real({5, 2}).as(Dtype::f64));
  put("left_only_tracked", real({3, 5}), real({5, 2}).no_grad());
  put("right_only_tracked", real({3, 5}).no_grad(), real({5, 2}));
  for (int64_t n : {7, 8, 9, 15, 16, 17, 31, 33})
    put("edge" + std::to_string(n), real({n, n + 1}), real({n + 1, n - 1}), false);
  put("tall", real({130, 3}), real({3, 5}), false);
  put("wide", real({3, 5}), real({5, 130}), false);
  put("deep", real({2, 700}), real({700, 3}), false);
  put("deep_transposed", real({65, 70}).laid(Layout::transposed),
      real({70, 67}).laid(Layout::transposed), false);
  put("bench_square", real({256, 256}), real({256, 256}), false);
  put("bench_vector", real({512, 512}), real({512}), false);
  put("bench_batched", real({8, 64, 64}), real({8, 64, 64}), false);

  const std::pair<Activation, const char*> acts[] = {{Activation::none, "none"},
                                                     {Activation::relu, "relu"},
                                                     {Activation::tanh, "tanh"},
                                                     {Activation::sigmoid, "sigmoid"}};
  const auto put_linear = [&](const std::string& variant, std::vector<Input> in, Activation act,
                              bool grad = true) {
    cases.push_back({.op = "linear",
                     .variant = variant,
                     .inputs = std::move(in),
                     .run =
                         [act](const Tensors& t) {
                           return Tensors{linear(t[0], t[1], t.size() > 2 ? t[2] : Tensor(), act)};
                         },
                     .tolerance = terms(linear_terms),
                     .oracle = linear_oracle(act),
                     .differentiable = grad,
                     .bench = variant.starts_with("bench")});
  };
  for (const auto& [act, name] : acts) {
    put_linear(std::string(name), {real({3, 4}), real({2, 4}), real({2})}, act);
    put_linear(std::string(name) + "_no_bias", {real({3, 4}), real({2, 4})}, act);
    put_linear(std::string(name) + "_rank3", {real({2, 3, 4}), real({5, 4}), real({5})}, act);
    put_linear(std::string(name) + "_rank1", {real({4}), real({2, 4}), real({2})}, act);
    put_linear(std::string("bench_") + name,
               {real({128, 256}, -0.2, 0.2), real({512, 256}, -0.2, 0.2), real({512})}, act, false);
  }
  for (Layout l : all_layouts()) {
    put_linear(std::string("x_") + name_of(l), {real({3, 4}).laid(l), real({2, 4}), real({2})},
               Activation::relu);
    put_linear(std::string("w_") + name_of(l),
               {real({3, 4}), real({2, 4}).laid(l), real({2}).laid(l)}, Activation::none);
  }
  put_linear("only_bias_tracked", {real({3, 4}).no_grad(), real({2, 4}).no_grad(), real({2})},
             Activation::tanh);
  put_linear("only_x_tracked", {real({3, 4}), real({2, 4}).no_grad(), real({2}).no_grad()},
             Activation::relu);
  put_linear("only_weight_tracked", {real({3, 4}).no_grad(), real({2, 4}), real({2}).no_grad()},
             Activation::sigmoid);
  put_linear("f64",
             {real({3, 4}).as(Dtype::f64), real({2, 4}).as(Dtype::f64), real({2}).as(Dtype::f64)},
             Activation::none);
  put_linear("no_rows", {real({0, 4}), real({2, 4}), real({2})}, Activation::relu, false);
  put_linear("edge", {real({33, 70}, -0.5, 0.5), real({17, 70}, -0.5, 0.5), real({17})},
             Activation::tanh, false);
  return cases;
}

}  // namespace tinytorch::op_cases
