// Loops of the comparisons, and of the words over bool (which is read as u8).
#include "kernels/cpu/elementwise.h"

namespace tinytorch::TT_KERNEL_NS {

template <class Word, class T>
int64_t binary_loop(void* out, const void* x, const void* y, const void*, int64_t n, const void*) {
  auto* to = static_cast<decltype(Word::fast(T(), T()))*>(out);
  const T* a = static_cast<const T*>(x);
  const T* b = static_cast<const T*>(y);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) to[i] = Word::fast(a[i], b[i]);
  return -1;
}

#define TT_INSTANCE(name, T)                                                                   \
  template int64_t binary_loop<binary_##name, T>(void*, const void*, const void*, const void*, \
                                                 int64_t, const void*);
#define TT_WORDS_N(name)
#define TT_WORDS_F(name)
#define TT_WORDS_I(name)
#define TT_WORDS_C(name)    \
  TT_INSTANCE(name, float)  \
  TT_INSTANCE(name, double) \
  TT_INSTANCE(name, int64_t) TT_INSTANCE(name, int32_t) TT_INSTANCE(name, uint8_t)
#define TT_WORDS_B(name) TT_INSTANCE(name, uint8_t)
#define TT_BINARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY

}  // namespace tinytorch::TT_KERNEL_NS
