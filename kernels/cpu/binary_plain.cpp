// Loops of the binary words over numbers of any kind. Integer division refuses a zero divisor; its
// result is then 0.
#include "kernels/cpu/elementwise.h"

namespace tinytorch::TT_KERNEL_NS {

template <class Word>
constexpr bool kDivides = kSame<Word, binary_floor_divide> || kSame<Word, binary_remainder>;

template <class T>
TT_INLINE int64_t first_zero(const T* b, int64_t n) {
  T any = 0;
  for (int64_t i = 0; i < n; ++i) any = static_cast<T>(any | T(b[i] == 0));
  if (TT_LIKELY(!any)) return -1;
  int64_t i = 0;
  while (b[i] != 0) ++i;
  return i;
}

template <class Word, class T>
int64_t binary_loop(void* out, const void* x, const void* y, const void*, int64_t n, const void*) {
  T* to = static_cast<T*>(out);
  const T* a = static_cast<const T*>(x);
  const T* b = static_cast<const T*>(y);
  int64_t refused = -1;  // looked for first: the output may be the divisor
  if constexpr (kDivides<Word> && !kIsFloat<T>) refused = first_zero(b, n);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) to[i] = Word::fast(a[i], b[i]);
  return refused;
}

#define TT_INSTANCE(name, T)                                                                   \
  template int64_t binary_loop<binary_##name, T>(void*, const void*, const void*, const void*, \
                                                 int64_t, const void*);
#define TT_WORDS_N(name)    \
  TT_INSTANCE(name, float)  \
  TT_INSTANCE(name, double) \
  TT_INSTANCE(name, int64_t) TT_INSTANCE(name, int32_t) TT_INSTANCE(name, uint8_t)
#define TT_WORDS_F(name)
#define TT_WORDS_I(name) \
  TT_INSTANCE(name, int64_t) TT_INSTANCE(name, int32_t) TT_INSTANCE(name, uint8_t)
#define TT_WORDS_C(name)
#define TT_WORDS_B(name)
#define TT_BINARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY

}  // namespace tinytorch::TT_KERNEL_NS
