// The row `binary`: finds the loop of word and dtype.
#include "kernels/cpu/elementwise.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// By Dtype. bool is read as u8, of which it uses the values 0 and 1.
#define TT_LOOP(name, T) binary_loop<binary_##name, T>
#define TT_WORDS_N(name)                                                                   \
  {                                                                                        \
    TT_LOOP(name, float), TT_LOOP(name, double), nullptr, nullptr, TT_LOOP(name, int64_t), \
        TT_LOOP(name, int32_t), TT_LOOP(name, uint8_t), nullptr                            \
  }
#define TT_WORDS_F(name) \
  { TT_LOOP(name, float), TT_LOOP(name, double) }
#define TT_WORDS_I(name)                                                                \
  {                                                                                     \
    nullptr, nullptr, nullptr, nullptr, TT_LOOP(name, int64_t), TT_LOOP(name, int32_t), \
        TT_LOOP(name, uint8_t), nullptr                                                 \
  }
#define TT_WORDS_C(name)                                                                   \
  {                                                                                        \
    TT_LOOP(name, float), TT_LOOP(name, double), nullptr, nullptr, TT_LOOP(name, int64_t), \
        TT_LOOP(name, int32_t), TT_LOOP(name, uint8_t), TT_LOOP(name, uint8_t)             \
  }
#define TT_WORDS_B(name) \
  { nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, TT_LOOP(name, uint8_t) }

constexpr Loop kLoops[static_cast<int>(BinaryOp::count)][kDtypeCount] = {
#define TT_BINARY(name, dtypes) TT_WORDS_##dtypes(name),
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY
};

}  // namespace

void binary(KernelContext& ctx, BinaryOp op, const View& out, const View& a, const View& b) {
  const Loop loop = kLoops[static_cast<int>(op)][static_cast<int>(a.dtype)];
  if (TT_UNLIKELY(!loop)) return;  // core has refused it
  run_loop(ctx, loop, nullptr, out, a, b);
}

}  // namespace tinytorch::TT_KERNEL_NS
