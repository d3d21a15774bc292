// Loops of the floating unary words, for float.
#include "kernels/cpu/elementwise.h"

namespace tinytorch::TT_KERNEL_NS {

// The exponent is hidden from the compiler in a vector: what it knows to be constant it takes as a
// reason to split the loop, which then is not vectorised.
template <class T>
TT_INLINE void pow_loop(T* out, const T* x, int64_t n, T exponent) {
  T exponents[kLanes<T>];
  store(exponents, splat(exponent));
  asm("" : "+m"(exponents));
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    const int64_t count = smaller<int64_t>(kLanes<T>, n - i);
    deep_loop(out + i, x + i, exponents, count,
              [](T v, T e) { return unary_pow_scalar::fast(v, e); });
  }
}

template <class Word, class T>
int64_t unary_loop(void* out, const void* x, const void*, const void*, int64_t n,
                   const void* constants) {
  T* to = static_cast<T*>(out);
  const T* from = static_cast<const T*>(x);
  if constexpr (kSame<Word, unary_pow_scalar>) {
    pow_loop(to, from, n, static_cast<const UnaryConstants<T>*>(constants)->a);
  } else if constexpr (kSame<Word, unary_rdiv_scalar>) {
    const T a = static_cast<const UnaryConstants<T>*>(constants)->a;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = Word::fast(from[i], a);
  } else if constexpr (kSame<Word, unary_sqrt>) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = Word::fast(from[i]);
  } else {
    deep_loop(to, from, n, [](T v) { return Word::fast(v); });
  }
  return -1;
}

#define TT_INSTANCE(name, T)                                                                 \
  template int64_t unary_loop<unary_##name, T>(void*, const void*, const void*, const void*, \
                                               int64_t, const void*);
#define TT_WORDS_N(name)
#define TT_WORDS_F(name) TT_INSTANCE(name, float)
#define TT_WORDS_P(name)
#define TT_WORDS_B(name)
#define TT_UNARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY

}  // namespace tinytorch::TT_KERNEL_NS
