// Bad arguments of elementwise ops, reductions and factories. The rules of a row are in
// error_table.h.
#include <cmath>

#include "tests/error_table.h"

namespace tinytorch::testing {
namespace {

class Errors : public OnDevice {};
TT_ON_EVERY_DEVICE(Errors);

TEST_P(Errors, Elementwise) {
  ErrorTable t(device_);
  using Binary = Tensor (*)(const Tensor&, const Tensor&);
  const std::pair<const char*, Binary> binaries[] = {{"add", add},
                                                     {"sub", sub},
                                                     {"mul", mul},
                                                     {"div", div},
                                                     {"floor_divide", floor_divide},
                                                     {"remainder", remainder},
                                                     {"pow", pow},
                                                     {"maximum", maximum},
                                                     {"minimum", minimum},
                                                     {"eq", eq},
                                                     {"ne", ne},
                                                     {"lt", lt},
                                                     {"le", le},
                                                     {"gt", gt},
                                                     {"ge", ge}};
  for (const auto& [name, op] : binaries) {
    t.shape(name, {"[2, 3]", "[4]"}, [op = op] { op(f({2, 3}), f({4})); });
    t.shape(name, {"[2, 3, 1]", "[3, 3, 1]"}, [op = op] { op(f({2, 3, 1}), f({3, 3, 1})); });
    t.shape(name, {"[0]", "[2]"}, [op = op] { op(f({0}), f({2})); });
  }
  const std::pair<const char*, Binary> logic[] = {{"logical_and", logical_and},
                                                  {"logical_or", logical_or}};
  for (const auto& [name, op] : logic) {
    t.shape(name, {"[2]", "[3]"}, [op = op] { op(b({2}), b({3})); });
    t.dtype(name, {"f32"}, [op = op] { op(f({2}), f({2})); });
  }
  const std::pair<const char*, Binary> grads[] = {{"tanh_grad", tanh_grad},
                                                  {"sigmoid_grad", sigmoid_grad},
                                                  {"relu_grad", relu_grad},
                                                  {"gelu_grad", gelu_grad},
                                                  {"gelu_tanh_grad", gelu_tanh_grad}};
  for (const auto& [name, op] : grads)
    t.shape(name, {"[2, 3]", "[4]"}, [op = op] { op(f({2, 3}), f({4})); });
  t.dtype("logical_not", {"i64"}, [] { logical_not(i({2})); });
  t.dtype("where", {"f32"}, [] { where(f({2}), f({2}), f({2})); });
  t.shape("where", {"[2]", "[3]"}, [] { where(b({2}), f({3}), f({3})); });
  t.shape("where", {"[2, 2]", "[3]"}, [] { where(b({2, 2}), f({2, 2}), f({3})); });
  t.dtype("masked_fill", {"f32"}, [] { masked_fill(f({2}), f({2}), 0); });
  t.dtype("masked_fill", {"i64"}, [] { masked_fill(i({2}), b({2}), 0.5); });
  t.shape("masked_fill", {"[2, 3]", "[2]"}, [] { masked_fill(f({2, 3}), b({2}), 0); });
  t.value("clamp", {"2", "1"}, [] { clamp(f({2}), 2, 1); });
  t.value("clamp", {"nan"}, [] { clamp(f({2}), NAN, 1); });
  t.dtype("neg", {"bool"}, [] { neg(b({2})); });
}

TEST_P(Errors, Reductions) {
  ErrorTable t(device_);
  using Dims = Tensor (*)(const Tensor&, const Shape&, bool);
  const std::pair<const char*, Dims> over[] = {
      {"sum", sum}, {"mean", mean}, {"amax", amax}, {"amin", amin}};
  for (const auto& [name, op] : over) {
    t.shape(name, {"dim 2", "rank 2"}, [op = op] { op(f({2, 3}), {2}, false); });
    t.shape(name, {"dim -3", "rank 2"}, [op = op] { op(f({2, 3}), {-3}, false); });
    t.shape(name, {"[1, -1]"}, [op = op] { op(f({2, 3}), {1, -1}, false); });
  }
  t.shape("var", {"dim 5", "rank 2"}, [] { var(f({2, 3}), {5}); });
  t.dtype("var", {"i64"}, [] { var(i({2, 3}), {0}); });
  t.dtype("mean", {"i64"}, [] { mean(i({2})); });
  t.shape("amax", {"[2, 0]"}, [] { amax(f({2, 0}), {1}); });
  t.shape("amin", {"[0]"}, [] { amin(f({0}), {}); });
  t.shape("max", {"[0]"}, [] { max(f({0})); });
  t.shape("min", {"[0, 3]"}, [] { min(f({0, 3})); });
  t.shape("max", {"[2, 0]"}, [] { max(f({2, 0}), 1); });
  t.shape("max", {"dim 4", "rank 2"}, [] { max(f({2, 3}), 4); });
  t.shape("min", {"dim -4", "rank 2"}, [] { min(f({2, 3}), -4); });
  t.shape("argmax", {"[0]"}, [] { argmax(f({0})); });
  t.shape("argmin", {"dim 2", "rank 2"}, [] { argmin(f({2, 3}), 2); });
  t.dtype("all", {"f32"}, [] { tinytorch::all(f({2})); });
  t.dtype("any", {"i64"}, [] { tinytorch::any(i({2})); });
  t.shape("sum_to", {"[2, 3]", "[2]"}, [] { sum_to(f({2, 3}), {2}); });
  t.shape("sum_to", {"[3]", "[2, 3]"}, [] { sum_to(f({3}), {2, 3}); });
}

TEST_P(Errors, Factories) {
  ErrorTable t(device_);
  t.shape("zeros", {"[2, -1]"}, [] { zeros({2, -1}); });
  t.shape("ones", {"[-3]"}, [] { ones({-3}); });
  t.shape("empty", {"4611686018427387904"}, [] { empty({int64_t{1} << 62, 8}); });
  t.shape("full", {"[-3]"}, [] { full({-3}, 1); });
  t.value("arange", {"0"}, [] { arange(0, 3, 0); });
  t.value("linspace", {"-1"}, [] { linspace(0, 1, -1); });
  t.shape("eye", {"-2"}, [] { eye(-2); });
  t.shape("tensor", {"3", "[2, 2]"}, [] { tensor({1.f, 2.f, 3.f}, Shape{2, 2}); });
  t.shape("rand", {"[-1]"}, [] { rand({-1}); });
  t.dtype("rand", {"i64"}, [] { rand({2}, {.dtype = Dtype::i64}); });
  t.dtype("randn", {"bool"}, [] { randn({2}, {.dtype = Dtype::bool_}); });
  t.value("normal", {"-1"}, [] { normal({2}, 0, -1); });
  t.value("uniform", {"2", "1"}, [] { uniform({2}, 2, 1); });
  t.value("randint", {"5"}, [] { randint(5, 5, {2}); });
  t.value("randperm", {"-1"}, [] { randperm(-1); });
  t.value("bernoulli", {"1.5"}, [] { bernoulli({2}, 1.5); });
  t.value("dropout", {"-0.5"}, [] { dropout(f({2}), -0.5); });
}

// Sizes whose product is beyond 64 bits, by every way to a new tensor or view.
TEST_P(Errors, SizesBeyondMemory) {
  constexpr int64_t kHuge = int64_t{1} << 40;
  ErrorTable t(device_);
  const Tensor one = f({1}), row = one.expand({kHuge});
  t.shape("linspace", {"4611686018427387904"}, [] { linspace(0, 1, int64_t{1} << 62); });
  t.shape("randperm", {"2305843009213693952"}, [] { randperm(int64_t{1} << 61); });
  t.shape("new tensor", {"[1099511627776, 1099511627776]"}, [&] { add(row.unsqueeze(1), row); });
  t.shape("expand", {"[1099511627776, 1099511627776]"}, [&] { one.expand({kHuge, kHuge}); });
  t.shape("reshape", {"[7, 7905747460161236407]"},  // 1 modulo 2^64
          [&] {
            one.reshape({7, 7905747460161236407});
          });
  EXPECT_EQ(arange(INT64_MAX - 2, INT64_MAX, 1).numel(), 2);
  EXPECT_EQ(arange((int64_t{1} << 53) + 1, (int64_t{1} << 53) + 2).numel(), 1);
  EXPECT_EQ(arange(int64_t{1} << 53, (int64_t{1} << 53) + 3).numel(), 3);
  EXPECT_EQ(arange(5, -6, -5).to_vector<int64_t>(), (std::vector<int64_t>{5, 0, -5}));
  EXPECT_EQ(arange(5).slice(0, 0, 5, INT64_MAX).numel(), 1);
}

}  // namespace
}  // namespace tinytorch::testing
