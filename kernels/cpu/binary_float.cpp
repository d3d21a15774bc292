// Loops of the floating binary words.
#include "kernels/cpu/elementwise.h"

namespace tinytorch::TT_KERNEL_NS {

// Words that are longer than a few instructions.
template <class Word>
constexpr bool kDeep =
    kSame<Word, binary_pow> || kSame<Word, binary_gelu_grad> || kSame<Word, binary_gelu_tanh_grad>;

template <class Word, class T>
int64_t binary_loop(void* out, const void* x, const void* y, const void*, int64_t n, const void*) {
  T* to = static_cast<T*>(out);
  const T* a = static_cast<const T*>(x);
  const T* b = static_cast<const T*>(y);
  if constexpr (kDeep<Word>) {
    deep_loop(to, a, b, n, [](T u, T v) { return Word::fast(u, v); });
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = Word::fast(a[i], b[i]);
  }
  return -1;
}

#define TT_INSTANCE(name, T)                                                                   \
  template int64_t binary_loop<binary_##name, T>(void*, const void*, const void*, const void*, \
                                                 int64_t, const void*);
#define TT_WORDS_N(name)
#define TT_WORDS_F(name) TT_INSTANCE(name, float) TT_INSTANCE(name, double)
#define TT_WORDS_I(name)
#define TT_WORDS_C(name)
#define TT_WORDS_B(name)
#define TT_BINARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY

}  // namespace tinytorch::TT_KERNEL_NS
