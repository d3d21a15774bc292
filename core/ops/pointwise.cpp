// See pointwise.h.
#include "core/ops/pointwise.h"

namespace tinytorch {

void throw_dtype(const char* op, const View& v, const char* needed) {
  throw DtypeError("[" + std::string(op) + "] " + show(v) + ", needed: " + needed);
}
void throw_broadcast(const char* op, const View& a, const View& b) {
  throw ShapeError("[" + std::string(op) + "] " + show(a) + " and " + show(b) +
                   " do not broadcast: sizes, aligned at the end, must be equal or 1");
}

void check_computes(const char* op, const Tensor& t) {
  if (is_storage_only(view_of(t).dtype))
    throw_dtype(op, view_of(t),
                "a dtype that computes; bf16 and f16 are storage, convert with to(Dtype::f32)");
}

Tensor as_real(const char* op, const Tensor& a) {
  check_defined(op, a);
  check_computes(op, a);
  return is_floating(view_of(a).dtype) ? a : a.to(Dtype::f32);
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    const int p = i - (rank - a.rank()), q = i - (rank - b.rank());
    const int64_t m = p < 0 ? 1 : a[p], n = q < 0 ? 1 : b[q];
    if (m != n && m != 1 && n != 1) return std::nullopt;
    shape.push_back(m == 1 ? n : m);
  }
  return shape;
}

Shape broadcast_shape(const char* op, const Tensor& a, const Tensor& b) {
  const std::optional<Shape> shape = broadcast(shape_of(a), shape_of(b));
  if (!shape) throw_broadcast(op, view_of(a), view_of(b));
  return *shape;
}

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  const std::optional<Shape> shape = broadcast(a, b);
  if (!shape)
    throw ShapeError("[broadcast_shapes] " + a.str() + " and " + b.str() +
                     " do not broadcast: sizes, aligned at the end, must be equal or 1");
  return *shape;
}

Tensor dense(const Tensor& a) {
  if (TT_LIKELY(view_of(a).contiguous)) return a;
  Tensor out = make_like(a);
  const Merged<2> m(view_of(out), use(a));
  launch<rows::copy>("contiguous", device_of(a), m[0], m[1]);
  return out;
}

Tensor unary_any(const char* name, UnaryOp op, const Tensor& a, const UnaryParams& p,
                 Dtype out_dtype) {
  Tensor out = make(device_of(a), out_dtype, shape_of(a));
  const Merged<2> m(view_of(out), use(a));
  launch<rows::unary>(name, device_of(a), op, m[0], m[1], p);
  return out;
}

Tensor binary_broadcast(const char* name, BinaryOp op, const Tensor& a, const Tensor& b,
                        Dtype out_dtype) {
  const Shape shape = broadcast_shape(name, a, b);
  Tensor out = make(device_of(a), out_dtype, shape);
  const Merged<3> m(view_of(out), broadcast_view(use(a), shape), broadcast_view(use(b), shape));
  launch<rows::binary>(name, device_of(a), op, m[0], m[1], m[2]);
  return out;
}

namespace {

// A source that overlaps the output without being it is copied first.
Tensor apart(const Tensor& out, const Tensor& source) {
  if (!out.shares_storage(source)) return source;
  const View &o = view_of(out), &s = view_of(source);
  bool same = o.data == s.data && same_shape(o, s);
  for (int i = 0; i < o.rank && same; ++i) same = o.strides[i] == s.strides[i];
  return same ? source : source.clone();
}

Tensor fitted(const char* op, const Tensor& out, const Tensor& source) {
  check_defined(op, source);
  check_device(op, out, source);
  const Shape shape = broadcast_shape(op, out, source);
  if (!(shape == shape_of(out)))
    throw ShapeError("[" + std::string(op) + "] " + show(view_of(source)) +
                     " does not broadcast to " + show(view_of(out)));
  return apart(out, source);
}

}  // namespace

void check_in_place(const char* op, const Tensor& t, const Tensor& source) {
  check_defined(op, t);
  if (recording(t) || (source.defined() && recording(source)))
    throw AutogradError(
        "[" + std::string(op) + "] in place on " + show(view_of(t)) + " where " +
        (recording(t) ? "its" : "the other operand's") +
        " gradient is wanted, and changes in place are not recorded; use the op that returns a "
        "new tensor, or NoGrad");
  const View& v = view_of(t);
  for (int i = 0; i < v.rank && v.numel; ++i)
    if (v.strides[i] == 0 && v.shape[i] > 1)
      throw ShapeError("[" + std::string(op) + "] in place on an expanded tensor " + show(v) +
                       ", whose elements share memory; clone() it first");
}

// Before the launch: a kernel that fails half-way has changed the tensor too.
static void bump_version(const Tensor& t) { ++t.impl()->storage->version; }

void binary_into(const char* name, BinaryOp op, const Tensor& out, const Tensor& b) {
  check_computes(name, out);
  Tensor source = fitted(name, out, b);
  if (source.dtype() != out.dtype()) {
    if (is_floating(source.dtype()) && !is_floating(out.dtype()))
      throw DtypeError("[" + std::string(name) + "] " + show(view_of(b)) + " into " +
                       show(view_of(out)) + ", needed: a result that the tensor's dtype can hold");
    source = source.to(out.dtype());
  }
  bump_version(out);
  const View &o = use(out), &s = use(source);
  if (o.contiguous && s.contiguous && same_shape(o, s))
    return launch<rows::binary>(name, device_of(out), op, o, o, s);
  const Merged<3> m(o, o, broadcast_view(s, shape_of(out)));
  launch<rows::binary>(name, device_of(out), op, m[0], m[1], m[2]);
}

void unary_into(const char* name, UnaryOp op, const Tensor& out, const UnaryParams& p) {
  check_computes(name, out);
  bump_version(out);
  const Merged<2> m(use(out), use(out));
  launch<rows::unary>(name, device_of(out), op, m[0], m[1], p);
}

void copy_into(const Tensor& out, const Tensor& source) {
  const Tensor from = fitted("copy_", out, source);
  bump_version(out);
  const Merged<2> m(use(out), broadcast_view(use(from), shape_of(out)));
  launch<rows::copy>("copy_", device_of(out), m[0], m[1]);
}

void fill_into(const char* name, const Tensor& out, Scalar value) {
  bump_version(out);
  const View& v = use(out);
  if (v.contiguous) return launch<rows::fill>(name, device_of(out), v, value.value());
  const Merged<1> m(v);
  launch<rows::fill>(name, device_of(out), m[0], value.value());
}

}  // namespace tinytorch
