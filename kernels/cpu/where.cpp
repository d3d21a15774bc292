// The row `where`, by element size: nothing is computed, so dtypes do not matter.
#include "kernels/common/dispatch.h"
#include "kernels/cpu/nest.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

template <class U>
int64_t where_loop(void* out, const void* cond, const void* a, const void* b, int64_t n,
                   const void*) {
  U* to = static_cast<U*>(out);
  const uint8_t* choice = static_cast<const uint8_t*>(cond);
  const U* x = static_cast<const U*>(a);
  const U* y = static_cast<const U*>(b);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const U mask = static_cast<U>(0) - static_cast<U>(choice[i] != 0);
    to[i] = static_cast<U>((x[i] & mask) | (y[i] & static_cast<U>(~mask)));
  }
  return -1;
}

}  // namespace

void where(KernelContext& ctx, const View& out, const View& cond, const View& a, const View& b) {
  with_size(out.dtype, [&](auto tag) {
    run_loop(ctx, where_loop<typename decltype(tag)::Type>, nullptr, out, cond, a, b);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
