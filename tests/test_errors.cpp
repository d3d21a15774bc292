// Bad arguments of every op: a typed error whose text names op and shapes (or what else was given), nothing lost, and the next call works.
#include <functional>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Call = std::function<void()>;
enum class Kind { shape, dtype, value };

struct Bad {
  const char* op;
  Kind kind;
  std::vector<std::string> parts;  // that the message must hold
  Call call;
};

Tensor f(const Shape& s) { return ones(s); }
Tensor i(const Shape& s) { return zeros(s, {.dtype = Dtype::i64}); }
Tensor b(const Shape& s) { return zeros(s, {.dtype = Dtype::bool_}); }
Tensor d(const Shape& s) { return ones(s, {.dtype = Dtype::f64}); }

std::vector<Bad> elementwise_errors() {
  std::vector<Bad> all;
  using Binary = Tensor (*)(const Tensor&, const Tensor&);
  const std::pair<const char*, Binary> binaries[] = {
      {"add", add}, {"sub", sub}, {"mul", mul}, {"div", div}, {"floor_divide", floor_divide}, {"remainder", remainder},
      {"pow", pow}, {"maximum", maximum}, {"minimum", minimum}, {"eq", eq}, {"ne", ne}, {"lt", lt}, {"le", le}, {"gt", gt}, {"ge", ge}};
  for (const auto& [name, op] : binaries) {
    all.push_back({name, Kind::shape, {"[2, 3]", "[4]"}, [op = op] { op(f({2, 3}), f({4})); }});
    all.push_back({name, Kind::shape, {"[2, 3, 1]", "[3, 3, 1]"}, [op = op] { op(f({2, 3, 1}), f({3, 3, 1})); }});
    all.push_back({name, Kind::shape, {"[0]", "[2]"}, [op = op] { op(f({0}), f({2})); }});
  }
  const std::pair<const char*, Binary> logic[] = {{"logical_and", logical_and}, {"logical_or", logical_or}};
  for (const auto& [name, op] : logic) {
    all.push_back({name, Kind::shape, {"[2]", "[3]"}, [op = op] { op(b({2}), b({3})); }});
    all.push_back({name, Kind::dtype, {"f32"}, [op = op] { op(f({2}), f({2})); }});
  }
  const std::pair<const char*, Binary> grads[] = {{"tanh_grad", tanh_grad}, {"sigmoid_grad", sigmoid_grad}, {"relu_grad", relu_grad},
                                                  {"gelu_grad", gelu_grad}, {"gelu_tanh_grad", gelu_tanh_grad}};
  for (const auto& [name, op] : grads) all.push_back({name, Kind::shape, {"[2, 3]", "[4]"}, [op = op] { op(f({2, 3}), f({4})); }});
  all.push_back({"logical_not", Kind::dtype, {"i64"}, [] { logical_not(i({2})); }});
  all.push_back({"where", Kind::dtype, {"f32"}, [] { where(f({2}), f({2}), f({2})); }});
  all.push_back({"where", Kind::shape, {"[2]", "[3]"}, [] { where(b({2}), f({3}), f({3})); }});
  all.push_back({"where", Kind::shape, {"[2, 2]", "[3]"}, [] { where(b({2, 2}), f({2, 2}), f({3})); }});
  all.push_back({"neg", Kind::dtype, {"bool"}, [] { neg(b({2})); }});
  return all;
}

