// Dtypes of results, against tables that PyTorch wrote (tests/data/promotion.csv,
// result_dtypes.csv). Runs in the root of the source tree.
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

std::vector<std::vector<std::string>> read_csv(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path << ": run this in the root of the source tree";
  std::vector<std::vector<std::string>> rows;
  std::string text;
  std::getline(file, text);  // names of the columns
  while (std::getline(file, text)) {
    std::istringstream line(text);
    rows.emplace_back();
    for (std::string cell; std::getline(line, cell, ',');) rows.back().push_back(cell);
  }
  return rows;
}

Dtype parse(const std::string& name) {
  for (int d = 0; d < kDtypeCount; ++d)
    if (name == name_of(static_cast<Dtype>(d))) return static_cast<Dtype>(d);
  ADD_FAILURE() << "no dtype " << name;
  return Dtype::f32;
}

class Promotion : public OnDevice {};
TT_ON_EVERY_DEVICE(Promotion);

TEST_P(Promotion, ResultType) {
  const std::map<std::string, Scalar> numbers = {{"bool", true}, {"int", 1}, {"float", 1.5}};
  int rows = 0;
  for (const auto& row : read_csv("tests/data/promotion.csv")) {
    SCOPED_TRACE(row[0] + " " + row[1] + " " + row[2]);
    ++rows;
    const Tensor one = ones({2}, {.dtype = parse(row[1])}),
                 zero = ones({}, {.dtype = parse(row[1])});
    const auto is = [&](Dtype got) { EXPECT_EQ(name_of(got), row[3]); };
    if (row[0] == "tensor_number") {
      is(result_type(one, numbers.at(row[2])));
    } else if (row[0] == "rank0_number") {
      is(result_type(zero, numbers.at(row[2])));
    } else {
      const Dtype other = parse(row[2]);
      const Tensor two = ones({2}, {.dtype = other}), two_zero = ones({}, {.dtype = other});
      if (row[0] == "tensor_tensor") {
        is(result_type(one, two));
        is(promote(parse(row[1]), other));
      }
      if (row[0] == "tensor_rank0") {
        is(result_type(one, two_zero));
        is(result_type(two_zero, one));
      }
      if (row[0] == "rank0_rank0") is(result_type(zero, two_zero));
    }
  }
  EXPECT_EQ(rows, 144);
}

TEST_P(Promotion, DtypesOfResults) {
  using One = Tensor (*)(const Tensor&);
  using Two = Tensor (*)(const Tensor&, const Tensor&);
  const std::map<std::string, One> unary = {
      {"neg", neg},   {"abs", abs},   {"sign", sign},       {"square", square}, {"exp", exp},
      {"sqrt", sqrt}, {"tanh", tanh}, {"sigmoid", sigmoid}, {"relu", relu},     {"isnan", isnan},
      {"sum", sum},   {"mean", mean}, {"max", max},         {"argmax", argmax}};
  const std::map<std::string, Two> binary = {
      {"add", add},
      {"sub", sub},
      {"mul", mul},
      {"div", div},
      {"floor_divide", floor_divide},
      {"remainder", remainder},
      {"pow", pow},
      {"maximum", maximum},
      {"eq", eq},
      {"lt", lt},
      {"cat",
       [](const Tensor& a, const Tensor& b) {
         return cat({a, b});
       }},
      {"where", [](const Tensor& a, const Tensor& b) { return where(eq(a, b), a, b); }}};
  for (const auto& [op, a, b, result] : [] {
         std::vector<std::tuple<std::string, std::string, std::string, std::string>> out;
         for (const auto& r : read_csv("tests/data/result_dtypes.csv"))
           out.emplace_back(r[0], r[1], r[2], r[3]);
         return out;
       }()) {
    SCOPED_TRACE(op + " " + a + " " + b);
    // Ours beyond PyTorch: sub and argmax count true as 1, pow of integers gives real numbers;
    // short of it: no square of bool.
    const bool number_of_bool = b == "-" && a == "bool" && (op == "square" || op == "sign");
    const bool whole_pow = op == "pow" && is_integral(parse(a)) && is_integral(parse(b));
    const Tensor x = ones({2}, {.dtype = parse(a)});
    const auto run = [&] {
      return b == "-" ? unary.at(op)(x) : binary.at(op)(x, ones({2}, {.dtype = parse(b)}));
    };
    if (result == "error") {
      const bool mixed = a != b;
      if ((op == "sub" && mixed) || op == "argmax" || op == "pow") continue;
      EXPECT_THROW(run(), DtypeError);
    } else if (!number_of_bool) {
      EXPECT_EQ(name_of(run().dtype()), whole_pow ? "f32" : result);
    }
  }
}

