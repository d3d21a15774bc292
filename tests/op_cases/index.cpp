// Cases of indexing with tensors: repeated, negative dims, empty and strided indices. Out of range
// is in test_value_errors.cpp.
#include "tests/op_cases/op_cases.h"

namespace tinytorch::op_cases {
namespace {

// Plain loops over [outer, n, inner]; `each(at_in, at_out)` pairs places of x and of the result of
// gather or index_select.
struct Planes {
  int64_t outer = 1, n, inner = 1;
  Planes(const Shape& s, int dim) {
    const int d = dim < 0 ? dim + s.rank() : dim;
    for (int i = 0; i < d; ++i) outer *= s[i];
    for (int i = d + 1; i < s.rank(); ++i) inner *= s[i];
    n = s[d];
  }
  size_t at(int64_t o, int64_t j, int64_t i) const {
    return static_cast<size_t>((o * n + j) * inner + i);
  }
};

template <class F>
void each_pair(const HostArray& index, const Planes& whole, const Planes& part, bool per_element,
               F&& f) {
  for (int64_t o = 0; o < part.outer; ++o)
    for (int64_t j = 0; j < part.n; ++j)
      for (int64_t i = 0; i < part.inner; ++i) {
        const double k = index.v[per_element ? part.at(o, j, i) : static_cast<size_t>(j)];
        f(whole.at(o, static_cast<int64_t>(k), i), part.at(o, j, i));
      }
}

Oracle take_oracle(int dim, bool per_element) {
  return [=](const std::vector<HostArray>& in) {
    Shape s = per_element ? in[1].shape : in[0].shape;
    if (!per_element) s[dim < 0 ? dim + s.rank() : dim] = in[1].shape[0];
    HostArray r = host_array(s);
    each_pair(in[1], Planes(in[0].shape, dim), Planes(s, dim), per_element,
              [&](size_t from, size_t to) { r.v[to] = in[0].v[from]; });
    return std::vector<HostArray>{r};
  };
}

Oracle add_oracle(int dim, bool per_element) {
  return [=](const std::vector<HostArray>& in) {
    HostArray r = in[0];
    each_pair(in[1], Planes(r.shape, dim), Planes(in[2].shape, dim), per_element,
              [&](size_t to, size_t from) { r.v[to] += in[2].v[from]; });
    return std::vector<HostArray>{r};
  };
}

}  // namespace

Cases index_cases() {
  Cases cases;
  const auto put = [&](const std::string& op, const std::string& variant, std::vector<Input> in,
                       Run run, Tolerance tolerance, Oracle oracle, bool grad) {
    cases.push_back({.op = op,
                     .variant = variant,
                     .inputs = std::move(in),
                     .run = std::move(run),
                     .tolerance = std::move(tolerance),
                     .oracle = std::move(oracle),
                     .differentiable = grad,
                     .bench = variant.starts_with("bench")});
  };
  const auto take = [&](bool per_element, const std::string& variant, const Input& x, int dim,
                        const Input& index, bool grad = true) {
    const auto f = per_element ? gather : nullptr;
    put(
        f ? "gather" : "index_select", variant, {x, index},
        [f, dim](const Tensors& t) {
          return Tensors{f ? f(t[0], dim, t[1]) : index_select(t[0], dim, t[1])};
        },
        exact(), take_oracle(dim, per_element), grad);
  };
  const auto accumulate = [&](bool per_element, const std::string& variant, const Input& base,
                              int dim, const Input& index, const Input& src, bool grad = true) {
    put(
        per_element ? "scatter_add" : "index_add", variant, {base, index, src},
        [per_element, dim](const Tensors& t) {
          return Tensors{per_element ? scatter_add(t[0], dim, t[1], t[2])
                                     : index_add(t[0], dim, t[1], t[2])};
        },
        // The index stays as it is where the terms are made absolute.
        is_floating(base.dtype) ? terms() : exact(), add_oracle(dim, per_element), grad);
  };

  for (int dim : {0, 1, 2, -1, -2, -3}) {
    const std::string at = "dim" + std::to_string(dim);
    const Shape s = {3, 4, 2};
    const int d = dim < 0 ? dim + 3 : dim;
    Shape part = s;
    part[d] = 5;
    take(false, at, real(s), dim, ints({5}, 0, s[d]));
    take(true, at, real(s), dim, ints(part, 0, s[d]));
    accumulate(false, at, real(s), dim, ints({5}, 0, s[d]), real(part));
    accumulate(true, at, real(s), dim, ints(part, 0, s[d]), real(part));
  }
  for (Layout l : all_layouts()) {
    const Input x = real({3, 4}).laid(l);
    take(false, name_of(l), x, 1, ints({3}, 0, 4).laid(l));
    take(true, name_of(l), x, 1, ints({3, 2}, 0, 4).laid(l));
    accumulate(false, name_of(l), x, 1, ints({3}, 0, 4).laid(l), real({3, 3}).laid(l));
    accumulate(true, name_of(l), x, 1, ints({3, 2}, 0, 4).laid(l), real({3, 2}).laid(l));
  }
  for (bool e : {false, true}) {
    const auto index = [&](const Shape& full, std::initializer_list<double> flat) {
      return e ? ints(full, 0, 1)
               : list(Shape{static_cast<int64_t>(flat.size())}, flat, Dtype::i64);
    };
    take(e, "repeated", real({3, 2}), 0, index({4, 2}, {1, 1, 1, 1}));
    take(e, "one_row", real({1, 3}), 0, index({1, 3}, {0}));
    take(e, "no_index", real({3, 2}), 0, ints(e ? Shape{0, 2} : Shape{0}, 0, 1), false);
    take(e, "f64", real({3, 2}).as(Dtype::f64), 0, index({2, 2}, {2, 0}));
    for (Dtype d : {Dtype::i64, Dtype::i32, Dtype::u8, Dtype::bool_})
      take(e, std::string("of_") + tinytorch::name_of(d), ints({3, 2}, 0, 2, d), 0,
           index({2, 2}, {2, 0}), false);
    take(e, "hostile", hostile({5, 4}), 0, index({2, 4}, {4, 0}), false);
    accumulate(e, "repeated", real({3, 2}), 0, index({4, 2}, {1, 1, 1, 1}), real({4, 2}));
    accumulate(e, "no_index", real({3, 2}), 0, ints(e ? Shape{0, 2} : Shape{0}, 0, 1), real({0, 2}),
               false);
    accumulate(e, "base_untracked", real({3, 2}).no_grad(), 0, index({2, 2}, {2, 0}), real({2, 2}));
    accumulate(e, "src_untracked", real({3, 2}), 0, index({2, 2}, {2, 0}), real({2, 2}).no_grad());
    for (Dtype d : {Dtype::i64, Dtype::i32})
      accumulate(e, std::string("of_") + tinytorch::name_of(d), ints({3, 2}, -9, 9, d), 0,
                 index({2, 2}, {2, 0}), ints({2, 2}, -9, 9, d), false);
    accumulate(e, "many", real({5, 7}), 0, ints(e ? Shape{300, 7} : Shape{300}, 0, 5),
               real({300, 7}), false);
  }
  take(false, "bench", real({1000, 64}), 0, ints({512}, 0, 1000), false);
  accumulate(false, "bench", real({1000, 64}), 0, ints({512}, 0, 1000), real({512, 64}), false);
  take(true, "bench", real({256, 128}), 1, ints({256, 128}, 0, 128), false);
  accumulate(true, "bench", real({256, 128}), 1, ints({256, 128}, 0, 128), real({256, 128}), false);

  const auto look_up = [](const Tensors& t) { return Tensors{embedding(t[0], t[1])}; };
  const auto embed = [&](const std::string& variant, const Input& w, const Input& index,
                         bool grad = true) {
    put("embedding", variant, {w, index}, look_up, exact(), {}, grad);
  };
  embed("rank1", real({5, 3}), ints({4}, 0, 5));
  embed("rank2", real({5, 3}), ints({2, 3}, 0, 5));
  embed("rank0", real({5, 3}), ints({}, 0, 5));
  embed("repeated", real({5, 3}), list({4, 4, 4, 0}, Dtype::i64));
  embed("empty", real({5, 3}), ints({0, 2}, 0, 5), false);
  embed("f64", real({5, 3}).as(Dtype::f64), ints({4}, 0, 5));
  for (Layout l : all_layouts())
    embed(name_of(l), real({5, 4}).laid(l), ints({2, 3}, 0, 5).laid(l));
  embed("bench", real({1000, 64}), ints({16, 32}, 0, 1000), false);

  for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::i64, Dtype::u8, Dtype::bool_})
    cases.push_back({.op = "one_hot",
                     .variant = std::string("to_") + tinytorch::name_of(d),
                     .inputs = {ints({2, 3}, 0, 4)},
                     .run = [d](const Tensors& t) { return Tensors{one_hot(t[0], 4, d)}; },
                     .tolerance = exact(),
                     .differentiable = false,
                     .own_dtype = true});
  for (const auto& [variant, in] :
       {std::pair{"rank0", ints({}, 0, 4)}, std::pair{"empty", ints({0}, 0, 4)},
        std::pair{"strided", ints({2, 3}, 0, 4).laid(Layout::transposed)}})
    cases.push_back({.op = "one_hot",
                     .variant = variant,
                     .inputs = {in},
                     .run = [](const Tensors& t) { return Tensors{one_hot(t[0], 4)}; },
                     .tolerance = exact(),
                     .differentiable = false,
                     .own_dtype = true});
  return cases;
}

}  // namespace tinytorch::op_cases
