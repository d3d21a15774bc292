// Ops of one tensor, where(), and the derivatives that are ops of their own.
#include <tinytorch/ops/create.h>

#include <cmath>
#include <numbers>

#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

// A number op keeps integers; bool has no arithmetic.
void check_number(const char* op, const Tensor& a) {
  check_defined(op, a);
  check_computes(op, a);
  if (view_of(a).dtype == Dtype::bool_) throw_dtype(op, view_of(a), "numbers");
}

// An op whose gradient is grad(g, y) of its own output.
Tensor from_output(const char* name, UnaryOp op, const Tensor& t,
                   Tensor (*grad)(const Tensor&, const Tensor&)) {
  const Tensor a = as_real(name, t);
  Tensor out = unary_same(name, op, a);
  if (!recording(a)) return out;
  return attach(out, name, {a},
                [y = SavedOutput(out), grad](const Tensor& g) { return Grads{grad(g, y())}; });
}
// An op whose gradient is grad(g, x) of its input.
Tensor from_input(const char* name, UnaryOp op, const Tensor& t,
                  Tensor (*grad)(const Tensor&, const Tensor&)) {
  const Tensor a = as_real(name, t);
  Tensor out = unary_same(name, op, a);
  if (!recording(a)) return out;
  return attach(out, name, {a},
                [a = Saved(a), grad](const Tensor& g) { return Grads{grad(g, a())}; });
}

Tensor normal_density(const Tensor& x) {
  return mul(exp(mul(square(x), -0.5)), 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2);
}

}  // namespace

Tensor neg(const Tensor& a) {
  check_number("neg", a);
  Tensor out = unary_same("neg", UnaryOp::neg, a);
  if (!recording(a)) return out;
  return attach(out, "neg", {a}, [](const Tensor& g) { return Grads{neg(g)}; });
}
Tensor abs(const Tensor& a) {
  check_number("abs", a);
  Tensor out = unary_same("abs", UnaryOp::abs, a);
  if (!recording(a)) return out;
  return attach(out, "abs", {a},
                [a = Saved(a)](const Tensor& g) { return Grads{mul(g, sign(a()))}; });
}
Tensor sign(const Tensor& a) {
  check_number("sign", a);
  Tensor out = unary_same("sign", UnaryOp::sign, a);
  if (!recording(a)) return out;
  return attach(out, "sign", {a}, [](const Tensor& g) { return Grads{zeros_like(g)}; });
}
Tensor square(const Tensor& a) {
  check_number("square", a);
  Tensor out = unary_same("square", UnaryOp::square, a);
  if (!recording(a)) return out;
  return attach(out, "square", {a},
                [a = Saved(a)](const Tensor& g) { return Grads{mul(mul(g, a()), 2.0)}; });
}
Tensor relu(const Tensor& a) {
  check_number("relu", a);
  Tensor out = unary_same("relu", UnaryOp::relu, a);
  if (!recording(a)) return out;
  return attach(out, "relu", {a},
                [y = SavedOutput(out)](const Tensor& g) { return Grads{relu_grad(g, y())}; });
}
Tensor clamp(const Tensor& a, double min, double max) {
  check_number("clamp", a);
  if (!(min <= max))
    throw ValueError("[clamp] min " + std::to_string(min) + " and max " + std::to_string(max) +
                     ", needed: min <= max");
  Tensor out = unary_same("clamp", UnaryOp::clamp, a, {Scalar(min).value(), Scalar(max).value()});
  if (!recording(a)) return out;
  return attach(out, "clamp", {a}, [a = Saved(a), min, max](const Tensor& g) {
    return Grads{where(logical_and(ge(a(), min), le(a(), max)), g, zeros_like(g))};
  });
}

Tensor exp(const Tensor& a) { return from_output("exp", UnaryOp::exp, a, mul); }
Tensor log(const Tensor& a) { return from_input("log", UnaryOp::log, a, div); }
Tensor sqrt(const Tensor& a) {
  return from_output("sqrt", UnaryOp::sqrt, a,
                     [](const Tensor& g, const Tensor& y) { return mul(div(g, y), 0.5); });
}
Tensor tanh(const Tensor& a) { return from_output("tanh", UnaryOp::tanh, a, tanh_grad); }
Tensor sigmoid(const Tensor& a) {
  return from_output("sigmoid", UnaryOp::sigmoid, a, sigmoid_grad);
}
Tensor gelu(const Tensor& a) { return from_input("gelu", UnaryOp::gelu, a, gelu_grad); }
Tensor gelu_tanh(const Tensor& a) {
  return from_input("gelu_tanh", UnaryOp::gelu_tanh, a, gelu_tanh_grad);
}
Tensor erf(const Tensor& a) {
  return from_input("erf", UnaryOp::erf, a, [](const Tensor& g, const Tensor& x) {
    return mul(mul(g, exp(neg(square(x)))), 2 * std::numbers::inv_sqrtpi);
  });
}
Tensor softplus(const Tensor& a) {
  return from_input("softplus", UnaryOp::softplus, a,
                    [](const Tensor& g, const Tensor& x) { return mul(g, sigmoid(x)); });
}

