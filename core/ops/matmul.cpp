// Matrix products. A transposed operand is recognised by its strides and never copied; a product of
// a batch with one matrix is folded into one product.
#include <tinytorch/ops/matmul.h>

#include <algorithm>

#include <tinytorch/ops/reduce.h>

#include "core/ops/mm.h"
#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

[[noreturn]] TT_COLD void throw_shapes(const char* op, const Tensor& a, const Tensor& b,
                                       const char* needed) {
  throw ShapeError("[" + std::string(op) + "] " + show(view_of(a)) + " and " + show(view_of(b)) +
                   ", needed: " + needed);
}

void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  check_defined(op, a);
  check_defined(op, b);
  check_device(op, a, b);
  check_floating(op, a);
  check_floating(op, b);
}

// An operand as the kernel takes it: dense matrices, stored as they are or transposed, one stride
// between them.
struct Operand {
  Tensor t;
  bool transposed = false;
  int64_t stride = 0;
};

Operand operand(const Tensor& a, const Shape& batch) {
  const View& v = view_of(a);
  const int r = v.rank;
  const int64_t m = v.shape[r - 2], n = v.shape[r - 1];
  const bool plain = (v.strides[r - 1] == 1 || n == 1) && (v.strides[r - 2] == n || m == 1);
  const bool turned =
      !plain && (v.strides[r - 2] == 1 || m == 1) && (v.strides[r - 1] == m || n == 1);
  Shape full = batch;
  full.push_back(m);
  full.push_back(n);
  const View big = broadcast_view(v, full);
  // the batch dims must be one evenly spaced sequence
  int64_t stride = 0, expected = -1;
  bool even = plain || turned;
  for (int i = batch.rank() - 1; i >= 0 && even; --i) {
    if (batch[i] == 1) continue;
    if (expected < 0) {
      stride = big.strides[i];
    } else {
      even = big.strides[i] == expected;
    }
    expected = stride == 0 ? 0 : big.strides[i] * batch[i];
  }
  even = even && (stride == 0 || stride == m * n);
  if (!even) {
    NoGrad guard;
    return {a.expand(full).contiguous(), false, batch.numel() > 1 ? m * n : 0};
  }
  Shape stored{m, n};
  if (turned) stored = {n, m};
  Shape strides{stored[1], 1};
  if (stride != 0) {
    stored = {batch.numel(), stored[0], stored[1]};
    strides = {m * n, strides[0], 1};
  }
  return {alias(a, stored, strides, 0), turned, stride};
}

// Both of rank 2 or more.
Tensor product(const Tensor& a, const Tensor& b) {
  const View &u = view_of(a), &w = view_of(b);
  const int64_t m = u.shape[u.rank - 2], k = u.shape[u.rank - 1], n = w.shape[w.rank - 1];
  if (w.shape[w.rank - 2] != k) throw_shapes("matmul", a, b, "[..., M, K] and [..., K, N]");
  const std::optional<Shape> stretched =
      broadcast(Shape(u.rank - 2, u.shape.d), Shape(w.rank - 2, w.shape.d));
  if (!stretched) throw_shapes("matmul", a, b, "leading dims that broadcast");
  const Shape& batch = *stretched;
  Shape shape = batch;
  shape.push_back(m);
  shape.push_back(n);
  Tensor out = make(device_of(a), u.dtype, shape);
  if (view_of(out).numel) {
    const Operand x = operand(a, batch), y = operand(b, batch);
    const MatmulParams p{batch.numel(), m, n, k, x.stride, y.stride, x.transposed, y.transposed};
    launch<rows::matmul>("matmul", device_of(a), view_of(out), use(x.t), use(y.t), p);
  }
  if (!recording(a, b)) return out;
  return attach(out, "matmul", {a, b},
                [a = Saved(used_by(b, a)), b = Saved(used_by(a, b))](const Tensor& g, Needs need) {
                  return Grads{need[0] ? matmul(g, b().transpose(-1, -2)) : Tensor(),
                               need[1] ? matmul(a().transpose(-1, -2), g) : Tensor()};
                });
}

Tensor act(Activation activation, const Tensor& x) {
  switch (activation) {
    case Activation::relu:
      return relu(x);
    case Activation::tanh:
      return tanh(x);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::none:
      break;
  }
  return x;
}
// The gradient before the activation, from g behind it: in place where nobody else can see g.
Tensor act_grad(Activation activation, const Tensor& g, const Tensor& y) {
  constexpr BinaryOp kOps[] = {BinaryOp::count, BinaryOp::relu_grad, BinaryOp::tanh_grad,
                               BinaryOp::sigmoid_grad};
  if (activation == Activation::none) return g;
  if (!grad_enabled() && sole(g)) {
    launch<rows::binary>("linear_act_grad", device_of(g), kOps[static_cast<int>(activation)],
                         use(g), use(g), use(y));
    return g;
  }
  if (activation == Activation::relu) return relu_grad(g, y);
  return activation == Activation::tanh ? tanh_grad(g, y) : sigmoid_grad(g, y);
}

// Gradients of x, w and b from g [M, N], dense.
Grads linear_grads(const Tensor& g, const Saved& x, const Saved& w, Needs need) {
  Tensor gx, gw, gb;
  if (need[0]) gx = mm(g, false, w(), false);
  if (need[1] && need[2] && !grad_enabled() && has_kernel<rows::linear_grad_weight>(device_of(g))) {
    const Tensor input = x();
    const int64_t shape[2] = {view_of(g).shape[1], view_of(input).shape[1]};
    gw = make(device_of(g), view_of(g).dtype, 2, shape);
    gb = make(device_of(g), view_of(g).dtype, 1, shape);
    launch<rows::linear_grad_weight>("linear_grad_weight", device_of(g), view_of(gw), view_of(gb),
                                     use(g), use(input));
  } else {
    if (need[1]) gw = mm(g, true, x(), false);
    if (need[2]) gb = sum(g, {0});
  }
  return {gx, gw, gb};
}

