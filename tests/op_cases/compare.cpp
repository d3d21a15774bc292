// Cases of comparisons, logic, and the methods that change a tensor in place. None has a gradient.
#include "tests/op_cases/op_cases.h"

namespace tinytorch::op_cases {
namespace {

OpCase plain(const std::string& op, const std::string& variant, std::vector<Input> inputs,
             Run run) {
  return {.op = op,
          .variant = variant,
          .inputs = std::move(inputs),
          .run = std::move(run),
          .tolerance = exact(),
          .differentiable = false,
          .bench = variant == "bench"};
}

}  // namespace

Cases compare_cases() {
  Cases cases;
  using Binary = Tensor (*)(const Tensor&, const Tensor&);
  using WithScalar = Tensor (*)(const Tensor&, Scalar);
  struct Row {
    const char* op;
    Binary f;
    WithScalar g;
  };
  const std::vector<double> left = {1, 2, 3, 2, -1, 0}, right = {2, 2, 2, 3, -1, -0.0};
  for (const Row& row : {Row{"eq", eq, eq}, Row{"ne", ne, ne}, Row{"lt", lt, lt}, Row{"le", le, le},
                         Row{"gt", gt, gt}, Row{"ge", ge, ge}}) {
    const auto run = [f = row.f](const Tensors& in) { return Tensors{f(in[0], in[1])}; };
    const std::string op = std::string(row.op) + "(Tensor,Tensor)";
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::i64, Dtype::i32})
      cases.push_back(
          plain(op, std::string("of_") + name_of(d), {list(left, d), list(right, d)}, run));
    cases.push_back(
        plain(op, "of_u8", {ints({9}, 0, 4, Dtype::u8), ints({9}, 0, 4, Dtype::u8)}, run));
    cases.push_back(plain(op, "of_bool", {bools({9}), bools({9})}, run));
    cases.push_back(plain(op, "promotes", {ints({9}, 0, 4), real({9}, 0, 4)}, run));
    cases.push_back(plain(op, "broadcasts", {ints({3, 1}, 0, 4), ints({4}, 0, 4)}, run));
    cases.push_back(plain(op, "hostile", {hostile({29, 1}), hostile({29})}, run));
    cases.push_back(plain(op, "empty", {real({0, 2}), real({2})}, run));
    for (Layout l : all_layouts())
      cases.push_back(plain(op, name_of(l), {ints({3, 4}, 0, 3).laid(l), ints({3, 4}, 0, 3)}, run));
    cases.push_back(plain(op, "bench", {real({64, 1024}), real({64, 1024})}, run));

    const std::string with = std::string(row.op) + "(Tensor,Scalar)";
    const auto number = [g = row.g](Scalar s) {
      return [g, s](const Tensors& in) { return Tensors{g(in[0], s)}; };
    };
    cases.push_back(plain(with, "real", {list(left)}, number(2.0)));
    cases.push_back(plain(with, "integer", {list(left, Dtype::i64)}, number(2)));
    cases.push_back(plain(with, "half_of_integers", {list(left, Dtype::i32)}, number(1.5)));
    cases.push_back(plain(with, "hostile", {hostile()}, number(0.0)));
    cases.push_back(plain(with, "strided", {ints({3, 4}, 0, 3).laid(Layout::strided)}, number(1)));
    cases.push_back(plain(with, "empty", {real({0})}, number(1)));
  }
  struct Logic {
    const char* op;
    Binary f;
  };
  for (const Logic& row : {Logic{"logical_and", logical_and}, Logic{"logical_or", logical_or}}) {
    const auto run = [f = row.f](const Tensors& in) { return Tensors{f(in[0], in[1])}; };
    cases.push_back(plain(row.op, "same", {bools({9}), bools({9})}, run));
    cases.push_back(plain(row.op, "broadcasts", {bools({3, 1}), bools({4})}, run));
    cases.push_back(plain(row.op, "empty", {bools({0}), bools({1})}, run));
    for (Layout l : all_layouts())
      cases.push_back(plain(row.op, name_of(l), {bools({3, 4}).laid(l), bools({3, 4})}, run));
  }
  return cases;
}

