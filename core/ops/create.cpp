// Making tensors from values and from host memory.
#include <tinytorch/ops/create.h>

#include <cmath>

#include "core/ops/pointwise.h"
#include "core/tensor/transfer.h"

namespace tinytorch {

namespace {

DeviceState* device_for(const TensorOptions& o) {
  return o.device ? o.device->state() : current_device();
}

Tensor finished(Tensor t, const TensorOptions& o) {
  if (o.requires_grad) t.requires_grad_();
  return t;
}

Tensor filled(const char* op, const Shape& shape, Scalar value, Dtype dtype,
              const TensorOptions& o) {
  check_sizes(op, shape);
  Tensor t = make(device_for(o), dtype, shape);
  launch<rows::fill>(op, device_of(t), view_of(t), value.value());
  return finished(std::move(t), o);
}

Dtype dtype_for(Scalar s) {
  return s.kind() == Scalar::Kind::boolean   ? Dtype::bool_
         : s.kind() == Scalar::Kind::integer ? Dtype::i64
                                             : Dtype::f32;
}

Tensor ramp(const char* op, int64_t n, Dtype dtype, const RampParams& p, const TensorOptions& o) {
  check_sizes(op, {n});
  Tensor t = make(device_for(o), dtype, Shape{n});
  launch<rows::ramp>(op, device_of(t), view_of(t), p);
  return finished(std::move(t), o);
}

}  // namespace

Tensor empty(const Shape& shape, const TensorOptions& o) {
  check_sizes("empty", shape);
  return finished(make(device_for(o), o.dtype.value_or(Dtype::f32), shape), o);
}
Tensor zeros(const Shape& shape, const TensorOptions& o) {
  return filled("zeros", shape, 0, o.dtype.value_or(Dtype::f32), o);
}
Tensor ones(const Shape& shape, const TensorOptions& o) {
  return filled("ones", shape, 1, o.dtype.value_or(Dtype::f32), o);
}
Tensor full(const Shape& shape, Scalar value, const TensorOptions& o) {
  return filled("full", shape, value, o.dtype.value_or(dtype_for(value)), o);
}
Tensor scalar_tensor(Scalar value, const TensorOptions& o) {
  return filled("scalar_tensor", {}, value, o.dtype.value_or(dtype_for(value)), o);
}

Tensor full_like(const Tensor& t, Scalar value) {
  check_defined("full_like", t);
  Tensor out = make_like(t);
  launch<rows::fill>("full_like", device_of(t), view_of(out), value.value());
  return out;
}
Tensor empty_like(const Tensor& t) {
  check_defined("empty_like", t);
  return make_like(t);
}
Tensor zeros_like(const Tensor& t) { return full_like(t, 0); }
Tensor ones_like(const Tensor& t) { return full_like(t, 1); }

Tensor arange(Scalar start, Scalar end, Scalar step, const TensorOptions& o) {
  const bool real = start.is_floating() || end.is_floating() || step.is_floating();
  const Dtype dtype = o.dtype.value_or(real ? Dtype::f32 : Dtype::i64);
  const double s = step.to_double(), span = end.to_double() - start.to_double();
  if (s == 0 || !std::isfinite(s) || !std::isfinite(span))
    throw ValueError("[arange] from " + std::to_string(start.to_double()) + " to " +
                     std::to_string(end.to_double()) + " by " + std::to_string(s) +
                     ", needed: finite bounds and a step other than 0");
  const double count = std::ceil(span / s);
  if (!real && std::abs(count) < 1e18) {  // exactly: doubles know no odd integers above 2^53
    const auto from = static_cast<uint64_t>(start.value().i),
               to = static_cast<uint64_t>(end.value().i),
               by = static_cast<uint64_t>(step.value().i);
    const uint64_t distance = s > 0 ? to - from : from - to, stride = s > 0 ? by : 0 - by;
    const bool empty = s > 0 ? end.value().i <= start.value().i : end.value().i >= start.value().i;
    return ramp("arange", empty ? 0 : static_cast<int64_t>((distance - 1) / stride + 1), dtype,
                {start.value(), step.value(), 0, false}, o);
  }
  if (count > 1e18)
    throw ValueError("[arange] " + std::to_string(count) +
                     " elements are more than memory can hold");
  return ramp("arange", count > 0 ? static_cast<int64_t>(count) : 0, dtype,
              {start.value(), step.value(), 0, false}, o);
}
Tensor arange(Scalar end, const TensorOptions& o) {
  return end.is_floating() ? arange(0.0, end, 1.0, o) : arange(0, end, 1, o);
}

Tensor linspace(double start, double end, int64_t steps, const TensorOptions& o) {
  if (steps < 0)
    throw ValueError("[linspace] " + std::to_string(steps) + " steps, needed: at least 0");
  const double step = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0;
  return ramp("linspace", steps, o.dtype.value_or(Dtype::f32),
              {Scalar(start).value(), Scalar(step).value(), steps > 1 ? end : start, true}, o);
}

Tensor eye(int64_t n, std::optional<int64_t> m, const TensorOptions& o) {
  const int64_t columns = m.value_or(n);
  Tensor t = filled("eye", {n, columns}, 0, o.dtype.value_or(Dtype::f32), {.device = o.device});
  const Tensor diagonal = alias(t, {std::min(n, columns)}, {columns + 1}, 0);
  fill_into("eye", diagonal, 1);
  return finished(std::move(t), o);
}

namespace detail {

Tensor from_host(const void* data, Dtype dtype, int64_t count, const std::optional<Shape>& wanted,
                 const TensorOptions& o) {
  const Shape shape = wanted.value_or(Shape{count});
  check_sizes("tensor", shape);
  if (shape.numel() != count)
    throw ShapeError("[tensor] " + std::to_string(count) + " values for shape " + shape.str() +
                     ", needed: " + std::to_string(shape.numel()));
  const auto ambient = static_cast<Category>(thread_state().category);
  const CategoryGuard category(ambient == Category::unknown ? Category::input : ambient);
  Tensor t = make(device_for(o), dtype, shape);
  copy_from_host(view_of(t), device_of(t), data);
  if (o.dtype && *o.dtype != dtype) {
    NoGrad guard;
    t = t.to(*o.dtype);
  }
  return finished(std::move(t), o);
}

void throw_ragged(size_t expected, size_t got) {
  throw ShapeError("[tensor] rows of " + std::to_string(expected) + " and of " +
                   std::to_string(got) + " values, needed: rows of equal length");
}

}  // namespace detail

template <>
Tensor tensor<bool>(const std::vector<bool>& values, std::optional<Shape> shape,
                    const TensorOptions& o) {
  const std::vector<uint8_t> bytes(values.begin(), values.end());
  return detail::from_host(bytes.data(), Dtype::bool_, static_cast<int64_t>(bytes.size()), shape,
                           o);
}

Tensor from_blob(void* data, const Shape& shape, Dtype dtype, std::function<void()> deleter,
                 const Shape& strides) {
  check_sizes("from_blob", shape);
  if (!data && shape.numel() > 0)
    throw ValueError("[from_blob] null pointer for shape " + shape.str());
  if (!strides.empty() && strides.rank() != shape.rank())
    throw ShapeError("[from_blob] shape " + shape.str() + " and strides " + strides.str() +
                     ", needed: one stride per dim");
  for (int64_t s : strides)
    if (s < 0)
      throw ShapeError("[from_blob] strides " + strides.str() + ", needed: strides of at least 0");
  if (static_cast<int>(dtype) < kDtypeCount && reinterpret_cast<uintptr_t>(data) % size_of(dtype))
    throw ValueError("[from_blob] address " + std::to_string(reinterpret_cast<uintptr_t>(data)) +
                     ", needed: a multiple of the element's " + std::to_string(size_of(dtype)) +
                     " bytes");
  int64_t extent = 0;
  for (int i = 0; i < strides.rank(); ++i) {
    int64_t reach = 0;
    if (shape[i] > 1 && (__builtin_mul_overflow(shape[i] - 1, strides[i], &reach) ||
                         __builtin_add_overflow(extent, reach, &extent) || extent > kMostElements))
      throw ShapeError("[from_blob] shape " + shape.str() + " and strides " + strides.str() +
                       " reach further than memory can");
  }
  DeviceState* d = Device("cpu").state();
  auto foreign = std::make_unique<ForeignMemory>(std::move(deleter));
  TensorImpl* p = new_impl(dtype, shape.rank(), shape.data());
  try {
    p->storage = new (pool_get(sizeof(Storage))) Storage;
  } catch (...) {
    pool_put(p, sizeof(TensorImpl));
    throw;
  }
  View& v = p->view;
  if (!strides.empty()) {
    v.strides.assign(strides.rank(), strides.data());
    v.contiguous = is_row_major(v);
  }
  Storage* s = p->storage;
  s->foreign = foreign.release();
  s->device = d;
  s->stream = d->stream;
  s->block = {data, static_cast<size_t>(bytes_of(v))};
  v.data = data;
  return Tensor(p);
}

}  // namespace tinytorch