Tensor isnan(const Tensor& a) {
  check_defined("isnan", a);
  check_computes("isnan", a);
  return unary_any("isnan", UnaryOp::isnan, a, {}, Dtype::bool_);
}
Tensor isfinite(const Tensor& a) {
  check_defined("isfinite", a);
  check_computes("isfinite", a);
  return unary_any("isfinite", UnaryOp::isfinite, a, {}, Dtype::bool_);
}

Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y) {
  check_defined("where", condition);
  check_defined("where", x);
  check_defined("where", y);
  check_device("where", condition, x);
  check_device("where", x, y);
  if (view_of(condition).dtype != Dtype::bool_)
    throw_dtype("where", view_of(condition), "a bool condition");
  const Dtype d = result_type(x, y);
  const Tensor a = x.to(d), b = y.to(d);
  const std::optional<Shape> wanted =
      broadcast(broadcast_shape("where", a, b), shape_of(condition));
  if (!wanted)
    throw ShapeError("[where] condition " + show(view_of(condition)) + ", " + show(view_of(x)) +
                     " and " + show(view_of(y)) + " do not broadcast");
  const Shape& shape = *wanted;
  Tensor out = make(device_of(a), d, shape);
  const Merged<4> m(view_of(out), broadcast_view(use(condition), shape),
                    broadcast_view(use(a), shape), broadcast_view(use(b), shape));
  launch<rows::where>("where", device_of(a), m[0], m[1], m[2], m[3]);
  if (!recording(a, b)) return out;
  return attach(out, "where", {a, b}, [c = Saved(condition)](const Tensor& g, Needs need) {
    const Tensor zero = zeros({}, {.dtype = g.dtype(), .device = g.device()});
    return Grads{need[0] ? where(c(), g, zero) : Tensor(),
                 need[1] ? where(c(), zero, g) : Tensor()};
  });
}
Tensor masked_fill(const Tensor& a, const Tensor& mask, Scalar value) {
  check_defined("masked_fill", a);
  check_defined("masked_fill", mask);
  check_device("masked_fill", a, mask);
  if (view_of(mask).dtype != Dtype::bool_) throw_dtype("masked_fill", view_of(mask), "a bool mask");
  if (value.is_floating() && !is_floating(view_of(a).dtype))
    throw_dtype("masked_fill", view_of(a), "a floating dtype, or an integer to fill in");
  broadcast_shape("masked_fill", a, mask);  // so that an error has this op's name
  return where(mask, full({}, value, {.dtype = a.dtype(), .device = a.device()}), a);
}

// ---- derivatives as ops

namespace {
Tensor derivative(const char* name, BinaryOp op, const Tensor& g, const Tensor& x) {
  check_defined(name, g);
  check_defined(name, x);
  check_device(name, g, x);
  check_floating(name, x);
  if (g.dtype() != x.dtype()) throw_dtype(name, view_of(g), name_of(x.dtype()));
  return binary_same(name, op, g, x, view_of(g).dtype);
}
}  // namespace