std::vector<Bad> reduce_errors() {
  std::vector<Bad> all;
  using Dims = Tensor (*)(const Tensor&, const Shape&, bool);
  const std::pair<const char*, Dims> over[] = {{"sum", sum}, {"mean", mean}, {"amax", amax}, {"amin", amin}};
  for (const auto& [name, op] : over) {
    all.push_back({name, Kind::shape, {"2", "[2, 3]"}, [op = op] { op(f({2, 3}), {2}, false); }});
    all.push_back({name, Kind::shape, {"-3", "[2, 3]"}, [op = op] { op(f({2, 3}), {-3}, false); }});
    all.push_back({name, Kind::shape, {"[2, 3]"}, [op = op] { op(f({2, 3}), {1, -1}, false); }});  // twice the same dim
  }
  all.push_back({"var", Kind::shape, {"5", "[2, 3]"}, [] { var(f({2, 3}), {5}); }});
  all.push_back({"var", Kind::dtype, {"i64"}, [] { var(i({2, 3}), {0}); }});
  all.push_back({"mean", Kind::dtype, {"i64"}, [] { mean(i({2})); }});
  all.push_back({"amax", Kind::shape, {"[2, 0]"}, [] { amax(f({2, 0}), {1}); }});
  all.push_back({"amin", Kind::shape, {"[0]"}, [] { amin(f({0}), {}); }});
  all.push_back({"max", Kind::shape, {"[0]"}, [] { max(f({0})); }});
  all.push_back({"min", Kind::shape, {"[0, 3]"}, [] { min(f({0, 3})); }});
  all.push_back({"max", Kind::shape, {"[2, 0]"}, [] { max(f({2, 0}), 1); }});
  all.push_back({"max", Kind::shape, {"4", "[2, 3]"}, [] { max(f({2, 3}), 4); }});
  all.push_back({"min", Kind::shape, {"-4", "[2, 3]"}, [] { min(f({2, 3}), -4); }});
  all.push_back({"argmax", Kind::shape, {"[0]"}, [] { argmax(f({0})); }});
  all.push_back({"argmin", Kind::shape, {"2", "[2, 3]"}, [] { argmin(f({2, 3}), 2); }});
  all.push_back({"all", Kind::dtype, {"f32"}, [] { tinytorch::all(f({2})); }});
  all.push_back({"any", Kind::dtype, {"i64"}, [] { tinytorch::any(i({2})); }});
  all.push_back({"sum_to", Kind::shape, {"[2, 3]", "[2]"}, [] { sum_to(f({2, 3}), {2}); }});
  all.push_back({"sum_to", Kind::shape, {"[3]", "[2, 3]"}, [] { sum_to(f({3}), {2, 3}); }});
  return all;
}

