// Integer and bool forms of the words: equal to arithmetic in a wide integer whose low bits are
// kept; division rounds down, and neither a zero divisor nor the smallest number divided by -1
// traps.
#include "tests/kernels/functor_test.h"

namespace tinytorch {
namespace {

using namespace oracle;
__extension__ typedef __int128 Wide;

class IntegerFunctors : public IsaTest {
 protected:
  template <class T>
  void check_type();
};

template <class T>
std::vector<T> integers() {
  std::vector<T> v;
  using L = std::numeric_limits<T>;
  if (sizeof(T) == 1) {
    for (int i = 0; i < 256; ++i) v.push_back(static_cast<T>(i));
    return v;
  }
  for (int i = -9; i <= 9; ++i) v.push_back(static_cast<T>(i));
  for (int i = 0; i < 4; ++i)
    v.push_back(static_cast<T>(L::min() + i)), v.push_back(static_cast<T>(L::max() - i));
  v.push_back(L::max() / 2), v.push_back(L::min() / 2), v.push_back(L::max() / 3);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; ++i) v.push_back(static_cast<T>(random() >> (i % 60)));
  return v;
}

template <class T>
void IntegerFunctors::check_type() {
  constexpr int kType = static_cast<int>(dtype_of<T>);
  const std::vector<T> values = integers<T>();
  std::vector<T> a, b;
  for (const T x : values) {
    for (const T y : values) a.push_back(x), b.push_back(y);
  }
#define TT_BINARY(name, types)                                                               \
  if constexpr (kTakes<WordTypes::types, T>) {                                               \
    using R = decltype(binary_##name::fast(T(), T()));                                       \
    std::vector<std::conditional_t<std::is_same_v<R, bool>, uint8_t, R>> got(a.size());      \
    loops().binary[static_cast<int>(BinaryOp::name)][kType](got.data(), a.data(), b.data(),  \
                                                            static_cast<int64_t>(a.size())); \
    for (size_t i = 0; i < a.size(); ++i) {                                                  \
      ASSERT_EQ(got[i], static_cast<R>(binary_##name::exact(Wide(a[i]), Wide(b[i]))))        \
          << #name << " " << +a[i] << " " << +b[i];                                          \
    }                                                                                        \
  }
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY

  for (const int64_t p : {int64_t{0}, int64_t{3}, int64_t{-2}, int64_t{300}, int64_t{1} << 40}) {
    const UnaryParams params{{0, p}, {0, p + 100}};
#define TT_UNARY(name, types)                                                                     \
  if constexpr (kTakes<WordTypes::types, T>) {                                                    \
    using R = decltype(unary_##name::fast(T()));                                                  \
    std::vector<std::conditional_t<std::is_same_v<R, bool>, uint8_t, R>> got(values.size());      \
    loops().unary[static_cast<int>(UnaryOp::name)][kType](                                        \
        got.data(), values.data(), static_cast<int64_t>(values.size()), params);                  \
    for (size_t i = 0; i < values.size(); ++i) {                                                  \
      const Wide x = values[i];                                                                   \
      Wide want = unary_##name::exact(x, Wide(p), Wide(p + 100));                                 \
      if (UnaryOp::name ==                                                                        \
          UnaryOp::clamp) { /* bounds outside the type: the nearest number inside */              \
        want = std::min<Wide>(std::max<Wide>(want, std::numeric_limits<T>::min()),                \
                              std::numeric_limits<T>::max());                                     \
      }                                                                                           \
      ASSERT_EQ(got[i], static_cast<R>(want)) << #name << " " << +values[i] << " constant " << p; \
    }                                                                                             \
  }
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
  }
}

TEST_P(IntegerFunctors, I64) { check_type<int64_t>(); }
TEST_P(IntegerFunctors, I32) { check_type<int32_t>(); }
TEST_P(IntegerFunctors, U8) { check_type<uint8_t>(); }

TEST_P(IntegerFunctors, DivisionRoundsDown) {
  const auto divide = [&](int32_t a, int32_t b) {
    return run<int32_t>(
        loops().binary[static_cast<int>(BinaryOp::floor_divide)][static_cast<int>(Dtype::i32)],
        std::vector<int32_t>{a}, std::vector<int32_t>{b})[0];
  };
  const auto remainder = [&](int32_t a, int32_t b) {
    return run<int32_t>(
        loops().binary[static_cast<int>(BinaryOp::remainder)][static_cast<int>(Dtype::i32)],
        std::vector<int32_t>{a}, std::vector<int32_t>{b})[0];
  };
  EXPECT_EQ(divide(7, 2), 3);
  EXPECT_EQ(divide(-7, 2), -4);
  EXPECT_EQ(divide(7, -2), -4);
  EXPECT_EQ(divide(-7, -2), 3);
  EXPECT_EQ(remainder(-7, 2), 1);
  EXPECT_EQ(remainder(7, -2), -1);
  EXPECT_EQ(divide(INT32_MIN, -1), INT32_MIN);
  EXPECT_EQ(remainder(INT32_MIN, -1), 0);
  EXPECT_EQ(divide(5, 0), 0);
  EXPECT_EQ(remainder(5, 0), 0);
}

TEST_P(IntegerFunctors, Bool) {
  const uint8_t a[4] = {0, 0, 1, 1}, b[4] = {0, 1, 0, 1};
  const auto check = [&](BinaryOp op, std::vector<uint8_t> want) {
    std::vector<uint8_t> got(4, 2);
    loops().binary[static_cast<int>(op)][static_cast<int>(Dtype::bool_)](got.data(), a, b, 4);
    EXPECT_EQ(got, want) << static_cast<int>(op);
  };
  check(BinaryOp::logical_and, {0, 0, 0, 1});
  check(BinaryOp::logical_or, {0, 1, 1, 1});
  check(BinaryOp::eq, {1, 0, 0, 1});
  check(BinaryOp::lt, {0, 1, 0, 0});
  uint8_t not_a[4] = {2, 2, 2, 2};
  loops().unary[static_cast<int>(UnaryOp::logical_not)][static_cast<int>(Dtype::bool_)](not_a, a, 4,
                                                                                        {});
  EXPECT_EQ(not_a[0], 1);
  EXPECT_EQ(not_a[3], 0);
}

TT_FOR_EACH_ISA(IntegerFunctors);

}  // namespace
}  // namespace tinytorch
