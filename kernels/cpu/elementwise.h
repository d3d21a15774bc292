// The inner loops of `unary` and `binary`: one function per word and dtype. They are declared here,
// instantiated in the files unary_*.cpp and binary_*.cpp by the dtype letter of elementwise.def,
// and put into tables by elementwise_unary.cpp and elementwise_binary.cpp. A new word needs no line
// here.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/cpu/nest.h"

namespace tinytorch::TT_KERNEL_NS {

template <class Word, class T>
int64_t unary_loop(void* out, const void* x, const void*, const void*, int64_t n,
                   const void* constants);
template <class Word, class T>
int64_t binary_loop(void* out, const void* x, const void* y, const void*, int64_t n, const void*);

// The constants of a unary word in its element type.
template <class T>
struct UnaryConstants {
  T a, b;
};

// out[i] = f(x[i]) for long formulas: whole vectors only, the last one through a buffer. A scalar
// copy of the formula for the rest would double the code and be slower than a whole vector.
template <class T, class F>
TT_INLINE void deep_loop(T* out, const T* x, int64_t n, F f) {
  constexpr int kStep = kLanes<T>;
  for (int64_t i = 0; i < n; i += kStep) {
    alignas(64) T x_part[kStep], out_part[kStep];
    const bool part = TT_UNLIKELY(n - i < kStep);
    if (part) store(x_part, load_part(x + i, n - i, splat(T(1))));
    const T* from = part ? x_part : x + i;
    T* to = part ? out_part : out + i;
#pragma GCC ivdep
    for (int k = 0; k < kStep; ++k) to[k] = f(from[k]);
    if (part) store_part(out + i, n - i, load(out_part));
  }
}
// out[i] = f(x[i], y[i]).
template <class T, class F>
TT_INLINE void deep_loop(T* out, const T* x, const T* y, int64_t n, F f) {
  constexpr int kStep = kLanes<T>;
  for (int64_t i = 0; i < n; i += kStep) {
    alignas(64) T x_part[kStep], y_part[kStep], out_part[kStep];
    const bool part = TT_UNLIKELY(n - i < kStep);
    if (part) {
      store(x_part, load_part(x + i, n - i, splat(T(1))));
      store(y_part, load_part(y + i, n - i, splat(T(1))));
    }
    const T* from = part ? x_part : x + i;
    const T* with = part ? y_part : y + i;
    T* to = part ? out_part : out + i;
#pragma GCC ivdep
    for (int k = 0; k < kStep; ++k) to[k] = f(from[k], with[k]);
    if (part) store_part(out + i, n - i, load(out_part));
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
