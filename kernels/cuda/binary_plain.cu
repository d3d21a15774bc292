// The row `binary`, and its words over numbers of any kind: one kernel a dtype for the cheap ones,
// one for each of the two divisions.
#include "kernels/cuda/binary.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

template <class Word>
constexpr bool kDivides = kSame<Word, binary_floor_divide> || kSame<Word, binary_remainder>;

template <class T>
struct BinaryNumeric : Elements<2, T, T, T> {
  static constexpr bool kChooses = true;
  BinaryOp op;
  explicit BinaryNumeric(BinaryOp word) : op(word) {}
  template <class G>
  __device__ void choose(const G& g) const {
    switch (op) {
#define TT_WORDS_F(name)
#define TT_WORDS_C(name)
#define TT_WORDS_B(name)
#define TT_WORDS_N(name)                                                       \
  case BinaryOp::name:                                                         \
    if constexpr (!kDivides<binary_##name>) g(BinaryCall<binary_##name, T>()); \
    return;
#define TT_BINARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY
#undef TT_WORDS_N
#undef TT_WORDS_F
#undef TT_WORDS_C
#undef TT_WORDS_B
      default:
        return;
    }
  }
};

// Integer division reports a zero divisor; the result is then 0.
template <class Word, class T>
struct BinaryDivision : Elements<1, T, T, T> {
  ErrorSink sink;
  explicit BinaryDivision(KernelContext& context) : sink(error_sink(context)) {}
  __device__ T operator()(int64_t at, T a, T b, None) const {
    if constexpr (!kIsFloat<T>) {
      if (b == T(0)) report_value_error(sink, ValueErrorKind::zero_divisor, at, 0, 0);
    }
    return Word::fast(a, b);
  }
};

template <class Word>
void run_word(KernelContext& context, BinaryOp op, const View& out, const View& a, const View& b) {
  with_numeric(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    if constexpr (kDivides<Word>) {
      run_elementwise(context, BinaryDivision<Word, T>(context), out, a, b);
    } else {
      run_elementwise(context, BinaryNumeric<T>(op), out, a, b);
    }
  });
}

}  // namespace

void binary(KernelContext& context, BinaryOp op, const View& out, const View& a, const View& b) {
  switch (op) {
#define TT_WORDS_N(name) \
  case BinaryOp::name:   \
    return run_word<binary_##name>(context, op, out, a, b);
#define TT_WORDS_F(name) \
  case BinaryOp::name:   \
    return binary_floating(context, op, out, a, b);
#define TT_WORDS_C(name) \
  case BinaryOp::name:   \
    return binary_compare(context, op, out, a, b);
#define TT_WORDS_B(name) TT_WORDS_C(name)
#define TT_BINARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY
    case BinaryOp::count:
      return;
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
