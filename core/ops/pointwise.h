// The launchers that elementwise ops share: dtype promotion, broadcasting, the contiguous fast
// path. They compute; they record nothing.
#pragma once

#include <tinytorch/ops/elementwise.h>

#include "core/autograd/saved_tensor.h"
#include "core/ops/strided.h"
#include "core/runtime/launch.h"

namespace tinytorch {

// A number that came in by a cast is none of the choices up to `last`.
template <class Enum>
void check_choice(const char* op, const char* what, Enum given, Enum last) {
  if (given > last)
    throw ValueError("[" + std::string(op) + "] " + what + " number " +
                     std::to_string(static_cast<int>(given)) + ", needed: one of 0 to " +
                     std::to_string(static_cast<int>(last)));
}

// a in row-major order, a copy if it is not; the launchers below read any strides, dense kernels do
// not.
Tensor dense(const Tensor& a);

[[noreturn]] TT_COLD void throw_dtype(const char* op, const View& v, const char* needed);
[[noreturn]] TT_COLD void throw_broadcast(const char* op, const View& a, const View& b);

// The shape to which both stretch, if there is one.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);
// Shape of a op b; ShapeError named `op`.
Shape broadcast_shape(const char* op, const Tensor& a, const Tensor& b);

Tensor unary_any(const char* name, UnaryOp op, const Tensor& a, const UnaryParams& p,
                 Dtype out_dtype);
inline Tensor unary_same(const char* name, UnaryOp op, const Tensor& a, const UnaryParams& p = {}) {
  if (TT_LIKELY(view_of(a).contiguous)) {
    Tensor out = make_like(a);
    launch<rows::unary>(name, device_of(a), op, view_of(out), use(a), p);
    return out;
  }
  return unary_any(name, op, a, p, view_of(a).dtype);
}

// a and b have one dtype and one device.
Tensor binary_broadcast(const char* name, BinaryOp op, const Tensor& a, const Tensor& b,
                        Dtype out_dtype);
inline Tensor binary_same(const char* name, BinaryOp op, const Tensor& a, const Tensor& b,
                          Dtype out_dtype) {
  const View &u = view_of(a), &w = view_of(b);
  if (TT_LIKELY(u.contiguous && w.contiguous && same_shape(u, w))) {
    Tensor out = make(device_of(a), out_dtype, u.rank, u.shape.d);
    launch<rows::binary>(name, device_of(a), op, view_of(out), use(a), use(b));
    return out;
  }
  return binary_broadcast(name, op, a, b, out_dtype);
}

// In place: out = op(out, b), b broadcast and cast to out.
void binary_into(const char* name, BinaryOp op, const Tensor& out, const Tensor& b);
void unary_into(const char* name, UnaryOp op, const Tensor& out, const UnaryParams& p);
void copy_into(const Tensor& out, const Tensor& source);  // same device; broadcasts and casts
void fill_into(const char* name, const Tensor& out, Scalar value);

// -s for a tensor of dtype d, so that a difference is a sum; integers wrap.
inline Scalar negated(Scalar s, Dtype d) {
  return is_floating(d) ? Scalar(-s.to_double())
                        : Scalar(static_cast<int64_t>(0 - static_cast<uint64_t>(s.value().i)));
}

// Throws unless `t` may be changed in place now.
void check_in_place(const char* op, const Tensor& t, const Tensor& source = {});

// What is computed on: f32, f64 or an integer dtype; storage dtypes are refused.
void check_computes(const char* op, const Tensor& t);
// a in f32 or f64: itself, or integers as f32.
Tensor as_real(const char* op, const Tensor& a);

}  // namespace tinytorch