std::vector<Bad> matrix_errors() {
  const std::array<int64_t, 2> two{2, 2};
  return {
      {"matmul", Kind::shape, {"[2, 3]", "[4, 2]"}, [] { matmul(f({2, 3}), f({4, 2})); }},
      {"matmul", Kind::shape, {"[3]", "[4]"}, [] { matmul(f({3}), f({4})); }},
      {"matmul", Kind::shape, {"[]", "[3]"}, [] { matmul(f({}), f({3})); }},
      {"matmul", Kind::shape, {"[2, 2, 3]", "[3, 3, 2]"}, [] { matmul(f({2, 2, 3}), f({3, 3, 2})); }},
      {"matmul", Kind::dtype, {"i64"}, [] { matmul(i({2, 2}), i({2, 2})); }},
      {"matmul", Kind::dtype, {"f32", "f64"}, [] { matmul(f({2, 2}), d({2, 2})); }},
      {"linear", Kind::shape, {"[2, 3]", "[5, 4]"}, [] { linear(f({2, 3}), f({5, 4})); }},
      {"linear", Kind::shape, {"[5]", "[4]"}, [] { linear(f({2, 3}), f({5, 3}), f({4})); }},
      {"linear", Kind::shape, {"[3]"}, [] { linear(f({2, 3}), f({3})); }},
      {"linear", Kind::dtype, {"f32", "f64"}, [] { linear(f({2, 3}), d({5, 3})); }},
      {"linear", Kind::dtype, {"i64"}, [] { linear(i({2, 3}), i({5, 3})); }},
      {"conv2d", Kind::shape, {"[2, 3, 4]"}, [] { conv2d(f({2, 3, 4}), f({2, 3, 2, 2})); }},
      {"conv2d", Kind::shape, {"[1, 3, 4, 4]", "[2, 2, 2, 2]"}, [] { conv2d(f({1, 3, 4, 4}), f({2, 2, 2, 2})); }},
      {"conv2d", Kind::shape, {"[3]", "[2, 3, 2, 2]"}, [] { conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), f({3})); }},
      {"conv2d", Kind::shape, {"[1, 1, 2, 2]", "[1, 1, 3, 3]"}, [] { conv2d(f({1, 1, 2, 2}), f({1, 1, 3, 3})); }},
      {"conv2d", Kind::shape, {"groups", "2"}, [] { conv2d(f({1, 3, 4, 4}), f({2, 1, 2, 2}), {}, {.groups = 2}); }},
      {"conv2d", Kind::shape, {"groups", "0"}, [] { conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), {}, {.groups = 0}); }},
      {"conv2d", Kind::shape, {"stride", "0"}, [] { conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), {}, {.stride = {0, 1}}); }},
      {"conv2d", Kind::shape, {"padding", "-1"}, [] { conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), {}, {.padding = {0, -1}}); }},
      {"conv2d", Kind::shape, {"dilation", "0"}, [] { conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), {}, {.dilation = {1, 0}}); }},
      {"conv2d", Kind::dtype, {"f32", "f64"}, [] { conv2d(f({1, 3, 4, 4}), d({2, 3, 2, 2})); }},
      {"conv2d", Kind::dtype, {"i64"}, [] { conv2d(i({1, 3, 4, 4}), i({2, 3, 2, 2})); }},
      {"conv2d_grad_input", Kind::shape, {"[1, 2, 9, 9]"}, [] { conv2d_grad_input(f({1, 2, 9, 9}), f({2, 3, 2, 2}), {1, 3, 4, 4}); }},
      {"conv2d_grad_weight", Kind::shape, {"[1, 2, 9, 9]"}, [] { conv2d_grad_weight(f({1, 2, 9, 9}), f({1, 3, 4, 4}), {2, 3, 2, 2}); }},
      {"max_pool2d", Kind::shape, {"[2, 4]"}, [two] { max_pool2d(f({2, 4}), two); }},
      {"max_pool2d", Kind::shape, {"[1, 1, 1, 4]"}, [two] { max_pool2d(f({1, 1, 1, 4}), two); }},
      {"max_pool2d", Kind::shape, {"padding", "2"}, [two] { max_pool2d(f({1, 1, 4, 4}), two, {.padding = {2, 0}}); }},
      {"max_pool2d", Kind::shape, {"0"}, [] { max_pool2d(f({1, 1, 4, 4}), {0, 2}); }},
      {"max_pool2d", Kind::shape, {"stride"}, [two] { max_pool2d(f({1, 1, 4, 4}), two, {.stride = std::array<int64_t, 2>{0, 1}}); }},
      {"max_pool2d", Kind::dtype, {"i64"}, [two] { max_pool2d(i({1, 1, 4, 4}), two); }},
      {"max_pool2d_with_indices", Kind::shape, {"[3]"}, [two] { max_pool2d_with_indices(f({3}), two); }},
      {"avg_pool2d", Kind::shape, {"[2, 4]"}, [two] { avg_pool2d(f({2, 4}), two); }},
      {"avg_pool2d", Kind::shape, {"padding"}, [two] { avg_pool2d(f({1, 1, 4, 4}), two, {.padding = {0, 2}}); }},
      {"avg_pool2d", Kind::shape, {"dilation"}, [two] { avg_pool2d(f({1, 1, 4, 4}), two, {.dilation = {2, 1}}); }},
      {"avg_pool2d", Kind::dtype, {"i64"}, [two] { avg_pool2d(i({1, 1, 4, 4}), two); }},
      {"batch_norm", Kind::shape, {"[4]"}, [] { batch_norm(f({4}), {}, {}); }},
      {"batch_norm", Kind::shape, {"[2, 3]", "[4]"}, [] { batch_norm(f({2, 3}), {}, {}, f({4})); }},
      {"batch_norm", Kind::shape, {"[2, 3]", "[2]"}, [] { batch_norm(f({2, 3}), f({2}), f({2})); }},
      {"batch_norm", Kind::dtype, {"i64"}, [] { batch_norm(i({2, 3}), {}, {}); }},
      {"softmax", Kind::shape, {"2", "[2, 3]"}, [] { softmax(f({2, 3}), 2); }},
      {"log_softmax", Kind::shape, {"-3", "[2, 3]"}, [] { log_softmax(f({2, 3}), -3); }},
      {"softmax", Kind::dtype, {"i64"}, [] { softmax(i({2, 3}), 1); }},
      {"cross_entropy", Kind::shape, {"[3]"}, [] { cross_entropy(f({3}), i({3})); }},
      {"cross_entropy", Kind::shape, {"[2, 3]", "[4]"}, [] { cross_entropy(f({2, 3}), i({4})); }},
      {"cross_entropy", Kind::shape, {"[2, 3]", "[2, 4]"}, [] { cross_entropy(f({2, 3}), f({2, 4})); }},
      {"cross_entropy", Kind::dtype, {"i32"}, [] { cross_entropy(f({2, 3}), zeros({2}, {.dtype = Dtype::i32})); }},
      {"binary_cross_entropy", Kind::shape, {"[2]", "[3]"}, [] { binary_cross_entropy(f({2}), f({3})); }},
      {"binary_cross_entropy_with_logits", Kind::shape, {"[2]", "[3]"}, [] { binary_cross_entropy_with_logits(f({2}), f({3})); }},
      {"mse_loss", Kind::shape, {"[2]", "[3]"}, [] { mse_loss(f({2}), f({3})); }},
  };
}

