// Cases of factories. They have no inputs: the device is the thread's default, and real_dtype() is
// f64 while the oracle runs.
#include "tests/op_cases/op_cases.h"

#include <cmath>

namespace tinytorch::op_cases {
namespace {

using Make = std::function<Tensor()>;

OpCase made(const std::string& op, const std::string& variant, const Make& make,
            const Tolerance& tolerance = exact()) {
  return {.op = op,
          .variant = variant,
          .inputs = {},
          .run = [make](const Tensors&) { return Tensors{make()}; },
          .tolerance = tolerance,
          .differentiable = false,
          .bench = variant == "bench"};
}

// Values start + i step, computed with a rounding or two: measured by the larger end.
Tolerance ramp(double largest) {
  return terms(
      [largest](const Tensors&) { return Tensors{scalar_tensor(largest, {.dtype = Dtype::f64})}; });
}

Oracle values(const Shape& shape, const std::vector<double>& v) {
  return [=](const std::vector<HostArray>&) { return std::vector<HostArray>{{shape, v}}; };
}

}  // namespace

Cases create_cases() {
  Cases cases;
  const Shape shapes[] = {{}, {0}, {3}, {2, 3}, {2, 0, 3}, {1, 2, 1, 2, 1, 2, 1, 2}};
  struct Row {
    const char* op;
    Tensor (*f)(const Shape&, const TensorOptions&);
    Tensor (*like)(const Tensor&);
    const char* like_op;
  };
  for (const Row& r :
       {Row{"zeros", zeros, zeros_like, "zeros_like"}, Row{"ones", ones, ones_like, "ones_like"},
        Row{"empty", empty, empty_like, "empty_like"}}) {
    const bool defined = r.f != static_cast<Tensor (*)(const Shape&, const TensorOptions&)>(empty);
    const auto put = [&](OpCase c) {
      c.values = defined;
      cases.push_back(c);
    };
    for (const Shape& s : shapes)
      put(made(r.op, s.str(), [f = r.f, s] { return f(s, {.dtype = real_dtype()}); }));
    for (int d = 0; d < kDtypeCount; ++d) {
      const Dtype dtype = static_cast<Dtype>(d);
      OpCase c = made(r.op, tinytorch::name_of(dtype), [f = r.f, dtype] {
        return f({2, 3}, {.dtype = dtype});
      });
      c.own_dtype = true;
      put(c);
    }
    for (Layout l : all_layouts()) {
      OpCase c = made(r.like_op, name_of(l), {});
      c.inputs = {real({2, 3}).laid(l)};
      c.run = [like = r.like](const Tensors& t) { return Tensors{like(t[0])}; };
      put(c);
      c.inputs = {ints({2, 3}, 0, 9, Dtype::i32).laid(l)};
      c.variant += "_i32";
      put(c);
    }
    put(made(r.op, "bench", [f = r.f] { return f({512, 512}, {.dtype = real_dtype()}); }));
  }
  for (const Shape& s : shapes)
    cases.push_back(made("full", s.str(), [s] { return full(s, 2.5, {.dtype = real_dtype()}); }));
  for (int d = 0; d < kDtypeCount; ++d) {
    const Dtype dtype = static_cast<Dtype>(d);
    OpCase c = made("full", std::string("three_as_") + tinytorch::name_of(dtype),
                    [dtype] { return full({4}, 3, {.dtype = dtype}); });
    c.own_dtype = true;
    cases.push_back(c);
  }
  cases.push_back(made("full", "large_integer",
                       [] { return full({2}, int64_t{9007199254740993}, {.dtype = Dtype::i64}); }));
  OpCase like = made("full_like", "real", {});
  like.inputs = {real({2, 3})};
  like.run = [](const Tensors& t) { return Tensors{full_like(t[0], -1.5)}; };
  cases.push_back(like);
  like.variant = "of_i64";
  like.inputs = {ints({2, 3}, 0, 9)};
  like.run = [](const Tensors& t) { return Tensors{full_like(t[0], 7)}; };
  cases.push_back(like);

  const std::string arange3 = "arange(Scalar,Scalar,Scalar,TensorOptions)",
                    arange1 = "arange(Scalar,TensorOptions)";
  const auto put_arange = [&](const std::string& variant, Scalar a, Scalar b, Scalar s,
                              const std::vector<double>& v) {
    OpCase c = made(arange3, variant, [=] { return arange(a, b, s); });
    c.own_dtype = true;
    c.tolerance = v.empty() || !(a.is_floating() || s.is_floating()) ? exact() : ramp(10);
    c.oracle = values({static_cast<int64_t>(v.size())}, v);
    cases.push_back(c);
  };
  put_arange("integers", 2, 9, 3, {2, 5, 8});
  put_arange("down", 5, -3, -2, {5, 3, 1, -1});
  put_arange("nothing", 3, 3, 1, {});
  put_arange("wrong_way", 3, 1, 1, {});
  put_arange("reals", 0.5, 2.5, 0.5, {0.5, 1, 1.5, 2});
  put_arange("end_just_inside", 0.0, 1.05, 0.25, {0, 0.25, 0.5, 0.75, 1});
  put_arange("mixed", 1, 2, 0.25, {1, 1.25, 1.5, 1.75});
  for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::i64, Dtype::i32, Dtype::u8}) {
    OpCase c = made(arange1, std::string("as_") + tinytorch::name_of(d),
                    [d] { return arange(6, {.dtype = d}); });
    c.own_dtype = true;
    c.oracle = values({6}, {0, 1, 2, 3, 4, 5});
    cases.push_back(c);
  }
  cases.push_back(
      made(arange3, "bench", [] { return arange(0.0, 1e5, 1.0, {.dtype = real_dtype()}); }));

  const auto put_linspace = [&](const std::string& variant, double a, double b, int64_t n,
                                const std::vector<double>& v) {
    OpCase c = made(
        "linspace", variant, [=] { return linspace(a, b, n, {.dtype = real_dtype()}); },
        ramp(std::fmax(std::fabs(a), std::fabs(b))));
    c.oracle = values({n}, v);
    cases.push_back(c);
  };
  put_linspace("up", -1, 1, 5, {-1, -0.5, 0, 0.5, 1});
  put_linspace("down", 3, 0, 4, {3, 2, 1, 0});
  put_linspace("one", 2, 9, 1, {2});
  put_linspace("none", 2, 9, 0, {});
  put_linspace("same", 4, 4, 3, {4, 4, 4});
  put_linspace("thirds", 0, 1, 4, {0, 1.0 / 3, 2.0 / 3, 1});

  const auto put_eye = [&](const std::string& variant, int64_t n, std::optional<int64_t> m) {
    OpCase c = made("eye", variant, [=] { return eye(n, m, {.dtype = real_dtype()}); });
    HostArray a = host_array({n, m.value_or(n)});
    for (int64_t i = 0; i < std::min(n, m.value_or(n)); ++i) a.at({i, i}) = 1;
    c.oracle = values(a.shape, a.v);
    cases.push_back(c);
  };
  put_eye("square", 3, {});
  put_eye("wide", 2, 4);
  put_eye("tall", 4, 2);
  put_eye("one", 1, {});
  put_eye("empty", 0, 3);

  cases.push_back(
      made("scalar_tensor", "real", [] { return scalar_tensor(2.5, {.dtype = real_dtype()}); }));
  cases.push_back(made("scalar_tensor", "integer", [] { return scalar_tensor(-7); }));
  OpCase blob = made("from_blob", "row_major", [] {
    static float data[6] = {1, 2, 3, 4, 5, 6};
    return from_blob(data, {2, 3}, Dtype::f32).to(Device());
  });
  blob.own_dtype = true;
  blob.oracle = values({2, 3}, {1, 2, 3, 4, 5, 6});
  cases.push_back(blob);
  blob.variant = "strides";
  blob.run = [](const Tensors&) {
    static double data[6] = {1, 2, 3, 4, 5, 6};
    return Tensors{from_blob(data, {3, 2}, Dtype::f64, {}, {1, 3}).to(Device())};
  };
  blob.oracle = values({3, 2}, {1, 4, 2, 5, 3, 6});
  cases.push_back(blob);
  return cases;
}

}  // namespace tinytorch::op_cases