Cases in_place_cases() {
  Cases cases;
  const auto add_case = [&](const std::string& op, const std::string& variant,
                            std::vector<Input> inputs,
                            std::function<void(Tensor&, const Tensors&)> change, double ulp = 1) {
    OpCase c = plain("Tensor::" + op, variant, std::move(inputs), [change](const Tensors& in) {
      Tensor t = in[0].clone();
      change(t, in);
      return Tensors{t};
    });
    c.tolerance = ulps(ulp);
    cases.push_back(c);
  };
  // Into part of a tensor: what lies beside it must stay.
  const auto add_part = [&](const std::string& op, std::vector<Input> inputs,
                            std::function<void(Tensor&, const Tensors&)> change) {
    OpCase c = plain("Tensor::" + op, "of_a_view", std::move(inputs), [change](const Tensors& in) {
      Tensor t = zeros({4, 7}, {.dtype = in[0].dtype(), .device = in[0].device()});
      Tensor part = t.slice(1, 1, 6, 2).narrow(0, 1, 2);  // [2, 3]
      part.copy_(in[0]);
      change(part, in);
      return Tensors{t};
    });
    c.tolerance = ulps(1);
    cases.push_back(c);
  };
  const Input x = real({2, 3}), y = real({2, 3}, 0.5, 2), row = real({3}, 0.5, 2);
  const auto fill = [](Tensor& t, const Tensors&) { t.fill_(2.5); };
  const auto zero = [](Tensor& t, const Tensors&) { t.zero_(); };
  const auto copy = [](Tensor& t, const Tensors& in) { t.copy_(in[1]); };
  const auto add = [](Tensor& t, const Tensors& in) { t.add_(in[1]); };
  const auto axpy = [](Tensor& t, const Tensors& in) { t.add_(in[1], -0.25); };
  const auto sub = [](Tensor& t, const Tensors& in) { t.sub_(in[1]); };
  const auto mul = [](Tensor& t, const Tensors& in) { t.mul_(in[1]); };
  const auto div = [](Tensor& t, const Tensors& in) { t.div_(in[1]); };
  const auto add_number = [](Tensor& t, const Tensors&) { t.add_(1.5); };
  const auto sub_number = [](Tensor& t, const Tensors&) { t.sub_(1.5); };
  const auto div_number = [](Tensor& t, const Tensors&) { t.div_(-3.0); };
  const auto mul_number = [](Tensor& t, const Tensors&) { t.mul_(-3.0); };
  const auto clamp = [](Tensor& t, const Tensors&) { t.clamp_(-0.5, 0.75); };
  struct Row {
    const char* op;
    std::function<void(Tensor&, const Tensors&)> change;
    bool two;
  };
  for (const Row& r :
       {Row{"fill_", fill, false}, Row{"zero_", zero, false}, Row{"copy_", copy, true},
        Row{"add_(Tensor,Scalar)", add, true}, Row{"sub_(Tensor)", sub, true},
        Row{"mul_(Tensor)", mul, true}, Row{"div_(Tensor)", div, true},
        Row{"add_(Scalar)", add_number, false}, Row{"sub_(Scalar)", sub_number, false},
        Row{"div_(Scalar)", div_number, false}, Row{"mul_(Scalar)", mul_number, false},
        Row{"clamp_", clamp, false}}) {
    const auto both = [&](const Input& a, const Input& b) {
      return r.two ? std::vector<Input>{a, b} : std::vector<Input>{a};
    };
    add_case(r.op, "same", both(x, y), r.change);
    add_case(r.op, "f64", both(x.as(Dtype::f64), y.as(Dtype::f64)), r.change);
    add_case(r.op, "empty", both(real({0, 3}), real({0, 3})), r.change);
    add_case(r.op, "rank0", both(real({}), real({}, 0.5, 2)), r.change);
    add_part(r.op, both(x, y), r.change);
    if (!r.two) continue;
    add_case(r.op, "broadcasts", {x, row}, r.change);
    add_case(r.op, "transposed_source", {x, y.laid(Layout::transposed)}, r.change);
    add_case(r.op, "casts", {x, ints({2, 3}, 1, 5)}, r.change);
  }
  // Two roundings, or one with fma: the product may be rounded before it is added.
  OpCase alpha = plain("Tensor::add_(Tensor,Scalar)", "alpha", {x, y}, [axpy](const Tensors& in) {
    Tensor t = in[0].clone();
    axpy(t, in);
    return Tensors{t};
  });
  alpha.tolerance = terms([](const Tensors& in) {
    return Tensors{tinytorch::add(abs(in[0]), tinytorch::mul(abs(in[1]), 0.25))};
  });
  cases.push_back(alpha);
  add_case("fill_", "of_i64", {ints({4}, 0, 9)}, [](Tensor& t, const Tensors&) { t.fill_(-7); });
  add_case("fill_", "of_bool", {bools({4})}, [](Tensor& t, const Tensors&) { t.fill_(true); });
  add_case("add_(Scalar)", "of_i32", {ints({4}, 0, 9, Dtype::i32)},
           [](Tensor& t, const Tensors&) { t.add_(3); });
  add_case("add_(Tensor,Scalar)", "of_i64", {ints({4}, 0, 9), ints({4}, -3, 3)},
           [](Tensor& t, const Tensors& in) { t.add_(in[1], 2); });
  add_case("sub_(Scalar)", "of_i64", {ints({4}, 0, 9)},
           [](Tensor& t, const Tensors&) { t.sub_(3); });
  add_case("mul_(Tensor)", "of_i64", {ints({4}, 0, 9), ints({4}, -3, 3)}, mul);
  // Between dtypes, as copy and as cast; float to int saturates and NaN gives 0.
  for (int from = 0; from < kDtypeCount; ++from)
    for (int to = 0; to < kDtypeCount; ++to) {
      const Dtype source = static_cast<Dtype>(from), target = static_cast<Dtype>(to);
      const std::string pair = std::string(name_of(source)) + "_to_" + name_of(target);
      Input in = is_floating(source) ? hostile().as(source) : ints({9}, 0, 200, source);
      if (source == Dtype::i64)
        in = list({-9e18, 9e18, -1, 256, 65537, 4294967296.0, 0, 2147483648.0}, source);
      if (source == Dtype::i32)
        in = list({-2147483648.0, 2147483647, -1, 256, 0, 65504, 33554433}, source);
      OpCase c = plain("Tensor::to(Dtype)", pair, {in},
                       [target](const Tensors& t) { return Tensors{t[0].to(target)}; });
      c.own_dtype = true;
      cases.push_back(c);
      c = plain("Tensor::copy_", pair, {in}, [target](const Tensors& t) {
        Tensor out = zeros(t[0].shape(), {.dtype = target, .device = t[0].device()});
        out.copy_(t[0]);
        return Tensors{out};
      });
      c.own_dtype = true;
      cases.push_back(c);
    }
  // While gradients are compared with differences all is f64, and this cast the identity; in f32 it
  // is compared with the oracle.
  cases.push_back({.op = "Tensor::to(Dtype)",
                   .variant = "gradient",
                   .inputs = {real({2, 3})},
                   .run = [](const Tensors& t) { return Tensors{t[0].to(Dtype::f64) * 0.5}; },
                   .tolerance = exact()});
  return cases;
}

}  // namespace tinytorch::op_cases
