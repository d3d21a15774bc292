// Element types. f32, f64, i64, i32, u8 and bool compute; bf16 and f16 are storage that casts to
// and from the others. Promotion follows PyTorch (see result_type in ops/elementwise.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include <tinytorch/export.h>

namespace tinytorch {

enum class Dtype : uint8_t { f32, f64, bf16, f16, i64, i32, u8, bool_ };
inline constexpr int kDtypeCount = 8;

// How products of f32 matrices may be computed: exactly in f32, or with operands rounded to 10 bits
// of mantissa (TensorFloat-32) on devices where that is faster.
enum class MatmulPrecision : uint8_t { f32, tf32 };

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

TT_INLINE constexpr size_t size_of(Dtype d) {
  constexpr uint8_t kSizes[kDtypeCount] = {4, 8, 2, 2, 8, 4, 1, 1};
  return kSizes[static_cast<int>(d)];
}
TT_INLINE constexpr bool is_floating(Dtype d) { return d <= Dtype::f16; }
TT_INLINE constexpr bool is_integral(Dtype d) { return d >= Dtype::i64; }  // bool included
TT_INLINE constexpr bool is_storage_only(Dtype d) { return d == Dtype::bf16 || d == Dtype::f16; }
TT_INLINE constexpr const char* name_of(Dtype d) {
  constexpr const char* kNames[kDtypeCount] = {"f32", "f64", "bf16", "f16",
                                               "i64", "i32", "u8",   "bool"};
  return static_cast<int>(d) < kDtypeCount ? kNames[static_cast<int>(d)] : "no dtype";
}

template <class T>
struct DtypeOf;
template <>
struct DtypeOf<float> {
  static constexpr Dtype value = Dtype::f32;
};
template <>
struct DtypeOf<double> {
  static constexpr Dtype value = Dtype::f64;
};
template <>
struct DtypeOf<BFloat16> {
  static constexpr Dtype value = Dtype::bf16;
};
template <>
struct DtypeOf<Float16> {
  static constexpr Dtype value = Dtype::f16;
};
template <>
struct DtypeOf<int64_t> {
  static constexpr Dtype value = Dtype::i64;
};
template <>
struct DtypeOf<int32_t> {
  static constexpr Dtype value = Dtype::i32;
};
template <>
struct DtypeOf<uint8_t> {
  static constexpr Dtype value = Dtype::u8;
};
template <>
struct DtypeOf<bool> {
  static constexpr Dtype value = Dtype::bool_;
};
template <class T>
inline constexpr Dtype dtype_of = DtypeOf<T>::value;

}  // namespace tinytorch
