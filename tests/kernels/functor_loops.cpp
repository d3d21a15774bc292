// Compiled once per instruction set with the options of kernels/cpu.
#include "tests/kernels/functor_loops.h"

#include "kernels/common/dispatch.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

template <class Word, class T>
void unary_loop(void* out, const void* x, int64_t n, const UnaryParams& p) {
  using R = decltype(Word::fast(T()));
  const UnaryOp op = kSame<Word, unary_clamp> ? UnaryOp::clamp : UnaryOp::add_scalar;
  const T a = param_as<T>(op, p.a), b = param_as<T>(op, p.b);
  for (int64_t i = 0; i < n; ++i)
    static_cast<R*>(out)[i] = Word::fast(static_cast<const T*>(x)[i], a, b);
}

template <class Word, class T>
void binary_loop(void* out, const void* a, const void* b, int64_t n) {
  using R = decltype(Word::fast(T(), T()));
  for (int64_t i = 0; i < n; ++i) {
    static_cast<R*>(out)[i] = Word::fast(static_cast<const T*>(a)[i], static_cast<const T*>(b)[i]);
  }
}

template <class To, class From>
void convert_loop(void* out, const void* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    static_cast<To*>(out)[i] = convert<To>(static_cast<const From*>(x)[i]);
}

template <class Word, WordTypes types, class T>
constexpr void set_unary(FunctorLoops& loops, UnaryOp op) {
  if constexpr (kTakes<types, T>) {
    loops.unary[static_cast<int>(op)][static_cast<int>(dtype_of<T>)] = unary_loop<Word, T>;
  }
}
template <class Word, WordTypes types, class T>
constexpr void set_binary(FunctorLoops& loops, BinaryOp op) {
  if constexpr (kTakes<types, T>) {
    loops.binary[static_cast<int>(op)][static_cast<int>(dtype_of<T>)] = binary_loop<Word, T>;
  }
}

template <class T>
constexpr void set_words(FunctorLoops& loops) {
#define TT_UNARY(name, types) set_unary<unary_##name, WordTypes::types, T>(loops, UnaryOp::name);
#define TT_BINARY(name, types) \
  set_binary<binary_##name, WordTypes::types, T>(loops, BinaryOp::name);
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
#undef TT_BINARY
}

template <class To, class... From>
constexpr void set_convert(FunctorLoops& loops) {
  ((loops.convert[static_cast<int>(dtype_of<To>)][static_cast<int>(dtype_of<From>)] =
        convert_loop<To, From>),
   ...);
}
template <class... T>
constexpr void set_all(FunctorLoops& loops) {
  (set_words<T>(loops), ...);
  (set_convert<T, T..., BFloat16, Float16>(loops), ...);
  set_convert<BFloat16, T..., BFloat16, Float16>(loops);
  set_convert<Float16, T..., BFloat16, Float16>(loops);
}

constexpr FunctorLoops make_loops() {
  FunctorLoops loops{};
  set_all<float, double, int64_t, int32_t, uint8_t, bool>(loops);
  return loops;
}
constexpr FunctorLoops kLoops = make_loops();

}  // namespace

const FunctorLoops& functor_loops() { return kLoops; }

}  // namespace tinytorch::TT_KERNEL_NS
