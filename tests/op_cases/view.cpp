// Cases of views, joining and splitting. Views of views with gaps are in: a layout of the input is
// itself a view.
#include "tests/op_cases/op_cases.h"

namespace tinytorch::op_cases {
namespace {

using One = std::function<Tensor(const Tensor&)>;

class Table {
 public:
  explicit Table(Cases& cases) : cases_(cases) {}
  void put(const std::string& op, const std::string& variant, std::vector<Input> in, Run run,
           bool grad = true) {
    cases_.push_back({.op = op,
                      .variant = variant,
                      .inputs = std::move(in),
                      .run = std::move(run),
                      .tolerance = exact(),
                      .differentiable = grad,
                      .bench = variant == "bench"});
  }
  // One tensor in, one out: on every layout, on integers, and as a rank-keeping copy.
  void each_layout(const std::string& op, const std::string& variant, const Shape& shape,
                   const One& f) {
    const Run run = [f](const Tensors& t) { return Tensors{f(t[0])}; };
    for (Layout l : all_layouts()) put(op, variant + "_" + name_of(l), {real(shape).laid(l)}, run);
    put(op, variant + "_i64", {ints(shape, -9, 9)}, run, false);
    put(op, variant + "_bool", {bools(shape)}, run, false);
  }
  void once(const std::string& op, const std::string& variant, const Input& in, const One& f,
            bool grad = true) {
    put(
        op, variant, {in}, [f](const Tensors& t) { return Tensors{f(t[0])}; }, grad);
  }

