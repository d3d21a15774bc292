// Ops of two tensors, and of a tensor and a number, with their gradients. The engine sums gradients
// down where an input was stretched.
#include <cmath>

#include <tinytorch/ops/create.h>

#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

// The common case: one floating dtype, one device.
TT_INLINE bool alike(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return false;
  const Dtype d = view_of(a).dtype;
  return d == view_of(b).dtype && d <= Dtype::f64 && device_of(a) == device_of(b);
}

struct Pair {
  Tensor a, b;
};
// Both in the dtype in which the op computes; casts are recorded, so gradients come back in the
// inputs' dtypes.
TT_COLD Pair promoted(const char* op, const Tensor& a, const Tensor& b, bool real = false) {
  check_defined(op, a);
  check_defined(op, b);
  check_device(op, a, b);
  check_computes(op, a);
  check_computes(op, b);
  Dtype d = result_type(a, b);
  if (real && !is_floating(d)) d = Dtype::f32;
  return {a.to(d), b.to(d)};
}
bool is_bool(const Tensor& t) { return view_of(t).dtype == Dtype::bool_; }
Tensor half(const Tensor& t) { return mul(t, 0.5); }

// The cold side of an op that has one computing form per dtype kind: promote, then come back, or
// use the logical op for bool.
template <class Op, class Logical>
Tensor again(const char* op, const Tensor& a, const Tensor& b, Op compute, Logical of_bool) {
  const Pair p = promoted(op, a, b);
  return is_bool(p.a) ? of_bool(p.a, p.b) : compute(p.a, p.b);
}
Tensor no_bool(const Tensor& a, const Tensor&) {
  throw_dtype("sub", view_of(a), "numbers; use logical_not or ne for bool");
}

Tensor add_alike(const Tensor& a, const Tensor& b) {
  Tensor out = binary_same("add", BinaryOp::add, a, b, view_of(a).dtype);
  if (!recording(a, b)) return out;
  return attach(out, "add", {a, b}, [](const Tensor& g) { return Grads{g, g}; });
}
Tensor sub_alike(const Tensor& a, const Tensor& b) {
  Tensor out = binary_same("sub", BinaryOp::sub, a, b, view_of(a).dtype);
  if (!recording(a, b)) return out;
  return attach(out, "sub", {a, b}, [](const Tensor& g, Needs need) {
    return Grads{g, need[1] ? neg(g) : Tensor()};
  });
}
Tensor mul_alike(const Tensor& a, const Tensor& b) {
  Tensor out = binary_same("mul", BinaryOp::mul, a, b, view_of(a).dtype);
  if (!recording(a, b)) return out;
  return attach(out, "mul", {a, b},
                [a = Saved(used_by(b, a)), b = Saved(used_by(a, b))](const Tensor& g, Needs need) {
                  return Grads{need[0] ? mul(g, b()) : Tensor(), need[1] ? mul(g, a()) : Tensor()};
                });
}
Tensor div_alike(const Tensor& a, const Tensor& b) {
  Tensor out = binary_same("div", BinaryOp::div, a, b, view_of(a).dtype);
  if (!recording(a, b)) return out;
  return attach(out, "div", {a, b},
                [a = Saved(used_by(b, a)), b = Saved(b)](const Tensor& g, Needs need) {
                  Tensor ga = div(g, b());
                  Tensor gb = need[1] ? neg(div(mul(ga, a()), b())) : Tensor();
                  return Grads{need[0] ? ga : Tensor(), gb};
                });
}
Tensor pow_alike(const Tensor& a, const Tensor& b) {
  Tensor out = binary_same("pow", BinaryOp::pow, a, b, view_of(a).dtype);
  if (!recording(a, b)) return out;
  return attach(out, "pow", {a, b}, [a = Saved(a), b = Saved(b)](const Tensor& g, Needs need) {
    Tensor ga, gb;
    if (need[0])
      ga = mul(g, where(eq(b(), 0.0), zeros_like(b()),
                        mul(b(), pow(a(), sub(b(), 1.0)))));  // x^0 is flat, at 0 too
    if (need[1]) {
      const Tensor flat = logical_and(eq(a(), 0.0), ge(b(), 0.0));  // 0^b is 0 for all b > 0
      gb = mul(g, where(flat, zeros_like(a()),
                        mul(pow(a(), b()), log(where(flat, ones_like(a()), a())))));
    }
    return Grads{ga, gb};
  });
}
// The larger or smaller one gets the gradient, equal ones half each.
Tensor extreme_alike(const char* name, BinaryOp op, BinaryOp wins, const Tensor& a,
                     const Tensor& b) {
  Tensor out = binary_same(name, op, a, b, view_of(a).dtype);
  if (!recording(a, b)) return out;
  return attach(out, name, {a, b}, [a = Saved(a), b = Saved(b), wins](const Tensor& g, Needs need) {
    auto share = [&](const Tensor& mine, const Tensor& other) {
      const Tensor won = binary_same("maximum", wins, mine, other, Dtype::bool_);
      return where(won, g, where(eq(mine, other), half(g), zeros_like(g)));
    };
    return Grads{need[0] ? share(a(), b()) : Tensor(), need[1] ? share(b(), a()) : Tensor()};
  });
}