Tensor tanh_grad(const Tensor& g, const Tensor& y) {
  Tensor out = derivative("tanh_grad", BinaryOp::tanh_grad, g, y);
  if (!recording(g, y)) return out;
  return attach(out, "tanh_grad", {g, y},
                [g = Saved(used_by(y, g)), y = Saved(y)](const Tensor& h, Needs need) {
                  return Grads{need[0] ? tanh_grad(h, y()) : Tensor(),
                               need[1] ? mul(mul(mul(h, g()), y()), -2.0) : Tensor()};
                });
}
Tensor sigmoid_grad(const Tensor& g, const Tensor& y) {
  Tensor out = derivative("sigmoid_grad", BinaryOp::sigmoid_grad, g, y);
  if (!recording(g, y)) return out;
  return attach(out, "sigmoid_grad", {g, y},
                [g = Saved(used_by(y, g)), y = Saved(y)](const Tensor& h, Needs need) {
                  return Grads{need[0] ? sigmoid_grad(h, y()) : Tensor(),
                               need[1] ? mul(mul(h, g()), rsub(mul(y(), 2.0), 1.0)) : Tensor()};
                });
}
Tensor relu_grad(const Tensor& g, const Tensor& y) {
  if (!is_floating(g.dtype())) return where(gt(y, 0), g, zeros_like(g));
  Tensor out = derivative("relu_grad", BinaryOp::relu_grad, g, y);
  if (!recording(g, y)) return out;
  return attach(out, "relu_grad", {g, y}, [y = Saved(y)](const Tensor& h, Needs need) {
    return Grads{need[0] ? relu_grad(h, y()) : Tensor(), need[1] ? zeros_like(h) : Tensor()};
  });
}
Tensor gelu_grad(const Tensor& g, const Tensor& x) {
  Tensor out = derivative("gelu_grad", BinaryOp::gelu_grad, g, x);
  if (!recording(g, x)) return out;
  return attach(out, "gelu_grad", {g, x},
                [g = Saved(used_by(x, g)), x = Saved(x)](const Tensor& h, Needs need) {
                  // (Phi + x phi)' = phi (2 - x^2)
                  return Grads{
                      need[0] ? gelu_grad(h, x()) : Tensor(),
                      need[1] ? mul(mul(h, g()), mul(normal_density(x()), rsub(square(x()), 2.0)))
                              : Tensor()};
                });
}
Tensor gelu_tanh_grad(const Tensor& g, const Tensor& x) {
  Tensor out = derivative("gelu_tanh_grad", BinaryOp::gelu_tanh_grad, g, x);
  if (!recording(g, x)) return out;
  return attach(out, "gelu_tanh_grad", {g, x},
                [g = Saved(used_by(x, g)), x = Saved(x)](const Tensor& h, Needs need) {
                  Tensor gx;
                  if (need[1]) {  // y = x/2 (1 + t), t = tanh(u), u = c (x + k x^3): y'' = (1 -
                                  // t^2) (u' + x/2 u'' - x t u'^2)
                    const double c = std::sqrt(2 / std::numbers::pi), k = 0.044715;
                    const Tensor x2 = square(x());
                    const Tensor t = tanh(mul(mul(x(), add(mul(x2, k), 1.0)), c));
                    const Tensor u1 = mul(add(mul(x2, 3 * k), 1.0), c), u2 = mul(x(), 6 * k * c);
                    const Tensor second =
                        sub(add(u1, mul(mul(x(), u2), 0.5)), mul(mul(x(), t), square(u1)));
                    gx = mul(mul(h, g()), mul(rsub(square(t), 1.0), second));
                  }
                  return Grads{need[0] ? gelu_tanh_grad(h, x()) : Tensor(), gx};
                });
}

// ---- methods

Tensor Tensor::add(const Tensor& o) const { return tinytorch::add(*this, o); }
Tensor Tensor::sub(const Tensor& o) const { return tinytorch::sub(*this, o); }
Tensor Tensor::mul(const Tensor& o) const { return tinytorch::mul(*this, o); }
Tensor Tensor::div(const Tensor& o) const { return tinytorch::div(*this, o); }
Tensor Tensor::pow(double e) const { return tinytorch::pow(*this, e); }
Tensor Tensor::pow(const Tensor& e) const { return tinytorch::pow(*this, e); }
Tensor Tensor::neg() const { return tinytorch::neg(*this); }
Tensor Tensor::abs() const { return tinytorch::abs(*this); }
Tensor Tensor::exp() const { return tinytorch::exp(*this); }
Tensor Tensor::log() const { return tinytorch::log(*this); }
Tensor Tensor::sqrt() const { return tinytorch::sqrt(*this); }
Tensor Tensor::square() const { return tinytorch::square(*this); }
Tensor Tensor::tanh() const { return tinytorch::tanh(*this); }
Tensor Tensor::sigmoid() const { return tinytorch::sigmoid(*this); }
Tensor Tensor::relu() const { return tinytorch::relu(*this); }
Tensor Tensor::gelu() const { return tinytorch::gelu(*this); }
Tensor Tensor::clamp(double min, double max) const { return tinytorch::clamp(*this, min, max); }

}  // namespace tinytorch
