// The row `unary`: finds the loop of word and dtype and puts the constants into the element type.
#include "kernels/cpu/elementwise.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// By Dtype. bool is read as u8, of which it uses the values 0 and 1.
#define TT_LOOP(name, T) unary_loop<unary_##name, T>
#define TT_WORDS_N(name)                                                                   \
  {                                                                                        \
    TT_LOOP(name, float), TT_LOOP(name, double), nullptr, nullptr, TT_LOOP(name, int64_t), \
        TT_LOOP(name, int32_t), TT_LOOP(name, uint8_t), nullptr                            \
  }
#define TT_WORDS_F(name) \
  { TT_LOOP(name, float), TT_LOOP(name, double) }
#define TT_WORDS_P(name)                                                                   \
  {                                                                                        \
    TT_LOOP(name, float), TT_LOOP(name, double), nullptr, nullptr, TT_LOOP(name, int64_t), \
        TT_LOOP(name, int32_t), TT_LOOP(name, uint8_t), TT_LOOP(name, uint8_t)             \
  }
#define TT_WORDS_B(name) \
  { nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, TT_LOOP(name, uint8_t) }

constexpr Loop kLoops[static_cast<int>(UnaryOp::count)][kDtypeCount] = {
#define TT_UNARY(name, dtypes) TT_WORDS_##dtypes(name),
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
};

template <class T>
TT_INLINE void run(KernelContext& ctx, Loop loop, UnaryOp op, const View& out, const View& in,
                   const UnaryParams& p) {
  const UnaryConstants<T> constants = {param_as<T>(op, p.a), param_as<T>(op, p.b)};
  run_loop(ctx, loop, &constants, out, in);
}

}  // namespace

void unary(KernelContext& ctx, UnaryOp op, const View& out, const View& in, const UnaryParams& p) {
  const Loop loop = kLoops[static_cast<int>(op)][static_cast<int>(in.dtype)];
  if (TT_UNLIKELY(!loop)) return;  // core has refused it
  switch (in.dtype) {
    case Dtype::f32:
      return run<float>(ctx, loop, op, out, in, p);
    case Dtype::f64:
      return run<double>(ctx, loop, op, out, in, p);
    case Dtype::i64:
      return run<int64_t>(ctx, loop, op, out, in, p);
    case Dtype::i32:
      return run<int32_t>(ctx, loop, op, out, in, p);
    default:
      return run<uint8_t>(ctx, loop, op, out, in, p);
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
