// Cases of the elementwise ops of one tensor. A row of the table gives every usual variation.
#include "tests/op_cases/op_cases.h"

#include <cmath>

namespace tinytorch::op_cases {
namespace {

struct Row {
  const char* op;
  Tensor (*f)(const Tensor&);
  double low, high;
  Tolerance tolerance;
  long double (*oracle)(long double);  // may be null
  bool integers, differentiable;
};

Oracle elementwise(long double (*f)(long double)) {
  if (!f) return {};
  return [f](const std::vector<HostArray>& in) {
    HostArray out = in[0];
    for (double& x : out.v) x = static_cast<double>(f(x));
    return std::vector<HostArray>{out};
  };
}

void add_usual(Cases& cases, const OpCase& like, double low, double high, bool differentiable) {
  const auto put = [&](const std::string& variant, const Input& in, bool grad) {
    OpCase c = like;
    c.variant = variant;
    c.inputs = {in};
    c.differentiable = differentiable && grad;
    cases.push_back(c);
  };
  for (Layout l : all_layouts()) put(name_of(l), real({2, 3, 4}, low, high).laid(l), true);
  put("rank0", real({}, low, high), true);
  put("size1", real({1, 1}, low, high), true);
  put("empty", real({3, 0, 2}, low, high), false);
  put("f64", real({3, 5}, low, high).as(Dtype::f64), true);
  put("rank8", real({1, 2, 1, 2, 1, 2, 1, 2}, low, high), false);
  put("long_tail", real({67}, low, high), false);  // no multiple of a vector's width
}

Tensor terms_of_gelu(const Tensor& x, const Tensor& g) {
  // |g| (Phi(x) + |x phi(x)|), with bounds for Phi and phi.
  return mul(abs(g), add(abs(x), 1.0));
}

}  // namespace

Cases unary_cases() {
  const Tolerance is = exact(), near = ulps(4);
  const Row rows[] = {
      {"neg", neg, -2, 2, is, [](long double x) { return -x; }, true, true},
      {"abs", abs, -2, 2, is, [](long double x) { return std::fabs(x); }, true, true},
      {"sign", sign, -2, 2, is, nullptr, true, true},
      {"square", square, -2, 2, near, [](long double x) { return x * x; }, true, true},
      {"exp", exp, -3, 3, near, [](long double x) { return std::exp(x); }, false, true},
      {"log", log, 0.2, 4, near, [](long double x) { return std::log(x); }, false, true},
      {"sqrt", sqrt, 0.2, 4, near, [](long double x) { return std::sqrt(x); }, false, true},
      {"erf", erf, -2.5, 2.5, near, [](long double x) { return std::erf(x); }, false, true},
      {"tanh", tanh, -3, 3, near, [](long double x) { return std::tanh(x); }, false, true},
      {"sigmoid", sigmoid, -4, 4, near, [](long double x) { return 1 / (1 + std::exp(-x)); }, false,
       true},
      {"softplus", softplus, -4, 4, near, [](long double x) { return std::log1p(std::exp(x)); },
       false, true},
      {"relu", relu, -2, 2, is, [](long double x) { return x > 0 ? x : 0.0L; }, true, true},
      {"gelu", gelu, -3, 3, near,
       [](long double x) { return 0.5L * x * std::erfc(-x * std::sqrt(0.5L)); }, false, true},
      {"gelu_tanh", gelu_tanh, -3, 3, near,
       [](long double x) {
         return 0.5L * x *
                (1 +
                 std::tanh(std::sqrt(2 / 3.14159265358979323846L) * (x + 0.044715L * x * x * x)));
       },
       false, true},
  };
  Cases cases;
  for (const Row& row : rows) {
    const auto f = row.f;
    OpCase like{.op = row.op,
                .variant = "",
                .inputs = {},
                .run = [f](const Tensors& in) { return Tensors{f(in[0])}; },
                .tolerance = row.tolerance,
                .oracle = elementwise(row.oracle),
                .twice = row.f != static_cast<Tensor (*)(const Tensor&)>(sign)};
    add_usual(cases, like, row.low, row.high, row.differentiable);
    like.differentiable = false;
    like.variant = "bench";
    like.inputs = {real({64, 1024}, row.low, row.high)};
    like.bench = true;
    cases.push_back(like);
    like.bench = false;
    like.oracle = {};
    like.variant = "hostile";
    like.inputs = {hostile()};
    cases.push_back(like);
    for (Dtype d : {Dtype::i64, Dtype::i32, Dtype::u8}) {
      like.variant = std::string("of_") + tinytorch::name_of(d);
      like.inputs = {ints({2, 5}, d == Dtype::u8 ? 1 : -4, 5, d)};
      if (row.low > 0) like.inputs = {ints({2, 5}, 1, 9, d)};
      cases.push_back(like);
    }
  }

  // The wide range of each function that has one, densely sampled: the error over the whole range,
  // tails included.
  for (const Row& row : rows) {
    if (row.integers || row.low > 0) continue;
    const auto f = row.f;
    cases.push_back({.op = row.op,
                     .variant = "wide_range",
                     .inputs = {real({2003}, -20, 20)},
                     .run = [f](const Tensors& in) { return Tensors{f(in[0])}; },
                     .tolerance = row.tolerance,
                     .differentiable = false});
  }

  struct Clamp {
    const char* variant;
    double min, max;
  };
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const Clamp& c :
       {Clamp{"both", -0.75, 1.25}, Clamp{"low_only", -0.5, kInf}, Clamp{"high_only", -kInf, 0.5}})
    for (const Input& in : {real({3, 4}), real({3, 4}).laid(Layout::strided)})
      cases.push_back({.op = "clamp",
                       .variant = std::string(c.variant) + "_" + name_of(in.layout),
                       .inputs = {in},
                       .run = [c](const Tensors& t) { return Tensors{clamp(t[0], c.min, c.max)}; },
                       .tolerance = exact()});
  cases.push_back({.op = "clamp",
                   .variant = "hostile",
                   .inputs = {hostile()},
                   .run = [](const Tensors& t) { return Tensors{clamp(t[0], -1, 2)}; },
                   .tolerance = exact(),
                   .differentiable = false});
  for (Dtype d : {Dtype::i64, Dtype::i32})
    cases.push_back({.op = "clamp",
                     .variant = std::string("of_") + tinytorch::name_of(d),
                     .inputs = {ints({9}, -8, 8, d)},
                     .run = [](const Tensors& t) { return Tensors{clamp(t[0], -3, 2)}; },
                     .tolerance = exact(),
                     .differentiable = false});