std::vector<Bad> view_errors() {
  return {
      {"cat", Kind::shape, {"[2, 3]", "[2, 4]"}, [] { cat({f({2, 3}), f({2, 4})}, 0); }},
      {"cat", Kind::shape, {"[2, 3]", "[2]"}, [] { cat({f({2, 3}), f({2})}, 0); }},
      {"cat", Kind::shape, {"2", "[2, 3]"}, [] { cat({f({2, 3})}, 2); }},
      {"cat", Kind::shape, {}, [] { cat({}); }},
      {"stack", Kind::shape, {"[2]", "[3]"}, [] { stack({f({2}), f({3})}); }},
      {"stack", Kind::shape, {}, [] { stack({}); }},
      {"split", Kind::shape, {"0"}, [] { split(f({2, 3}), 0); }},
      {"split", Kind::shape, {"3", "[2, 3]"}, [] { split(f({2, 3}), 1, 3); }},
      {"split", Kind::shape, {"[2, 3]"}, [] { split(f({2, 3}), std::vector<int64_t>{1, 4}, 1); }},
      {"reshape", Kind::shape, {"[2, 3]", "[4]"}, [] { reshape(f({2, 3}), {4}); }},
      {"reshape", Kind::shape, {"[2, 3]", "-1"}, [] { reshape(f({2, 3}), {-1, -1}); }},
      {"reshape", Kind::shape, {"[2, 3]"}, [] { reshape(f({2, 3}), {4, -1}); }},
      {"view", Kind::shape, {"[6]"}, [] { f({2, 3}).t().view({6}); }},
      {"flatten", Kind::shape, {"[2, 3]"}, [] { flatten(f({2, 3}), 1, 0); }},
      {"flatten", Kind::shape, {"3", "[2, 3]"}, [] { flatten(f({2, 3}), 0, 3); }},
      {"transpose", Kind::shape, {"2", "[2, 3]"}, [] { transpose(f({2, 3}), 0, 2); }},
      {"permute", Kind::shape, {"[0, 0]", "[2, 3]"}, [] { permute(f({2, 3}), {0, 0}); }},
      {"permute", Kind::shape, {"[0]", "[2, 3]"}, [] { permute(f({2, 3}), {0}); }},
      {"expand", Kind::shape, {"[2, 3]", "[4, 3]"}, [] { expand(f({2, 3}), {4, 3}); }},
      {"expand", Kind::shape, {"[2, 3]", "[3]"}, [] { expand(f({2, 3}), {3}); }},
      {"expand", Kind::shape, {"-1"}, [] { expand(f({3}), {-1, 3}); }},
      {"squeeze", Kind::shape, {"2", "[2, 3]"}, [] { f({2, 3}).squeeze(2); }},
      {"unsqueeze", Kind::shape, {"4", "[2, 3]"}, [] { f({2, 3}).unsqueeze(4); }},
      {"unsqueeze", Kind::shape, {"[1, 1, 1, 1, 1, 1, 1, 1]"}, [] { f({1, 1, 1, 1, 1, 1, 1, 1}).unsqueeze(0); }},
      {"narrow", Kind::shape, {"[2, 3]", "4"}, [] { f({2, 3}).narrow(1, 0, 4); }},
      {"narrow", Kind::shape, {"[2, 3]", "-1"}, [] { f({2, 3}).narrow(1, 0, -1); }},
      {"slice", Kind::shape, {"0"}, [] { f({2, 3}).slice(1, 0, 2, 0); }},
      {"select", Kind::shape, {"2", "[2, 3]"}, [] { f({2, 3}).select(2, 0); }},
      {"t", Kind::shape, {"[2, 3, 4]"}, [] { f({2, 3, 4}).t(); }},
      {"index_select", Kind::dtype, {"f32"}, [] { index_select(f({2, 3}), 0, f({2})); }},
      {"index_select", Kind::shape, {"[1, 2]"}, [] { index_select(f({2, 3}), 0, i({1, 2})); }},
      {"index_select", Kind::shape, {"2", "[2, 3]"}, [] { index_select(f({2, 3}), 2, i({2})); }},
      {"gather", Kind::dtype, {"f32"}, [] { gather(f({2, 3}), 0, f({2, 3})); }},
      {"gather", Kind::shape, {"[2, 3]", "[2]"}, [] { gather(f({2, 3}), 0, i({2})); }},
      {"gather", Kind::shape, {"[2, 3]", "[1, 4]"}, [] { gather(f({2, 3}), 0, i({1, 4})); }},
      {"index_add", Kind::shape, {"[2, 3]", "[1, 4]"}, [] { index_add(f({2, 3}), 0, i({1}), f({1, 4})); }},
      {"index_add", Kind::shape, {"[2]", "[1, 3]"}, [] { index_add(f({2, 3}), 0, i({2}), f({1, 3})); }},
      {"index_add", Kind::dtype, {"f32", "f64"}, [] { index_add(f({2, 3}), 0, i({1}), d({1, 3})); }},
      {"scatter_add", Kind::shape, {"[2, 3]", "[3, 3]"}, [] { scatter_add(f({2, 3}), 0, i({2, 3}), f({3, 3})); }},
      {"scatter_add", Kind::dtype, {"f32"}, [] { scatter_add(f({2, 3}), 0, f({2, 3}), f({2, 3})); }},
      {"embedding", Kind::shape, {"[5]"}, [] { embedding(f({5}), i({2})); }},
      {"embedding", Kind::dtype, {"f32"}, [] { embedding(f({5, 2}), f({2})); }},
      {"one_hot", Kind::dtype, {"f32"}, [] { one_hot(f({2}), 3); }},
  };
}