Tensor maximum_alike(const Tensor& a, const Tensor& b) {
  return extreme_alike("maximum", BinaryOp::maximum, BinaryOp::gt, a, b);
}
Tensor minimum_alike(const Tensor& a, const Tensor& b) {
  return extreme_alike("minimum", BinaryOp::minimum, BinaryOp::lt, a, b);
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return TT_LIKELY(alike(a, b)) ? add_alike(a, b) : again("add", a, b, add_alike, logical_or);
}
Tensor sub(const Tensor& a, const Tensor& b) {
  return TT_LIKELY(alike(a, b)) ? sub_alike(a, b) : again("sub", a, b, sub_alike, no_bool);
}
Tensor mul(const Tensor& a, const Tensor& b) {
  return TT_LIKELY(alike(a, b)) ? mul_alike(a, b) : again("mul", a, b, mul_alike, logical_and);
}
Tensor maximum(const Tensor& a, const Tensor& b) {
  return TT_LIKELY(alike(a, b)) ? maximum_alike(a, b)
                                : again("maximum", a, b, maximum_alike, logical_or);
}
Tensor minimum(const Tensor& a, const Tensor& b) {
  return TT_LIKELY(alike(a, b)) ? minimum_alike(a, b)
                                : again("minimum", a, b, minimum_alike, logical_and);
}
Tensor div(const Tensor& a, const Tensor& b) {
  if (TT_LIKELY(alike(a, b))) return div_alike(a, b);
  const Pair p = promoted("div", a, b, true);
  return div_alike(p.a, p.b);
}
Tensor pow(const Tensor& a, const Tensor& b) {
  if (TT_LIKELY(alike(a, b))) return pow_alike(a, b);
  const Pair p = promoted("pow", a, b, true);
  return pow_alike(p.a, p.b);
}

Tensor floor_divide(const Tensor& a, const Tensor& b) {
  const Pair p = promoted("floor_divide", a, b);
  if (is_bool(p.a)) throw_dtype("floor_divide", view_of(p.a), "numbers");
  Tensor out = binary_same("floor_divide", BinaryOp::floor_divide, p.a, p.b, p.a.dtype());
  if (!recording(p.a, p.b)) return out;
  return attach(
      out, "floor_divide", {p.a, p.b},
      [](const Tensor& g, Needs need) {  // constant between its steps
        return Grads{need[0] ? zeros_like(g) : Tensor(), need[1] ? zeros_like(g) : Tensor()};
      });
}
Tensor remainder(const Tensor& a, const Tensor& b) {
  const Pair p = promoted("remainder", a, b);
  if (is_bool(p.a)) throw_dtype("remainder", view_of(p.a), "numbers");
  Tensor out = binary_same("remainder", BinaryOp::remainder, p.a, p.b, p.a.dtype());
  if (!recording(p.a, p.b)) return out;
  return attach(
      out, "remainder", {p.a, p.b},
      [a = Saved(used_by(p.b, p.a)), b = Saved(used_by(p.b, p.b))](const Tensor& g, Needs need) {
        return Grads{g, need[1] ? neg(mul(g, floor_divide(a(), b()))) : Tensor()};
      });
}

// ---- a tensor and a number

namespace {

// a in the dtype that it and the number need.
Tensor with_scalar(const char* op, const Tensor& a, Scalar b, bool real = false) {
  check_defined(op, a);
  check_computes(op, a);
  Dtype d = result_type(a, b);
  if (d == Dtype::bool_) d = Dtype::i64;  // a bool tensor and true: counted
  if (real && !is_floating(d)) d = Dtype::f32;
  return d == view_of(a).dtype ? a : a.to(d);
}
UnaryParams one_param(Scalar s) { return {s.value(), {}}; }

Tensor add_number(const char* name, const Tensor& a, Scalar b) {
  Tensor out = unary_same(name, UnaryOp::add_scalar, a, one_param(b));
  if (!recording(a)) return out;
  return attach(out, name, {a}, [](const Tensor& g) { return Grads{g}; });
}

}  // namespace