  struct PowRow {
    const char* variant;
    double exponent, low, high;
  };
  for (const PowRow& p :
       {PowRow{"cube", 3, -2, 2}, PowRow{"square", 2, -2, 2}, PowRow{"half", 0.5, 0.2, 3},
        PowRow{"inverse", -1, 0.3, 3}, PowRow{"odd_negative", -3, -2, -0.3},
        PowRow{"real", 1.75, 0.2, 3}, PowRow{"zero", 0, -2, 2}, PowRow{"one", 1, -2, 2}}) {
    const double e = p.exponent;
    const auto run = [e](const Tensors& t) { return Tensors{pow(t[0], e)}; };
    cases.push_back({.op = "pow(Tensor,double)",
                     .variant = p.variant,
                     .inputs = {real({2, 3}, p.low, p.high)},
                     .run = run,
                     .twice = e != 0});
    cases.push_back({.op = "pow(Tensor,double)",
                     .variant = std::string(p.variant) + "_hostile",
                     .inputs = {hostile()},
                     .run = run,
                     .differentiable = false});
  }
  cases.push_back({.op = "pow(Tensor,double)",
                   .variant = "strided",
                   .inputs = {real({2, 3}, 0.5, 2).laid(Layout::transposed)},
                   .run = [](const Tensors& t) { return Tensors{pow(t[0], 2.5)}; }});

  // Derivatives that are ops. Their results pass through zero: what counts is the size of the
  // terms.
  struct GradRow {
    const char* op;
    Tensor (*f)(const Tensor&, const Tensor&);
    double low, high;
    Run terms;
  };
  const auto product_terms = [](const Tensors& in) {
    return Tensors{mul(abs(in[0]), add(square(in[1]), 1.0))};
  };
  const GradRow grads[] = {
      {"tanh_grad", tanh_grad, -0.95, 0.95, product_terms},
      {"sigmoid_grad", sigmoid_grad, 0.05, 0.95,
       [](const Tensors& in) { return Tensors{mul(abs(in[0]), in[1])}; }},
      {"relu_grad", relu_grad, -2, 2, [](const Tensors& in) { return Tensors{abs(in[0])}; }},
      {"gelu_grad", gelu_grad, -4, 4,
       [](const Tensors& in) { return Tensors{terms_of_gelu(in[1], in[0])}; }},
      {"gelu_tanh_grad", gelu_tanh_grad, -4, 4,
       [](const Tensors& in) { return Tensors{terms_of_gelu(in[1], in[0])}; }},
  };
  for (const GradRow& row : grads) {
    const auto f = row.f;
    const auto run = [f](const Tensors& in) { return Tensors{f(in[0], in[1])}; };
    for (Layout l : all_layouts())
      cases.push_back({.op = row.op,
                       .variant = name_of(l),
                       .inputs = {real({3, 4}), real({3, 4}, row.low, row.high).laid(l)},
                       .run = run,
                       .tolerance = terms(row.terms),
                       .twice = row.f != relu_grad});  // of the second input the gradient is 0
    cases.push_back({.op = row.op,
                     .variant = "first_tracked",
                     .inputs = {real({3, 4}), real({3, 4}, row.low, row.high).no_grad()},
                     .run = run,
                     .tolerance = terms(row.terms)});
  }

  for (const auto& [op, f] :
       {std::pair<const char*, Tensor (*)(const Tensor&)>{"isnan", isnan},
        std::pair<const char*, Tensor (*)(const Tensor&)>{"isfinite", isfinite}}) {
    const auto run = [f = f](const Tensors& in) { return Tensors{f(in[0])}; };
    for (const auto& [variant, in] :
         {std::pair{"hostile", hostile()},
          std::pair{"strided", hostile({5, 4}).laid(Layout::strided)},
          std::pair{"f64", hostile().as(Dtype::f64)}, std::pair{"of_i64", ints({4}, -3, 3)},
          std::pair{"empty", real({0})}, std::pair{"bench", real({64, 1024})}})
      cases.push_back({.op = op,
                       .variant = variant,
                       .inputs = {in},
                       .run = run,
                       .tolerance = exact(),
                       .differentiable = false,
                       .bench = std::string(variant) == "bench"});
  }
  for (Layout l : all_layouts())
    cases.push_back({.op = "logical_not",
                     .variant = name_of(l),
                     .inputs = {bools({3, 5}).laid(l)},
                     .run = [](const Tensors& in) { return Tensors{logical_not(in[0])}; },
                     .tolerance = exact(),
                     .differentiable = false});
  return cases;
}

}  // namespace tinytorch::op_cases