std::vector<Bad> create_errors() {
  return {
      {"zeros", Kind::shape, {"[2, -1]"}, [] { zeros({2, -1}); }},
      {"ones", Kind::shape, {"[-3]"}, [] { ones({-3}); }},
      {"empty", Kind::shape, {"4611686018427387904"}, [] { empty({int64_t{1} << 62, 8}); }},
      {"full", Kind::shape, {"[-3]"}, [] { full({-3}, 1); }},
      {"arange", Kind::value, {"0"}, [] { arange(0, 3, 0); }},
      {"linspace", Kind::shape, {"-1"}, [] { linspace(0, 1, -1); }},
      {"eye", Kind::shape, {"-2"}, [] { eye(-2); }},
      {"tensor", Kind::shape, {"3", "[2, 2]"}, [] { tensor({1.f, 2.f, 3.f}, Shape{2, 2}); }},
      {"rand", Kind::shape, {"[-1]"}, [] { rand({-1}); }},
      {"rand", Kind::dtype, {"i64"}, [] { rand({2}, {.dtype = Dtype::i64}); }},
      {"randn", Kind::dtype, {"bool"}, [] { randn({2}, {.dtype = Dtype::bool_}); }},
      {"normal", Kind::value, {"-1"}, [] { normal({2}, 0, -1); }},
      {"uniform", Kind::value, {"2", "1"}, [] { uniform({2}, 2, 1); }},
      {"randint", Kind::value, {"5"}, [] { randint(5, 5, {2}); }},
      {"randperm", Kind::shape, {"-1"}, [] { randperm(-1); }},
      {"bernoulli", Kind::value, {"1.5"}, [] { bernoulli({2}, 1.5); }},
      {"dropout", Kind::value, {"-0.5"}, [] { dropout(f({2}), -0.5); }},
  };
}

class Errors : public OnDevice {
 protected:
  void check(const std::vector<Bad>& list) {
    for (const Bad& bad : list) {
      SCOPED_TRACE(bad.op);
      const Tensor probe = ones({2, 2});
      const NothingLeaks leaks(device_, bad.op);
      std::vector<std::string> parts = bad.parts;
      parts.push_back("[" + std::string(bad.op) + "]");
      for (int again = 0; again < 2; ++again) {  // the second time is as the first
        if (bad.kind == Kind::shape) expect_error<ShapeError>(bad.call, parts, bad.op);
        if (bad.kind == Kind::dtype) expect_error<DtypeError>(bad.call, parts, bad.op);
        if (bad.kind == Kind::value) expect_error<ValueError>(bad.call, parts, bad.op);
      }
      EXPECT_EQ(sum(probe).item(), 4);
    }
  }
};
TT_ON_EVERY_DEVICE(Errors);

TEST_P(Errors, Elementwise) { check(elementwise_errors()); }
TEST_P(Errors, Reductions) { check(reduce_errors()); }
TEST_P(Errors, MatricesAndLayers) { check(matrix_errors()); }
TEST_P(Errors, Views) { check(view_errors()); }
TEST_P(Errors, Factories) { check(create_errors()); }

}  // namespace
}  // namespace tinytorch::testing