Tensor add(const Tensor& a, Scalar b) { return add_number("add", with_scalar("add", a, b), b); }
Tensor sub(const Tensor& a, Scalar b) {
  const Tensor x = with_scalar("sub", a, b);
  return add_number("sub", x, negated(b, x.dtype()));
}
Tensor rsub(const Tensor& t, Scalar b) {
  const Tensor a = with_scalar("sub", t, b);
  Tensor out = unary_same("sub", UnaryOp::rsub_scalar, a, one_param(b));
  if (!recording(a)) return out;
  return attach(out, "sub", {a}, [](const Tensor& g) { return Grads{neg(g)}; });
}
Tensor mul(const Tensor& t, Scalar b) {
  const Tensor a = with_scalar("mul", t, b);
  Tensor out = unary_same("mul", UnaryOp::mul_scalar, a, one_param(b));
  if (!recording(a)) return out;
  return attach(out, "mul", {a}, [b](const Tensor& g) { return Grads{mul(g, b)}; });
}
Tensor div(const Tensor& a, Scalar b) {  // x / b, not x (1 / b): one rounding
  const Tensor x = with_scalar("div", a, b, true);
  return div(x, scalar_tensor(b.to_double(), {.dtype = x.dtype(), .device = x.device()}));
}
Tensor rdiv(const Tensor& t, Scalar b) {
  const Tensor a = with_scalar("div", t, b, true);
  Tensor out = unary_same("div", UnaryOp::rdiv_scalar, a, one_param(b));
  if (!recording(a)) return out;
  return attach(out, "div", {a}, [a = Saved(a), y = SavedOutput(out)](const Tensor& g) {
    return Grads{neg(div(mul(g, y()), a()))};
  });
}
Tensor pow(const Tensor& t, double exponent) {
  const Tensor a = as_real("pow", t);
  Tensor out = unary_same("pow", UnaryOp::pow_scalar, a, one_param(exponent));
  if (!recording(a)) return out;
  return attach(out, "pow", {a}, [a = Saved(a), exponent](const Tensor& g) {
    if (exponent == 0) return Grads{zeros_like(g)};
    return Grads{mul(g, mul(pow(a(), exponent - 1), exponent))};
  });
}

// ---- comparisons and logic: bool results, no gradient

namespace {

Tensor compare(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  if (TT_LIKELY(alike(a, b))) return binary_same(name, op, a, b, Dtype::bool_);
  const Pair p = promoted(name, a, b);
  return binary_same(name, op, p.a, p.b, Dtype::bool_);
}
Tensor compare(const char* name, BinaryOp op, const Tensor& a, Scalar b) {
  check_defined(name, a);
  check_computes(name, a);
  const Dtype d = result_type(a, b);
  const Tensor number = full({}, b, {.dtype = d, .device = a.device()});
  return binary_same(name, op, a.detach().to(d), number, Dtype::bool_);
}
void check_bool(const char* op, const Tensor& t) {
  check_defined(op, t);
  if (!is_bool(t)) throw_dtype(op, view_of(t), "bool");
}
Tensor logical(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  check_bool(name, a);
  check_bool(name, b);
  check_device(name, a, b);
  return binary_same(name, op, a, b, Dtype::bool_);
}

}  // namespace

Tensor eq(const Tensor& a, const Tensor& b) { return compare("eq", BinaryOp::eq, a, b); }
Tensor ne(const Tensor& a, const Tensor& b) { return compare("ne", BinaryOp::ne, a, b); }
Tensor lt(const Tensor& a, const Tensor& b) { return compare("lt", BinaryOp::lt, a, b); }
Tensor le(const Tensor& a, const Tensor& b) { return compare("le", BinaryOp::le, a, b); }
Tensor gt(const Tensor& a, const Tensor& b) { return compare("gt", BinaryOp::gt, a, b); }
Tensor ge(const Tensor& a, const Tensor& b) { return compare("ge", BinaryOp::ge, a, b); }
Tensor eq(const Tensor& a, Scalar b) { return compare("eq", BinaryOp::eq, a, b); }
Tensor ne(const Tensor& a, Scalar b) { return compare("ne", BinaryOp::ne, a, b); }
Tensor lt(const Tensor& a, Scalar b) { return compare("lt", BinaryOp::lt, a, b); }
Tensor le(const Tensor& a, Scalar b) { return compare("le", BinaryOp::le, a, b); }
Tensor gt(const Tensor& a, Scalar b) { return compare("gt", BinaryOp::gt, a, b); }
Tensor ge(const Tensor& a, Scalar b) { return compare("ge", BinaryOp::ge, a, b); }
Tensor logical_and(const Tensor& a, const Tensor& b) {
  return logical("logical_and", BinaryOp::logical_and, a, b);
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return logical("logical_or", BinaryOp::logical_or, a, b);
}
Tensor logical_not(const Tensor& a) {
  check_bool("logical_not", a);
  return unary_any("logical_not", UnaryOp::logical_not, a, {}, Dtype::bool_);
}

}  // namespace tinytorch
