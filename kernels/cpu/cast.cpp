// Loops of `copy` between two dtypes: all 56 pairs.
#include "kernels/common/dispatch.h"
#include "kernels/cpu/copy.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

template <class To, class From>
int64_t cast_loop(void* out, const void* in, const void*, const void*, int64_t n, const void*) {
  To* to = static_cast<To*>(out);
  const From* from = static_cast<const From*>(in);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) to[i] = convert<To>(from[i]);
  return -1;
}

// In the order of Dtype.
#define TT_CASTS_FROM(From)                                                           \
  {                                                                                   \
    cast_loop<float, From>, cast_loop<double, From>, cast_loop<BFloat16, From>,       \
        cast_loop<Float16, From>, cast_loop<int64_t, From>, cast_loop<int32_t, From>, \
        cast_loop<uint8_t, From>, cast_loop<bool, From>                               \
  }
constexpr Loop kCasts[kDtypeCount][kDtypeCount] = {
    TT_CASTS_FROM(float),   TT_CASTS_FROM(double),  TT_CASTS_FROM(BFloat16), TT_CASTS_FROM(Float16),
    TT_CASTS_FROM(int64_t), TT_CASTS_FROM(int32_t), TT_CASTS_FROM(uint8_t),  TT_CASTS_FROM(bool)};

}  // namespace

Loop cast_loop_of(Dtype to, Dtype from) {
  return kCasts[static_cast<int>(from)][static_cast<int>(to)];
}

}  // namespace tinytorch::TT_KERNEL_NS