TEST_P(Promotion, NumbersKeepIntegersExact) {
  const int64_t large = (int64_t{1} << 53) + 1;
  const Tensor t = full({2}, large, {.dtype = Dtype::i64});
  EXPECT_EQ(add(t, 1).to_vector<int64_t>()[0], large + 1);
  EXPECT_EQ(mul(t, 3).to_vector<int64_t>()[0], large * 3);
  EXPECT_TRUE(all(eq(t, large)));
  EXPECT_FALSE(any(eq(t, large - 1)));
  EXPECT_EQ(name_of(add(t, 0.5).dtype()), name_of(Dtype::f32));
  EXPECT_EQ(name_of(div(t, 2).dtype()), name_of(Dtype::f32));
}

TEST_P(Promotion, IntegersWrapAndDoNotTrap) {
  const Tensor least = full({2}, INT64_MIN, {.dtype = Dtype::i64}),
               minus = full({2}, -1, {.dtype = Dtype::i64});
  EXPECT_EQ(floor_divide(least, minus).to_vector<int64_t>()[0], INT64_MIN);
  EXPECT_EQ(remainder(least, minus).to_vector<int64_t>()[0], 0);
  EXPECT_EQ(neg(least).to_vector<int64_t>()[0], INT64_MIN);
  EXPECT_EQ(abs(least).to_vector<int64_t>()[0], INT64_MIN);
  EXPECT_EQ(add(full({1}, INT32_MAX, {.dtype = Dtype::i32}), 1).to_vector<int64_t>()[0], INT32_MIN);
  EXPECT_EQ(add(full({1}, 250, {.dtype = Dtype::u8}), 10).to_vector<int64_t>()[0], 4);
  EXPECT_EQ(sub(full({1}, 1, {.dtype = Dtype::u8}), 2).to_vector<int64_t>()[0], 255);
}

TEST_P(Promotion, BroadcastShapes) {
  EXPECT_EQ(broadcast_shapes({2, 1, 4}, {3, 1}).str(), "[2, 3, 4]");
  EXPECT_EQ(broadcast_shapes({}, {3}).str(), "[3]");
  EXPECT_EQ(broadcast_shapes({0}, {1}).str(), "[0]");
  EXPECT_EQ(broadcast_shapes({}, {}).str(), "[]");
  EXPECT_THROW(broadcast_shapes({2}, {3}), ShapeError);
  EXPECT_THROW(broadcast_shapes({0}, {2}), ShapeError);
}

// A difference is computed as a sum with the negated number: of a zero the sign must survive, and a
// number without an integer negative too.
TEST(Scalars, DifferencesKeepTheSign) {
  for (const std::string& name : test_devices()) {
    const TensorOptions on{.device = Device(name)};
    const Tensor zero = full({1}, -0.0, on);
    EXPECT_TRUE(std::signbit(sub(zero, 0).item<float>())) << name;
    EXPECT_TRUE(std::signbit(zero.clone().sub_(0).item<float>())) << name;
    const int64_t lowest = std::numeric_limits<int64_t>::min();
    EXPECT_EQ(sub(zero, lowest).item<float>(), 0x1p63f) << name;
    EXPECT_EQ(zero.clone().sub_(lowest).item<float>(), 0x1p63f) << name;
  }
}

}  // namespace
}  // namespace tinytorch::testing
