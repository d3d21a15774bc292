// unary, binary and where: the exact form of each word in the wide type, rounded once.
#include "kernels/reference/elements.h"
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// A constant as the element type sees it; bounds and addends of integers stay exact, results wrap.
template <class T>
Wide<T> constant(ScalarValue v) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(v.f);
  } else {
    return v.i;
  }
}

template <class Word, WordTypes types, class T>
void apply(const View& out, const View& in, const UnaryParams& p) {
  if constexpr (kTakes<types, T>) {
    using E = Wide<T>;
    using R = decltype(Word::fast(T()));
    const E a = constant<T>(p.a), b = constant<T>(p.b);
    for_each_element<2>({&out, &in}, [&](int64_t, const int64_t(&at)[2]) {
      out.as<R>()[at[0]] = narrow<R>(Word::exact(static_cast<E>(in.as<T>()[at[1]]), a, b));
    });
  }
}

template <class Word, WordTypes types, class T>
void apply(KernelContext& context, BinaryOp op, const View& out, const View& a, const View& b) {
  if constexpr (kTakes<types, T>) {
    using E = Wide<T>;
    using R = decltype(Word::fast(T(), T()));
    const bool divides =
        kIsInteger<T> && (op == BinaryOp::floor_divide || op == BinaryOp::remainder);
    for_each_element<3>({&out, &a, &b}, [&](int64_t position, const int64_t(&at)[3]) {
      const T x = a.as<T>()[at[1]], y = b.as<T>()[at[2]];
      if (divides && y == T(0))
        report_value_error(context, ValueErrorKind::zero_divisor, position, 0, 0);
      out.as<R>()[at[0]] = narrow<R>(Word::exact(static_cast<E>(x), static_cast<E>(y)));
    });
  }
}

}  // namespace

void unary(KernelContext&, UnaryOp op, const View& out, const View& in, const UnaryParams& p) {
  with_compute(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    switch (op) {
#define TT_UNARY(name, types) \
  case UnaryOp::name:         \
    return apply<unary_##name, WordTypes::types, T>(out, in, p);
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
      case UnaryOp::count:
        return;
    }
  });
}

void binary(KernelContext& context, BinaryOp op, const View& out, const View& a, const View& b) {
  with_compute(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    switch (op) {
#define TT_BINARY(name, types) \
  case BinaryOp::name:         \
    return apply<binary_##name, WordTypes::types, T>(context, op, out, a, b);
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY
      case BinaryOp::count:
        return;
    }
  });
}

void where(KernelContext&, const View& out, const View& cond, const View& a, const View& b) {
  with_any(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for_each_element<4>({&out, &cond, &a, &b}, [&](int64_t, const int64_t(&at)[4]) {
      out.as<T>()[at[0]] = cond.as<bool>()[at[1]] ? a.as<T>()[at[2]] : b.as<T>()[at[3]];
    });
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
