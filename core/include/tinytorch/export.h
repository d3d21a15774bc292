// TT_API marks what libtinytorch.so exports; everything else is hidden. TT_INLINE is for small
// functions in headers that kernels include: they must never become a shared weak symbol, because
// kernels are compiled once per instruction set.
#pragma once

#define TT_API __attribute__((visibility("default")))
#define TT_INLINE [[gnu::always_inline]] inline
#define TT_COLD [[gnu::noinline, gnu::cold]]
#define TT_LIKELY(x) __builtin_expect(!!(x), 1)
#define TT_UNLIKELY(x) __builtin_expect(!!(x), 0)
