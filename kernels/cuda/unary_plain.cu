// The row `unary`: its words over numbers of any kind, the predicates and the words over bool
// (which is read as u8). Each of the two families is one kernel a dtype.
#include "kernels/cuda/unary.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

template <class T>
struct UnaryNumeric : Elements<2, T, T> {
  static constexpr bool kChooses = true;
  using Constant = std::conditional_t<kIsFloat<T>, T, int64_t>;
  int64_t op;
  Constant first, second;
  UnaryNumeric(UnaryOp word, T a, T b) : op(static_cast<int64_t>(word)), first(a), second(b) {}
  template <class G>
  __device__ void choose(const G& g) const {
    switch (static_cast<UnaryOp>(op)) {
#define TT_WORDS_F(name)
#define TT_WORDS_P(name)
#define TT_WORDS_B(name)
#define TT_WORDS_N(name) \
  case UnaryOp::name:    \
    return g(UnaryCall<unary_##name, T>(static_cast<T>(first), static_cast<T>(second)));
#define TT_UNARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
#undef TT_WORDS_N
#undef TT_WORDS_P
#undef TT_WORDS_B
      default:
        return;
    }
  }
};

template <class T>
struct UnaryPredicate : Elements<1, bool, T> {
  static constexpr bool kChooses = true;
  UnaryOp op;
  explicit UnaryPredicate(UnaryOp word) : op(word) {}
  template <class G>
  __device__ void choose(const G& g) const {
    switch (op) {
#define TT_WORDS_N(name)
#define TT_WORDS_P(name) \
  case UnaryOp::name:    \
    return g(UnaryCall<unary_##name, T>(T(), T()));
#define TT_WORDS_B(name) TT_WORDS_P(name)
#define TT_UNARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
      default:
        return;
    }
  }
};

WordTypes types_of(UnaryOp op) {
  constexpr WordTypes kTypes[] = {
#define TT_UNARY(name, types) WordTypes::types,
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
  };
  return kTypes[static_cast<int>(op)];
}

}  // namespace

void unary(KernelContext& context, UnaryOp op, const View& out, const View& in,
           const UnaryParams& p) {
  with_compute(in.dtype, [&](auto tag) {
    using T = Stored<typename decltype(tag)::Type>;
    const T first = param_as<T>(op, p.a), second = param_as<T>(op, p.b);
    const WordTypes types = types_of(op);
    if (types == WordTypes::N)
      return run_elementwise(context, UnaryNumeric<T>(op, first, second), out, in);
    if (types == WordTypes::P || types == WordTypes::B)
      return run_elementwise(context, UnaryPredicate<T>(op), out, in);
    if constexpr (kIsFloat<T>) unary_floating(context, op, out, in, first, second);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