 private:
  Cases& cases_;
};

void joins(Table& t) {
  const auto cat_at = [](int dim) {
    return [dim](const Tensors& in) { return Tensors{cat(in, dim)}; };
  };
  const auto stack_at = [](int dim) {
    return [dim](const Tensors& in) { return Tensors{stack(in, dim)}; };
  };
  t.put("cat", "dim0", {real({2, 3}), real({1, 3})}, cat_at(0));
  t.put("cat", "dim1", {real({2, 3}), real({2, 1}), real({2, 4})}, cat_at(1));
  t.put("cat", "last", {real({2, 1, 3}), real({2, 1, 2})}, cat_at(-1));
  t.put("cat", "negative", {real({2, 1, 3}), real({2, 2, 3})}, cat_at(-2));
  t.put("cat", "one", {real({2, 3})}, cat_at(1));
  t.put("cat", "with_empty", {real({2, 3}), real({0, 3}), real({1, 3})}, cat_at(0), false);
  t.put("cat", "second_tracked", {real({2, 3}).no_grad(), real({1, 3})}, cat_at(0));
  t.put("cat", "promotes", {ints({2}, 0, 9), real({3})}, cat_at(0), false);
  t.put("cat", "ints", {ints({2, 2}, 0, 9), ints({2, 1}, 0, 9)}, cat_at(1), false);
  t.put("cat", "bools", {bools({3}), bools({2})}, cat_at(0), false);
  for (Layout l : all_layouts())
    t.put("cat", name_of(l), {real({2, 3}).laid(l), real({2, 3}), real({2, 3}).laid(l)}, cat_at(1));
  t.put("cat", "bench", {real({64, 256}), real({64, 256})}, cat_at(1), false);
  for (int dim : {0, 1, 2, -1, -3})
    t.put("stack", "dim" + std::to_string(dim), {real({2, 3}), real({2, 3})}, stack_at(dim));
  t.put("stack", "rank0", {real({}), real({}), real({})}, stack_at(0));
  t.put("stack", "one", {real({3})}, stack_at(-1));
  for (Layout l : all_layouts())
    t.put("stack", name_of(l), {real({2, 3}).laid(l), real({2, 3})}, stack_at(1));
}

void splits(Table& t) {
  const auto by = [](int64_t size, int dim) {
    return [size, dim](const Tensors& in) { return split(in[0], size, dim); };
  };
  const auto sizes = [](std::vector<int64_t> s, int dim) {
    return [s, dim](const Tensors& in) { return split(in[0], s, dim); };
  };
  const std::string even = "split(Tensor,int64_t,int)",
                    listed = "split(Tensor,vector<int64_t>,int)";
  t.put(even, "even", {real({4, 3})}, by(2, 0));
  t.put(even, "rest", {real({2, 5})}, by(2, 1));
  t.put(even, "negative_dim", {real({2, 3})}, by(1, -1));
  t.put(even, "larger_than_dim", {real({2, 3})}, by(7, 0));
  t.put(listed, "uneven", {real({2, 6})}, sizes({1, 3, 2}, 1));
  t.put(listed, "with_zero", {real({3, 2})}, sizes({0, 3}, 0), false);
  t.put(listed, "negative_dim", {real({4, 2})}, sizes({3, 1}, -2));
  for (Layout l : all_layouts()) {
    t.put(even, name_of(l), {real({4, 4}).laid(l)}, by(3, 1));
    t.put(listed, name_of(l), {real({4, 4}).laid(l)}, sizes({1, 3}, 0));
  }
}

}  // namespace

Cases view_cases() {
  Cases cases;
  Table t(cases);
  joins(t);
  splits(t);
  t.each_layout("flatten", "all", {2, 3, 4}, [](const Tensor& x) { return flatten(x); });
  t.each_layout("flatten", "from1", {2, 3, 4}, [](const Tensor& x) { return flatten(x, 1); });
  t.each_layout("flatten", "first_two", {2, 3, 4},
                [](const Tensor& x) { return flatten(x, 0, 1); });
  t.each_layout("flatten", "negative", {2, 3, 4},
                [](const Tensor& x) { return flatten(x, -2, -1); });
  t.once("flatten", "rank0", real({}), [](const Tensor& x) { return flatten(x); });
  t.once("flatten", "one_dim", real({2, 3}), [](const Tensor& x) { return flatten(x, 1, 1); });
  t.each_layout("reshape", "explicit", {2, 6}, [](const Tensor& x) { return reshape(x, {3, 4}); });
  t.each_layout("reshape", "inferred", {2, 6}, [](const Tensor& x) {
    return reshape(x, {2, -1, 3});
  });
  t.each_layout("reshape", "flat", {2, 6}, [](const Tensor& x) { return reshape(x, {-1}); });
  t.once("reshape", "to_rank0", real({1, 1}), [](const Tensor& x) { return reshape(x, {}); });
  t.once("reshape", "from_rank0", real({}), [](const Tensor& x) { return reshape(x, {1, 1}); });
  t.once(
      "reshape", "empty", real({0, 3}),
      [](const Tensor& x) {
        return reshape(x, {3, 0, 2});
      },
      false);
  t.once("Tensor::view", "contiguous", real({2, 6}), [](const Tensor& x) {
    return x.view({3, -1});
  });
  t.once("Tensor::view", "splits_a_strided_dim", real({3, 4}).laid(Layout::strided),
         [](const Tensor& x) {
           return x.view({3, 2, 2});
         });
  t.once("Tensor::view", "splits_a_transposed_dim", real({3, 4}).laid(Layout::transposed),
         [](const Tensor& x) {
           return x.view({3, 2, 2});
         });
  t.each_layout("transpose", "outer", {2, 3, 4},
                [](const Tensor& x) { return transpose(x, 0, 2); });
  t.each_layout("transpose", "negative", {2, 3, 4},
                [](const Tensor& x) { return transpose(x, -1, -2); });
  t.once("transpose", "same_dim", real({2, 3}), [](const Tensor& x) { return transpose(x, 1, 1); });
  t.once("Tensor::t", "rank2", real({2, 3}), [](const Tensor& x) { return x.t(); });
  t.once("Tensor::t", "rank1", real({3}), [](const Tensor& x) { return mul(x.t(), 2); });
  t.each_layout("permute", "cycle", {2, 3, 4}, [](const Tensor& x) {
    return permute(x, {2, 0, 1});
  });
  t.each_layout("permute", "negative", {2, 3, 4}, [](const Tensor& x) {
    return permute(x, {-1, 1, 0});
  });
  t.once("permute", "rank0", real({}), [](const Tensor& x) { return permute(x, {}); });
  t.each_layout("expand", "new_dims", {2, 3}, [](const Tensor& x) { return expand(x, {4, 2, 3}); });
  t.once("expand", "stretches", real({2, 1, 3}), [](const Tensor& x) {
    return expand(x, {2, 4, 3});
  });
  t.once("expand", "keeps_by_minus_one", real({2, 1}), [](const Tensor& x) {
    return expand(x, {3, -1, 2});
  });
  t.once("expand", "rank0", real({}), [](const Tensor& x) { return expand(x, {2, 2}); });
  t.once(
      "expand", "to_empty", real({1, 3}),
      [](const Tensor& x) {
        return expand(x, {0, 3});
      },
      false);
  t.each_layout("Tensor::squeeze()", "some", {1, 3, 1, 2},
                [](const Tensor& x) { return x.squeeze(); });
  t.once("Tensor::squeeze()", "nothing", real({2, 3}), [](const Tensor& x) { return x.squeeze(); });
  t.once("Tensor::squeeze()", "to_rank0", real({1, 1}),
         [](const Tensor& x) { return x.squeeze(); });
  t.each_layout("Tensor::squeeze(int)", "dim", {1, 3, 1, 2},
                [](const Tensor& x) { return x.squeeze(2); });
  t.once("Tensor::squeeze(int)", "negative", real({2, 1}),
         [](const Tensor& x) { return x.squeeze(-1); });
  t.once("Tensor::squeeze(int)", "not_of_size_1", real({2, 3}),
         [](const Tensor& x) { return x.squeeze(1); });
  for (int dim : {0, 1, 2, -1, -3})
    t.each_layout("Tensor::unsqueeze", "dim" + std::to_string(dim), {2, 3},
                  [dim](const Tensor& x) { return x.unsqueeze(dim); });
  t.each_layout("Tensor::narrow", "first", {4, 3},
                [](const Tensor& x) { return x.narrow(0, 1, 2); });
  t.each_layout("Tensor::narrow", "last", {4, 3},
                [](const Tensor& x) { return x.narrow(-1, 2, 1); });
  t.once(
      "Tensor::narrow", "nothing", real({4, 3}), [](const Tensor& x) { return x.narrow(0, 4, 0); },
      false);
  t.each_layout("Tensor::slice", "step", {5, 3},
                [](const Tensor& x) { return x.slice(0, 1, 5, 2); });
  t.each_layout("Tensor::slice", "negative", {5, 3},
                [](const Tensor& x) { return x.slice(0, -3, -1); });
  t.once("Tensor::slice", "clamped", real({5, 3}),
         [](const Tensor& x) { return x.slice(0, -99, 99, 3); });
  t.once(
      "Tensor::slice", "empty", real({5, 3}), [](const Tensor& x) { return x.slice(1, 2, 1); },
      false);
  t.each_layout("Tensor::select", "first", {3, 4}, [](const Tensor& x) { return x.select(0, 2); });
  t.each_layout("Tensor::select", "negative", {3, 4},
                [](const Tensor& x) { return x.select(-1, -2); });
  t.once("Tensor::select", "to_rank0", real({3}), [](const Tensor& x) { return x[1]; });
  t.each_layout("Tensor::contiguous", "copy", {3, 4},
                [](const Tensor& x) { return mul(x.contiguous(), 1); });
  t.each_layout("Tensor::contiguous", "rank4", {2, 3, 2, 3},
                [](const Tensor& x) { return x.transpose(0, 2).contiguous(); });
  t.each_layout("Tensor::clone", "copy", {3, 4}, [](const Tensor& x) { return x.clone(); });
  t.once(
      "Tensor::clone", "empty", real({0, 2}), [](const Tensor& x) { return x.clone(); }, false);
  t.once(
      "Tensor::clone", "bench", real({256, 256}).laid(Layout::transposed),
      [](const Tensor& x) { return x.clone(); }, false);
  t.once("Tensor::to(Device)", "round_trip", real({2, 3}),
         [](const Tensor& x) { return mul(x.to(Device("cpu")).to(x.device()), 1); });
  t.once("Tensor::to(Device)", "round_trip_strided", real({2, 3}).laid(Layout::strided),
         [](const Tensor& x) { return mul(x.to(Device("reference")).to(x.device()), 1); });
  t.once("Tensor::cpu", "back", real({2, 3}),
         [](const Tensor& x) { return mul(x.cpu().to(x.device()), 1); });
  t.once(
      "Tensor::detach", "values", real({2, 3}), [](const Tensor& x) { return x.detach(); }, false);
  return cases;
}

}  // namespace tinytorch::op_cases
