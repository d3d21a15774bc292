// Cases of random tensors: every device must give the same bits, so the oracle runs in the case's
// own dtype and the tolerance is zero. The bits themselves, and their moments, are checked in
// test_random.cpp.
#include "tests/op_cases/op_cases.h"

namespace tinytorch::op_cases {

Cases random_cases() {
  Cases cases;
  const auto put = [&](const std::string& op, const std::string& variant,
                       std::function<Tensor(const RandomOptions&)> f) {
    cases.push_back(
        {.op = op,
         .variant = variant,
         .inputs = {},
         .run =
             [f = std::move(f)](const Tensors&) {
               const Generator g(42);
               const Tensor first = f({.generator = g});
               return Tensors{
                   first, f({.generator = g})};  // the second call goes on where the first stopped
             },
         .tolerance = exact(),
         .differentiable = false,
         .own_dtype = true,
         .bench = variant == "bench"});
  };
  const auto with = [](RandomOptions o, Dtype d) {
    o.dtype = d;
    return o;
  };
  for (const Shape& s :
       {Shape{}, Shape{0}, Shape{1}, Shape{7}, Shape{3, 5}, Shape{1001}, Shape{64, 1024}}) {
    const std::string name = s.numel() == 65536 ? "bench" : s.str();
    put("rand", name, [s](const RandomOptions& o) { return rand(s, o); });
    put("randn", name, [s](const RandomOptions& o) { return randn(s, o); });
    put("uniform", name, [s](const RandomOptions& o) { return uniform(s, -0.7, 2.3, o); });
    put("normal", name, [s](const RandomOptions& o) { return normal(s, 1.5, 0.3, o); });
    put("randint", name, [s](const RandomOptions& o) { return randint(-5, 17, s, o); });
    put("bernoulli", name, [s](const RandomOptions& o) { return bernoulli(s, 0.3, o); });
  }
  put("rand", "f64", [with](const RandomOptions& o) { return rand({33}, with(o, Dtype::f64)); });
  put("randn", "f64", [with](const RandomOptions& o) { return randn({33}, with(o, Dtype::f64)); });
  put("uniform", "f64",
      [with](const RandomOptions& o) { return uniform({33}, -3, 1, with(o, Dtype::f64)); });
  put("normal", "f64",
      [with](const RandomOptions& o) { return normal({33}, -3, 10, with(o, Dtype::f64)); });
  put("randint", "wide", [](const RandomOptions& o) {
    return randint(-(int64_t{1} << 40), int64_t{1} << 40, {33}, o);
  });
  put("randint", "one_value", [](const RandomOptions& o) { return randint(4, 5, {9}, o); });
  for (Dtype d : {Dtype::i32, Dtype::u8, Dtype::f32})
    put("randint", std::string("as_") + tinytorch::name_of(d),
        [with, d](const RandomOptions& o) { return randint(0, 200, {33}, with(o, d)); });
  for (Dtype d : {Dtype::bool_, Dtype::f64, Dtype::i64})
    put("bernoulli", std::string("as_") + tinytorch::name_of(d),
        [with, d](const RandomOptions& o) { return bernoulli({33}, 0.5, with(o, d)); });
  put("bernoulli", "never", [](const RandomOptions& o) { return bernoulli({33}, 0.0, o); });
  put("bernoulli", "always", [](const RandomOptions& o) { return bernoulli({33}, 1.0, o); });
  for (int64_t n : {0, 1, 2, 10, 1000})
    put("randperm", std::to_string(n), [n](const RandomOptions& o) { return randperm(n, o); });
  put("randperm", "bench", [](const RandomOptions& o) { return randperm(60000, o); });

  const auto put_dropout = [&](const std::string& variant, const Input& x, double p, bool training,
                               bool grad = true) {
    cases.push_back({.op = "dropout",
                     .variant = variant,
                     .inputs = {x},
                     .run =
                         [p, training](const Tensors& t) {
                           return Tensors{dropout(t[0], p, training, Generator(7, t[0].device()))};
                         },
                     .tolerance = ulps(2),
                     .differentiable = grad,
                     .bench = variant == "bench"});
  };
  for (double p : {0.0, 0.25, 0.5, 0.9, 1.0})
    put_dropout("p" + std::to_string(p).substr(0, 4), real({3, 7}), p, true);
  put_dropout("evaluation", real({3, 7}), 0.5, false);
  put_dropout("f64", real({3, 7}).as(Dtype::f64), 0.5, true);
  put_dropout("rank0", real({}), 0.5, true);
  put_dropout("empty", real({0, 3}), 0.5, true, false);
  put_dropout("hides_hostile", hostile(), 0.5, true, false);
  for (Layout l : all_layouts()) put_dropout(name_of(l), real({3, 4}).laid(l), 0.5, true);
  put_dropout("bench", real({64, 1024}), 0.5, true, false);
  return cases;
}

}  // namespace tinytorch::op_cases
