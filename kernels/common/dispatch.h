// From a runtime dtype or word to a type: with_dtype(view.dtype, [&](auto tag) { using T = typename
// decltype(tag)::Type; ... }). A dtype outside the list does nothing: core has refused it.
#pragma once

#include <tinytorch/backend/params.h>
#include <tinytorch/dtype.h>

#include "kernels/common/functors.h"

namespace tinytorch::TT_KERNEL_NS {

template <class T>
struct Tag {
  using Type = T;
};

template <class F>
TT_INLINE void with_float(Dtype d, F&& f) {  // f32, f64
  if (d == Dtype::f32) return f(Tag<float>{});
  if (d == Dtype::f64) return f(Tag<double>{});
}
template <class F>
TT_INLINE void with_integer(Dtype d, F&& f) {  // i64, i32, u8
  if (d == Dtype::i64) return f(Tag<int64_t>{});
  if (d == Dtype::i32) return f(Tag<int32_t>{});
  if (d == Dtype::u8) return f(Tag<uint8_t>{});
}
template <class F>
TT_INLINE void with_numeric(Dtype d, F&& f) {  // f32, f64, i64, i32, u8
  if (d <= Dtype::f64) return with_float(d, f);
  with_integer(d, f);
}
template <class F>
TT_INLINE void with_compute(Dtype d, F&& f) {  // numeric and bool
  if (d == Dtype::bool_) return f(Tag<bool>{});
  with_numeric(d, f);
}
template <class F>
TT_INLINE void with_any(Dtype d, F&& f) {  // all eight
  if (d == Dtype::bf16) return f(Tag<BFloat16>{});
  if (d == Dtype::f16) return f(Tag<Float16>{});
  with_compute(d, f);
}
// For moving elements without reading them: an unsigned integer of the element's size.
template <class F>
TT_INLINE void with_size(Dtype d, F&& f) {
  const size_t size = size_of(d);
  if (size == 1) return f(Tag<uint8_t>{});
  if (size == 2) return f(Tag<uint16_t>{});
  if (size == 4) return f(Tag<uint32_t>{});
  f(Tag<uint64_t>{});
}

// Which dtypes a word takes, from the second column of elementwise.def.
enum class WordTypes { N, F, I, C, P, B };
template <class T>
inline constexpr bool kIsInteger = !kIsFloat<T> && !kIsHalf<T> && !kSame<T, bool>;
template <WordTypes types, class T>
inline constexpr bool kTakes = types == WordTypes::N   ? kIsFloat<T> || kIsInteger<T>
                               : types == WordTypes::F ? kIsFloat<T>
                               : types == WordTypes::I ? kIsInteger<T>
                               : types == WordTypes::B ? kSame<T, bool>
                                                       : !kIsHalf<T>;  // C, P

}  // namespace tinytorch::TT_KERNEL_NS
