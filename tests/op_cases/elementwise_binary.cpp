// Cases of the elementwise ops of two tensors, or of a tensor and a number: shapes that broadcast,
// layouts, dtypes that promote.
#include "tests/op_cases/op_cases.h"

#include <cmath>

namespace tinytorch::op_cases {
namespace {

using Binary = Tensor (*)(const Tensor&, const Tensor&);
using WithScalar = Tensor (*)(const Tensor&, Scalar);

struct Row {
  const char* op;
  Binary f;
  double low_a, high_a, low_b, high_b;
  Tolerance tolerance;
  double (*oracle)(double, double);
  bool grad;
};

// A broadcast of two arrays by plain index arithmetic.
Oracle broadcast_oracle(const std::function<double(double, double)>& f) {
  if (!f) return {};
  return [f](const std::vector<HostArray>& in) {
    const Shape &a = in[0].shape, &b = in[1].shape;
    const int rank = std::max(a.rank(), b.rank());
    const auto dim = [rank](const Shape& s, int d) {
      const int own = d - (rank - s.rank());
      return own < 0 ? 1 : s[own];
    };
    Shape out;
    for (int d = 0; d < rank; ++d) out.push_back(dim(a, d) == 1 ? dim(b, d) : dim(a, d));
    HostArray r = host_array(out);
    for (int64_t i = 0; i < out.numel(); ++i) {
      int64_t rest = i, ia = 0, ib = 0, step_a = 1, step_b = 1;
      for (int d = rank - 1; d >= 0; --d) {
        const int64_t at = rest % out[d];
        rest /= out[d];
        if (dim(a, d) > 1) ia += at * step_a;
        if (dim(b, d) > 1) ib += at * step_b;
        step_a *= dim(a, d);
        step_b *= dim(b, d);
      }
      r.v[static_cast<size_t>(i)] =
          f(in[0].v[static_cast<size_t>(ia)], in[1].v[static_cast<size_t>(ib)]);
    }
    return std::vector<HostArray>{r};
  };
}

double floor_mod(double x, double y) { return x - std::floor(x / y) * y; }

struct Shapes {
  const char* variant;
  Shape a, b;
};
const Shapes kShapes[] = {
    {"same", {2, 3, 4}, {2, 3, 4}},
    {"row", {2, 3, 4}, {4}},
    {"column", {3, 4}, {3, 1}},
    {"outer", {3, 1}, {1, 4}},
    {"rank0_left", {}, {2, 3}},
    {"rank0_right", {2, 3}, {}},
    {"rank0_both", {}, {}},
    {"middle", {2, 3, 4}, {2, 1, 4}},
    {"grows", {4}, {2, 3, 4}},
    {"empty", {0, 3}, {1, 3}},
    {"empty_by_broadcast", {1, 3}, {0, 1}},
};

void add_row(Cases& cases, const Row& row) {
  const auto f = row.f;
  OpCase like{.op = row.op,
              .variant = "",
              .inputs = {},
              .run = [f](const Tensors& in) { return Tensors{f(in[0], in[1])}; },
              .tolerance = row.tolerance,
              .oracle = broadcast_oracle(row.oracle),
              .differentiable = row.grad};
  const auto put = [&](const std::string& variant, const Input& a, const Input& b) {
    OpCase c = like;
    c.variant = variant;
    c.inputs = {a, b};
    cases.push_back(c);
  };
  const auto in_a = [&](const Shape& s) { return real(s, row.low_a, row.high_a); };
  const auto in_b = [&](const Shape& s) { return real(s, row.low_b, row.high_b); };
  for (const Shapes& s : kShapes) put(s.variant, in_a(s.a), in_b(s.b));
  for (Layout la : all_layouts())
    for (Layout lb : all_layouts())
      if (la != lb)
        put(std::string(name_of(la)) + "_" + name_of(lb), in_a({3, 4}).laid(la),
            in_b({3, 4}).laid(lb));
  put("f64", in_a({5}).as(Dtype::f64), in_b({5}).as(Dtype::f64));
  put("left_only_tracked", in_a({2, 3}), in_b({3}).no_grad());
  put("right_only_tracked", in_a({2, 3}).no_grad(), in_b({2, 3}));
  like.differentiable = false;
  put("f32_and_f64", in_a({5}), in_b({5}).as(Dtype::f64));
  put("long_tail", in_a({67}), in_b({67}));
  like.oracle = {};
  for (Dtype d : {Dtype::i64, Dtype::i32, Dtype::u8}) {
    const int64_t low = d == Dtype::u8 ? 1 : -5;
    put(std::string("of_") + tinytorch::name_of(d), ints({3, 5}, low, 9, d), ints({5}, 1, 4, d));
    put(std::string("f32_and_") + tinytorch::name_of(d), in_a({3, 5}), ints({5}, 1, 4, d));
  }
  put("i32_and_u8", ints({3, 5}, -5, 9, Dtype::i32), ints({5}, 1, 4, Dtype::u8));
  put("hostile", hostile({29, 1}), hostile({29}));
  like.bench = true;
  put("bench", in_a({64, 1024}), in_b({64, 1024}));
  put("bench_row", in_a({64, 1024}), in_b({1024}));
}

}  // namespace

Cases binary_cases() {
  const Tolerance one = ulps(1), near = ulps(4), is = exact();
  const Row rows[] = {
      {"add(Tensor,Tensor)", add, -2, 2, -2, 2, one, [](double x, double y) { return x + y; },
       true},
      {"sub(Tensor,Tensor)", sub, -2, 2, -2, 2, one, [](double x, double y) { return x - y; },
       true},
      {"mul(Tensor,Tensor)", mul, -2, 2, -2, 2, one, [](double x, double y) { return x * y; },
       true},
      {"div(Tensor,Tensor)", div, -2, 2, 0.5, 2, one, [](double x, double y) { return x / y; },
       true},
      {"pow(Tensor,Tensor)", pow, 0.3, 2.5, -2, 2, near,
       [](double x, double y) { return std::pow(x, y); }, true},
      {"maximum", maximum, -2, 2, -2, 2, is, [](double x, double y) { return x > y ? x : y; },
       true},
      {"minimum", minimum, -2, 2, -2, 2, is, [](double x, double y) { return x < y ? x : y; },
       true},
  };
  Cases cases;
  for (const Row& row : rows) add_row(cases, row);

  // Rounding to integers magnifies a last bit: these run in the case's own dtype, on numbers
  // without rounding.
  struct Whole {
    const char* op;
    Binary f;
    double (*oracle)(double, double);
  };
  const Whole wholes[] = {
      {"floor_divide", floor_divide, [](double x, double y) { return std::floor(x / y); }},
      {"remainder", remainder, floor_mod}};
  const std::vector<double> tops = {7, -7, 7, -7, 6, -6, 0, 9, -9, 5.5, -5.5, 0.75};
  const std::vector<double> bottoms = {2, 2, -2, -2, 3, 3, 3, 4, 4, 2, 2, -0.5};
  const std::vector<double> whole_tops(tops.begin(), tops.begin() + 9);
  const std::vector<double> whole_bottoms(bottoms.begin(), bottoms.begin() + 9);
  for (const Whole& w : wholes) {
    const auto f = w.f;
    const auto run = [f](const Tensors& in) { return Tensors{f(in[0], in[1])}; };
    const auto put = [&](const std::string& variant, const Input& a, const Input& b, bool loops) {
      cases.push_back({.op = w.op,
                       .variant = variant,
                       .inputs = {a, b},
                       .run = run,
                       .tolerance = is,
                       .oracle = loops ? broadcast_oracle(w.oracle) : Oracle{},
                       .differentiable = false,
                       .own_dtype = true});
    };
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::i64, Dtype::i32})
      put(std::string("signs_") + tinytorch::name_of(d),
          list(is_floating(d) ? tops : whole_tops, d),
          list(is_floating(d) ? bottoms : whole_bottoms, d), true);
    put("u8", ints({12}, 0, 256, Dtype::u8), ints({12}, 1, 9, Dtype::u8), true);
    put("broadcast", ints({3, 1}, -9, 9), list({2, -3, 5}, Dtype::i64), true);
    put("strided", ints({3, 4}, -9, 9).laid(Layout::strided), ints({4}, 1, 5), true);
    put("empty", ints({0, 4}, 0, 1), ints({4}, 1, 5), true);
    put("hostile", hostile({29, 1}), list({2, -3, 0, -0.0, 1e30, -1e-30, INFINITY, -INFINITY, NAN}),
        false);
    put("int_min", list({-2147483648.0, 2147483647, -2147483648.0}, Dtype::i32),
        list({-1, -1, 1}, Dtype::i32), false);
    put("i64_min", list({-9223372036854775808.0, 4}, Dtype::i64), list({-1, -1}, Dtype::i64),
        false);
  }

  struct ScalarRow {
    const char* op;
    WithScalar f;
    double low, high;
    Tolerance tolerance;
    bool integers;
  };
  const ScalarRow scalars[] = {
      {"add(Tensor,Scalar)", add, -2, 2, one, true},
      {"sub(Tensor,Scalar)", sub, -2, 2, one, true},
      {"rsub", rsub, -2, 2, one, true},
      {"mul(Tensor,Scalar)", mul, -2, 2, one, true},
      {"div(Tensor,Scalar)", div, -2, 2, one, true},
      {"rdiv", rdiv, 0.3, 2, one, true},
  };
  for (const ScalarRow& row : scalars) {
    const auto f = row.f;
    const auto put = [&](const std::string& variant, const Input& in, Scalar s, bool grad) {
      cases.push_back({.op = row.op,
                       .variant = variant,
                       .inputs = {in},
                       .run = [f, s](const Tensors& t) { return Tensors{f(t[0], s)}; },
                       .tolerance = row.tolerance,
                       .differentiable = grad,
                       .bench = variant == "bench"});
    };
    for (Layout l : all_layouts())
      put(name_of(l), real({3, 4}, row.low, row.high).laid(l), 1.25, true);
    put("integer_number", real({5}, row.low, row.high), 3, true);
    put("rank0", real({}, row.low, row.high), -0.5, true);
    put("empty", real({2, 0}), 2, false);
    put("hostile", hostile(), 3.0, false);
    put("f64", real({5}, row.low, row.high).as(Dtype::f64), 0.25, true);
    for (Dtype d : {Dtype::i64, Dtype::i32, Dtype::u8}) {
      put(std::string("of_") + tinytorch::name_of(d), ints({5}, 1, 9, d), 2, false);
      put(std::string("real_number_") + tinytorch::name_of(d), ints({5}, 1, 9, d), 0.5, false);
    }
    put("i64_exact", list({9007199254740993.0, -7, 1}, Dtype::i64), 4, false);
    put("bench", real({64, 1024}, row.low, row.high), 1.25, false);
  }

  const auto put_where = [&](const std::string& variant, const Input& c, const Input& a,
                             const Input& b, bool grad) {
    cases.push_back({.op = "where",
                     .variant = variant,
                     .inputs = {c, a, b},
                     .run = [](const Tensors& t) { return Tensors{where(t[0], t[1], t[2])}; },
                     .tolerance = is,
                     .differentiable = grad,
                     .bench = variant == "bench"});
  };
  put_where("same", bools({3, 4}), real({3, 4}), real({3, 4}), true);
  put_where("condition_broadcasts", bools({4}), real({3, 4}), real({3, 4}), true);
  put_where("all_broadcast", bools({2, 1, 1}), real({3, 1}), real({4}), true);
  put_where("rank0", bools({2, 3}), real({}), real({2, 3}), true);
  for (Layout l : all_layouts())
    put_where(std::string("layout_") + name_of(l), bools({3, 4}).laid(l), real({3, 4}).laid(l),
              real({3, 4}), true);
  put_where("hides_hostile", bools({29}), hostile(), real({29}), false);
  put_where("ints", bools({5}), ints({5}, -9, 9), ints({5}, -9, 9), false);
  put_where("promotes", bools({5}), ints({5}, -9, 9), real({5}), false);
  put_where("empty", bools({0}), real({0}), real({0}), false);
  put_where("bench", bools({64, 1024}), real({64, 1024}), real({64, 1024}), false);

  const auto put_fill = [&](const std::string& variant, const Input& a, const Input& mask,
                            Scalar value, bool grad) {
    cases.push_back(
        {.op = "masked_fill",
         .variant = variant,
         .inputs = {a, mask},
         .run = [value](const Tensors& t) { return Tensors{masked_fill(t[0], t[1], value)}; },
         .tolerance = is,
         .oracle = broadcast_oracle(
             [v = value.to_double()](double a, double hidden) { return hidden ? v : a; }),
         .differentiable = grad,
         .bench = variant == "bench"});
  };
  put_fill("same", real({3, 4}), bools({3, 4}), 1.5, true);
  put_fill("mask_broadcasts", real({2, 3, 4}), bools({3, 4}), -7, true);
  put_fill("tensor_broadcasts", real({4}), bools({3, 4}), 0.25, true);
  put_fill("rank0", real({}), bools({}), 2, true);
  put_fill("infinity", real({3, 4}), bools({3, 4}), -INFINITY, false);
  for (Layout l : all_layouts())
    put_fill(std::string("layout_") + name_of(l), real({3, 4}).laid(l), bools({3, 4}).laid(l), 0.5,
             true);
  put_fill("hides_hostile", hostile(), bools({29}), 0.0, false);
  put_fill("f64", real({5}).as(Dtype::f64), bools({5}), 0.125, true);
  put_fill("ints", ints({5}, -9, 9), bools({5}), 77, false);
  put_fill("bools", bools({5}), bools({5}), true, false);
  put_fill("empty", real({0, 4}), bools({4}), 1, false);
  put_fill("bench", real({64, 1024}), bools({64, 1024}), 1.5, false);
  return cases;
}

}  // namespace tinytorch::op_cases