// x [M, K], dense.
Tensor linear_2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  if (!has_kernel<rows::linear>(device_of(x))) {
    const Tensor product = mm(x, false, weight, true);
    return act(activation, bias.defined() ? add(product, bias) : product);
  }
  const int64_t shape[2] = {view_of(x).shape[0], view_of(weight).shape[0]};
  Tensor out = make(device_of(x), view_of(x).dtype, 2, shape);
  launch<rows::linear>("linear", device_of(x), view_of(out), use(x), use(weight),
                       use_optional(bias), activation);
  if (!recording(x, weight, bias)) return out;
  auto formula = [x = Saved(used_by(weight, x)), w = Saved(used_by(x, weight))](
                     const Tensor& gradient, Needs need) {
    return linear_grads(gradient.contiguous(), x, w, need);
  };
  if (activation == Activation::none)
    return attach(out, "linear", {x, weight, bias}, std::move(formula));
  return attach(
      out, "linear", {x, weight, bias},
      [formula = std::move(formula), y = SavedOutput(out), activation](
          const Tensor& g, Needs need) { return formula(act_grad(activation, g, y()), need); });
}

}  // namespace

Tensor mm(const Tensor& a, bool ta, const Tensor& b, bool tb) {
  const View &u = view_of(a), &w = view_of(b);
  const int64_t k = u.shape[ta ? 0 : 1], shape[2] = {u.shape[ta ? 1 : 0], w.shape[tb ? 0 : 1]};
  if (w.shape[tb ? 1 : 0] != k) throw_shapes("matmul", a, b, "equal inner sizes");
  Tensor out = make(device_of(a), u.dtype, 2, shape);
  launch<rows::matmul>("matmul", device_of(a), view_of(out), use(a), use(b),
                       MatmulParams{1, shape[0], shape[1], k, 0, 0, ta, tb});
  if (!recording(a, b)) return out;
  return attach(out, "matmul", {a, b},
                [a = Saved(used_by(b, a)), b = Saved(used_by(a, b)), ta, tb](const Tensor& gradient,
                                                                             Needs need) {
                  const Tensor g = gradient.contiguous();
                  return Grads{!need[0] ? Tensor()
                               : ta     ? mm(b(), tb, g, true)
                                        : mm(g, false, b(), !tb),
                               !need[1] ? Tensor()
                               : tb     ? mm(g, true, a(), ta)
                                        : mm(a(), !ta, g, false)};
                });
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_pair("matmul", a, b);
  if (view_of(a).dtype != view_of(b).dtype)
    throw DtypeError("[matmul] " + show(view_of(a)) + " and " + show(view_of(b)) +
                     ", needed: one dtype");
  const int ra = view_of(a).rank, rb = view_of(b).rank;
  if (ra == 0 || rb == 0) throw_shapes("matmul", a, b, "at least one dim each");
  if (view_of(a).shape[ra - 1] != view_of(b).shape[std::max(rb - 2, 0)])
    throw_shapes("matmul", a, b, "[..., M, K] and [..., K, N], or [K] for either");
  if (ra == 1) return matmul(a.unsqueeze(0), b).squeeze(rb == 1 ? 0 : -2);
  if (rb == 1) return matmul(a, b.unsqueeze(1)).squeeze(-1);
  if (ra > 2 && rb == 2 &&
      view_of(a).contiguous) {  // one matrix for the whole batch: a longer product
    Shape shape = shape_of(a);
    const int64_t k = shape[ra - 1];
    shape[ra - 1] = view_of(b).shape[1];
    int64_t rows = 1;
    for (int i = 0; i < ra - 1; ++i) rows *= shape[i];
    return product(a.reshape({rows, k}), b).reshape(shape);
  }
  return product(a, b);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  check_pair("linear", x, weight);
  check_choice("linear", "activation", activation, Activation::sigmoid);
  const View &u = view_of(x), &w = view_of(weight);
  if (w.rank != 2 || u.rank < 1 || u.shape[u.rank - 1] != w.shape[1])
    throw_shapes("linear", x, weight, "x [..., K] and weight [N, K]");
  if (u.dtype != w.dtype)
    throw DtypeError("[linear] " + show(u) + " and " + show(w) + ", needed: one dtype");
  if (bias.defined()) {
    check_device("linear", x, bias);
    if (view_of(bias).rank != 1 || view_of(bias).shape[0] != w.shape[0] ||
        view_of(bias).dtype != w.dtype)
      throw_shapes("linear", weight, bias, "weight [N, K] and bias [N] of one dtype");
  }
  const Tensor wc = weight.contiguous(), bc = bias.defined() ? bias.contiguous() : bias;
  if (u.rank == 2) return linear_2d(x.contiguous(), wc, bc, activation);
  Shape shape = shape_of(x);
  shape[u.rank - 1] = w.shape[0];
  const int64_t rows = u.shape[u.rank - 1] ? u.numel / u.shape[u.rank - 1]
                                           : shape.numel() / std::max<int64_t>(w.shape[0], 1);
  return linear_2d(x.contiguous().reshape({rows, w.shape[1]}), wc, bc, activation).reshape(shape);
}

Tensor Tensor::matmul(const Tensor& o) const { return tinytorch::matmul(*this, o); }

}  // namespace tinytorch
