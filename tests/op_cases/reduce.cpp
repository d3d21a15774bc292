// Cases of reductions: every set of dims, kept or not, in every layout; ties, NaN, nothing to
// reduce, integer sums that wrap.
#include "tests/op_cases/op_cases.h"

#include <algorithm>
#include <cmath>

namespace tinytorch::op_cases {
namespace {

struct DimsRow {
  const char* variant;
  Shape dims;
};
const DimsRow kDims[] = {{"all", {}},          {"first", {0}},         {"middle", {1}},
                         {"last", {-1}},       {"first_last", {0, 2}}, {"last_two", {-2, -1}},
                         {"unsorted", {2, 0}}, {"first_two", {0, 1}},  {"every", {0, 1, 2}}};

// Sum of |x| over the same dims: what the rounding errors of a sum are measured by.
using Dims = Tensor (*)(const Tensor&, const Shape&, bool);

void add_sums(Cases& cases, const char* op, Dims f, const Run& whole_terms, bool mean_like) {
  const std::string with = std::string(op) + "(Tensor,Shape,bool)";
  const auto put = [&](const std::string& variant, const Input& in, const Shape& dims, bool keep,
                       bool grad) {
    cases.push_back(
        {.op = with,
         .variant = variant,
         .inputs = {in},
         .run = [f, dims, keep](const Tensors& t) { return Tensors{f(t[0], dims, keep)}; },
         .tolerance = is_floating(in.dtype) ? terms(whole_terms) : exact(),
         .differentiable = grad,
         .bench = variant.starts_with("bench")});
  };
  for (const DimsRow& d : kDims)
    for (bool keep : {false, true})
      put(std::string(d.variant) + (keep ? "_keep" : ""), real({2, 3, 4}), d.dims, keep, true);
  for (Layout l : all_layouts())
    for (const Shape& dims : {Shape{0}, Shape{1}, Shape{-1}, Shape{0, 2}, Shape{}})
      put(std::string(name_of(l)) + dims.str(), real({2, 3, 4}).laid(l), dims, false, true);
  put("size1_dim", real({3, 1, 2}), {1}, false, true);
  put("empty_kept", real({0, 3}), {1}, false, false);
  put("rank0", real({}), {}, false, true);
  put("f64", real({7, 5}).as(Dtype::f64), {0}, false, true);
  put("long_row", real({3, 1000}, -1, 1), {1}, false, false);
  put("long_column", real({1000, 3}, -1, 1), {0}, false, false);
  put("long_strided", real({2, 501}, -1, 1).laid(Layout::strided), {1}, false, false);
  put("cancels", list({2, 3}, {1e8, 1, -1e8, 1e-3, -1e6, 1e6}), {1}, false, false);
  put("infinities", list({3, 2}, {INFINITY, 1, INFINITY, -INFINITY, NAN, 1}), {1}, false, false);
  put("empty_reduced", real({2, 0}), {1}, false, false);
  put("bench_all", real({256, 512}), {}, false, false);
  put("bench_rows", real({256, 512}), {1}, false, false);
  put("bench_columns", real({256, 512}), {0}, false, false);
  if (mean_like) return;
  for (Dtype d : {Dtype::i64, Dtype::i32, Dtype::u8, Dtype::bool_}) {
    const std::string of = std::string("of_") + tinytorch::name_of(d);
    put(of, ints({3, 50}, 0, d == Dtype::bool_ ? 2 : 200, d), {1}, false, false);
    put(of + "_strided", ints({3, 4, 5}, 0, 2, d).laid(Layout::transposed), {0, 2}, true, false);
    put(of + "_empty", ints({0, 4}, 0, 2, d), {0}, false, false);
  }
  put("i32_exceeds_i32", list({2147483647, 2147483647, 5}, Dtype::i32), {0}, false, false);
}

struct Extreme {
  const char *name, *arg;
  Dims over_dims;
  Tensor (*whole)(const Tensor&);
  ValuesAndIndices (*with_index)(const Tensor&, int, bool);
  Tensor (*arg_whole)(const Tensor&);
  Tensor (*arg_dim)(const Tensor&, int, bool);
  const char* over_dims_name;
};

void add_extremes(Cases& cases, const Extreme& e) {
  const auto put = [&](const std::string& op, const std::string& variant, const Input& in, Run run,
                       bool grad) {
    cases.push_back({.op = op,
                     .variant = variant,
                     .inputs = {in},
                     .run = std::move(run),
                     .tolerance = exact(),
                     .differentiable = grad,
                     .bench = variant.starts_with("bench")});
  };
  const Input x = distinct({2, 3, 4});
  for (const DimsRow& d : kDims)
    for (bool keep : {false, true})
      put(
          e.over_dims_name, std::string(d.variant) + (keep ? "_keep" : ""), x,
          [f = e.over_dims, dims = d.dims, keep](const Tensors& t) {
            return Tensors{f(t[0], dims, keep)};
          },
          true);
  const auto over = [f = e.over_dims](const Shape& dims) {
    return [f, dims](const Tensors& t) { return Tensors{f(t[0], dims, false)}; };
  };
  const auto whole = [f = e.whole](const Tensors& t) { return Tensors{f(t[0])}; };
  const auto arg_whole = [f = e.arg_whole](const Tensors& t) { return Tensors{f(t[0])}; };
  const auto indexed = [f = e.with_index](int dim, bool keep) {
    return [f, dim, keep](const Tensors& t) {
      const ValuesAndIndices r = f(t[0], dim, keep);
      return Tensors{r.values, r.indices};
    };
  };
  const auto arg = [f = e.arg_dim](int dim, bool keep) {
    return [f, dim, keep](const Tensors& t) { return Tensors{f(t[0], dim, keep)}; };
  };
  const std::string of_dim = std::string(e.name) + "(Tensor,int,bool)",
                    of_all = std::string(e.name) + "(Tensor)";
  const std::string arg_of_dim = std::string(e.arg) + "(Tensor,int,bool)",
                    arg_of_all = std::string(e.arg) + "(Tensor)";

  struct Variant {
    std::string name;
    Input in;
    bool grad;
  };
  std::vector<Variant> inputs = {{"rank0", real({}), true}, {"size1", real({1, 1}), true}};
  for (Layout l : all_layouts()) inputs.push_back({name_of(l), x.laid(l), l != Layout::expanded});
  inputs.push_back({"f64", distinct({5, 4}).as(Dtype::f64), true});
  inputs.push_back({"ties", ints({4, 6}, 0, 2).as(Dtype::f32), false});
  inputs.push_back(
      {"nan_wins",
       list({3, 4}, {1, NAN, INFINITY, 2, NAN, NAN, 0, -1, -INFINITY, INFINITY, 3, NAN}), false});
  inputs.push_back(
      {"hostile", list({2, 4}, {0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1e-40, -1e-40}), false});
  inputs.push_back({"long_row", distinct({3, 301}), false});
  for (Dtype d : {Dtype::i64, Dtype::i32, Dtype::u8, Dtype::bool_})
    inputs.push_back({std::string("of_") + tinytorch::name_of(d),
                      ints({3, 5}, 0, d == Dtype::bool_ ? 2 : 9, d), false});
  inputs.push_back({"bench", distinct({256, 512}), false});
  for (const Variant& v : inputs) {
    put(of_all, v.name, v.in, whole, v.grad);
    put(arg_of_all, v.name, v.in, arg_whole, false);
    if (!v.in.shape.rank()) continue;
    for (int dim : {0, -1}) {
      const std::string variant = v.name + (dim ? "_last" : "_first");
      put(of_dim, variant, v.in, indexed(dim, false), v.grad || v.in.layout == Layout::expanded);
      put(arg_of_dim, variant, v.in, arg(dim, false), false);
      put(e.over_dims_name, "of_" + variant, v.in, over({dim}), v.grad);
    }
  }
  put(of_dim, "keep", x, indexed(1, true), true);
  put(of_dim, "middle", x, indexed(-2, false), true);
  put(arg_of_dim, "keep", x, arg(1, true), false);
  put(of_dim, "empty_kept", real({0, 3}), indexed(1, false), false);
  put(e.over_dims_name, "empty_kept", real({0, 3}), over({1}), false);
  put(arg_of_dim, "empty_kept", real({0, 3}), arg(1, false), false);
}

}  // namespace

Cases reduce_cases() {
  Cases cases;
  add_sums(cases, "sum", sum, {}, false);
  add_sums(cases, "mean", mean, {}, true);
  for (const auto& [op, f] :
       {std::pair<const char*, Tensor (*)(const Tensor&)>{"sum(Tensor)", sum},
        std::pair<const char*, Tensor (*)(const Tensor&)>{"mean(Tensor)", mean}})
    for (const Input& in :
         {real({3, 4}), real({3, 4}).laid(Layout::transposed), real({}), real({1, 1})})
      cases.push_back({.op = op,
                       .variant = in.shape.str() + name_of(in.layout),
                       .inputs = {in},
                       .run = [f = f](const Tensors& t) { return Tensors{f(t[0])}; },
                       .tolerance = terms()});
  cases.push_back({.op = "sum(Tensor)",
                   .variant = "of_bool",
                   .inputs = {bools({40})},
                   .run = [](const Tensors& t) { return Tensors{sum(t[0])}; },
                   .tolerance = exact(),
                   .differentiable = false});

  for (bool unbiased : {true, false})
    for (bool keep : {false, true})
      for (const DimsRow& d : kDims) {
        const Shape dims = d.dims;
        cases.push_back(
            {.op = "var",
             .variant = std::string(d.variant) + (unbiased ? "_unbiased" : "_biased") +
                        (keep ? "_keep" : ""),
             .inputs = {real({2, 3, 4}).laid(keep ? Layout::transposed : Layout::contiguous)},
             .run = [dims, unbiased,
                     keep](const Tensors& t) { return Tensors{var(t[0], dims, unbiased, keep)}; },
             // (|x| + |mean|)^2 summed: the mean's own rounding error enters every term.
             .tolerance = terms([dims, unbiased, keep](const Tensors& t) {
               const Tensor term = square(add(abs(t[0]), abs(mean(t[0], dims, true))));
               const double n =
                   static_cast<double>(t[0].numel()) /
                   static_cast<double>(std::max<int64_t>(1, sum(t[0], dims, false).numel()));
               return Tensors{div(sum(term, dims, keep), unbiased ? n - 1 : n)};
             })});
      }

  add_extremes(cases, {"max", "argmax", amax, max, max, argmax, argmax, "amax"});
  add_extremes(cases, {"min", "argmin", amin, min, min, argmin, argmin, "amin"});

  struct To {
    const char* variant;
    Shape from, to;
  };
  for (const To& s :
       {To{"same", {2, 3}, {2, 3}}, To{"row", {2, 3}, {3}}, To{"kept", {2, 3}, {2, 1}},
        To{"scalar", {2, 3}, {}}, To{"ones", {2, 3}, {1, 1}}, To{"middle", {2, 3, 4}, {3, 1}},
        To{"of_empty", {0, 3}, {1, 3}}})
    for (Layout l : all_layouts())
      cases.push_back({.op = "sum_to",
                       .variant = std::string(s.variant) + "_" + name_of(l),
                       .inputs = {real(s.from).laid(l)},
                       .run = [to = s.to](const Tensors& t) { return Tensors{sum_to(t[0], to)}; },
                       .tolerance = terms(),
                       .differentiable = s.from.numel() > 0});
  return cases;
}

}  // namespace tinytorch::op_cases
