// Loops of the unary words over numbers of any kind, of the predicates and of the words over bool
// (which is read as u8).
#include "kernels/cpu/elementwise.h"

namespace tinytorch::TT_KERNEL_NS {

template <class Word, class T>
int64_t unary_loop(void* out, const void* x, const void*, const void*, int64_t n,
                   const void* constants) {
  const UnaryConstants<T> c = *static_cast<const UnaryConstants<T>*>(constants);
  auto* to = static_cast<decltype(Word::template fast<T>(T()))*>(out);
  const T* from = static_cast<const T*>(x);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) to[i] = Word::template fast<T>(from[i], c.a, c.b);
  return -1;
}

#define TT_INSTANCE(name, T)                                                                 \
  template int64_t unary_loop<unary_##name, T>(void*, const void*, const void*, const void*, \
                                               int64_t, const void*);
#define TT_WORDS_N(name)    \
  TT_INSTANCE(name, float)  \
  TT_INSTANCE(name, double) \
  TT_INSTANCE(name, int64_t) TT_INSTANCE(name, int32_t) TT_INSTANCE(name, uint8_t)
#define TT_WORDS_F(name)
#define TT_WORDS_P(name) TT_WORDS_N(name)
#define TT_WORDS_B(name) TT_INSTANCE(name, uint8_t)
#define TT_UNARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY

}  // namespace tinytorch::TT_KERNEL_NS
