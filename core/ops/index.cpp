// Indexing with tensors. Each read has an adding write as its gradient and the other way round, so
// every order of derivative exists. Index values are checked by the kernels.
#include <tinytorch/ops/index.h>

#include <tinytorch/ops/create.h>

#include "core/ops/fold.h"
#include "core/ops/indexing.h"

namespace tinytorch {

namespace {

void check_index(const char* op, const Tensor& a, const Tensor& index) {
  check_defined(op, a);
  check_defined(op, index);
  check_device(op, a, index);
  if (view_of(index).dtype != Dtype::i64 && view_of(index).dtype != Dtype::i32)
    throw_dtype(op, view_of(index), "indices of i64 (or i32)");
}
Tensor as_index(const Tensor& index) { return index.detach().to(Dtype::i64).contiguous(); }
[[noreturn]] TT_COLD void throw_shapes(const char* op, const Tensor& a, const Tensor& b,
                                       const char* needed) {
  throw ShapeError("[" + std::string(op) + "] " + show(view_of(a)) + " and " + show(view_of(b)) +
                   ", needed: " + needed);
}
void check_addable(const char* op, const Tensor& base, const Tensor& src) {
  check_defined(op, src);
  check_device(op, base, src);
  const Dtype d = view_of(base).dtype;
  if (d != view_of(src).dtype) throw_dtype(op, view_of(src), "the dtype of what it is added to");
  if (d == Dtype::u8 || d == Dtype::bool_ || is_storage_only(d))
    throw_dtype(op, view_of(base), "f32, f64, i64 or i32");
}

// index cut down to where it fits into a: gather reads a[..., index, ...] at the index's own place
// in the other dims.
Tensor corner(const Tensor& a, const Tensor& index, int dim) {
  Tensor x = a;
  for (int i = 0; i < a.rank(); ++i)
    if (i != dim && view_of(a).shape[i] != view_of(index).shape[i])
      x = x.narrow(i, 0, view_of(index).shape[i]);
  return x;
}
void check_corner(const char* op, const Tensor& a, const Tensor& index, int dim) {
  bool fits = a.rank() == index.rank();
  for (int i = 0; fits && i < a.rank(); ++i)
    fits = i == dim || view_of(index).shape[i] <= view_of(a).shape[i];
  if (!fits)
    throw_shapes(op, a, index, "an index of the same rank, and no larger in the other dims");
}

}  // namespace

Tensor index_select_as(const char* op, const Tensor& t, int dim, const Tensor& index) {
  check_index(op, t, index);
  if (view_of(index).rank > 1) throw_shapes(op, t, index, "an index of rank 1");
  if (view_of(t).rank == 0) throw_shapes(op, t, index, "at least one dim to select from");
  const Tensor a = t.contiguous(), i = as_index(index);
  const Folded f = fold(op, a, dim);
  Shape shape = shape_of(a);
  shape[f.dim] = view_of(i).numel;
  Tensor out = make(device_of(a), view_of(a).dtype, shape);
  if (view_of(out).numel)
    launch<rows::index_select>(op, device_of(a),
                               view_of(seen_as(out, {f.outer, view_of(i).numel, f.inner})),
                               use(seen_as(a, f.shape())), use(seen_as(i, {view_of(i).numel})));
  if (!recording(a)) return out;
  return attach(out, op, {a}, [i = Saved(i), before = shape_of(a), d = f.dim](const Tensor& g) {
    return Grads{index_add_to_zeros(before, d, i(), g)};
  });
}
Tensor index_select(const Tensor& t, int dim, const Tensor& index) {
  return index_select_as("index_select", t, dim, index);
}

namespace {

Tensor detached_copy(const Tensor& base) {
  NoGrad guard;
  return base.clone();
}

// Rows index_add and scatter_add into `out`; the index is i64 and dense, the source dense.
void add_indexed(const Tensor& out, const Folded& f, const Tensor& index, const Tensor& source) {
  const int64_t m = view_of(index).numel;
  if (view_of(source).numel)
    launch<rows::index_add>("index_add", device_of(out), view_of(seen_as(out, f.shape())),
                            use(seen_as(index, {m})), use(seen_as(source, {f.outer, m, f.inner})));
}
void add_scattered(const Tensor& out, int d, const Tensor& index, const Tensor& source) {
  NoGrad guard;
  const Tensor place = corner(out, index, d);
  const Tensor target = place.contiguous();  // itself unless the index is smaller
  const Folded f = fold("scatter_add", target, d), fi = fold("scatter_add", index, d);
  if (view_of(source).numel)
    launch<rows::scatter_add>("scatter_add", device_of(out), view_of(seen_as(target, f.shape())),
                              use(seen_as(index, fi.shape())), use(seen_as(source, fi.shape())));
  if (!target.shares_storage(place)) copy_into(place, target);
}

}  // namespace

Tensor index_add(const Tensor& base, int dim, const Tensor& index, const Tensor& source) {
  check_index("index_add", base, index);
  check_addable("index_add", base, source);
  if (view_of(base).rank == 0 || view_of(index).rank > 1)
    throw_shapes("index_add", base, index, "at least one dim, and an index of rank 1");
  const Folded f = fold("index_add", base, dim);
  const int64_t m = view_of(index).numel;
  Shape expected = shape_of(base);
  expected[f.dim] = m;
  if (!(shape_of(source) == expected))
    throw_shapes("index_add", base, source,
                 "a source with the base's shape, but as many entries along dim as the index has");
  const Tensor i = as_index(index), src = source.contiguous();
  Tensor out = detached_copy(base);
  add_indexed(out, f, i, src);
  if (!recording(base, src)) return out;
  return attach(
      out, "index_add", {base, src}, [i = Saved(i), d = f.dim](const Tensor& g, Needs need) {
        return Grads{need[0] ? g : Tensor(), need[1] ? index_select(g, d, i()) : Tensor()};
      });
}

Tensor index_add_to_zeros(const Shape& shape, int d, const Tensor& i, const Tensor& source) {
  const Tensor src = source.contiguous();
  Tensor out = zeros(shape, {.dtype = src.dtype(), .device = src.device()});
  add_indexed(out, fold("index_add", out, d), i, src);
  if (!recording(src)) return out;
  return attach(out, "index_add", {src},
                [i = Saved(i), d](const Tensor& g) { return Grads{index_select(g, d, i())}; });
}

Tensor gather_as(const char* op, const Tensor& t, int dim, const Tensor& index) {
  check_index(op, t, index);
  const int d = wrap_dim(op, dim, view_of(t));
  check_corner(op, t, index, d);
  const Tensor a = corner(t, index, d).contiguous(), i = as_index(index);
  const Folded f = fold(op, a, d), fi = fold(op, i, d);
  Tensor out = make(device_of(a), view_of(a).dtype, shape_of(i));
  if (view_of(out).numel)
    launch<rows::gather>(op, device_of(a), view_of(seen_as(out, fi.shape())),
                         use(seen_as(a, f.shape())), use(seen_as(i, fi.shape())));
  if (!recording(a)) return out;
  return attach(out, op, {a}, [i = Saved(i), before = shape_of(a), d](const Tensor& g) {
    return Grads{scatter_add_to_zeros(before, d, i(), g)};
  });
}
Tensor gather(const Tensor& t, int dim, const Tensor& index) {
  return gather_as("gather", t, dim, index);
}

Tensor scatter_add(const Tensor& base, int dim, const Tensor& index, const Tensor& source) {
  check_index("scatter_add", base, index);
  check_addable("scatter_add", base, source);
  const int d = wrap_dim("scatter_add", dim, view_of(base));
  check_corner("scatter_add", base, index, d);
  if (!(shape_of(source) == shape_of(index)))
    throw_shapes("scatter_add", index, source, "a source of the index's shape");
  const Tensor i = as_index(index), src = source.contiguous();
  Tensor out = detached_copy(base);
  add_scattered(out, d, i, src);
  if (!recording(base, src)) return out;
  return attach(out, "scatter_add", {base, src}, [i = Saved(i), d](const Tensor& g, Needs need) {
    return Grads{need[0] ? g : Tensor(), need[1] ? gather(g, d, i()) : Tensor()};
  });
}

Tensor scatter_add_to_zeros(const Shape& shape, int d, const Tensor& i, const Tensor& source) {
  const Tensor src = source.contiguous();
  Tensor out = zeros(shape, {.dtype = src.dtype(), .device = src.device()});
  add_scattered(out, d, i, src);
  if (!recording(src)) return out;
  return attach(out, "scatter_add", {src},
                [i = Saved(i), d](const Tensor& g) { return Grads{gather(g, d, i())}; });
}

Tensor embedding(const Tensor& weight, const Tensor& index) {
  check_index("embedding", weight, index);
  if (view_of(weight).rank != 2) throw_shapes("embedding", weight, index, "a weight [V, D]");
  Shape shape = shape_of(index);
  shape.push_back(view_of(weight).shape[1]);
  return index_select_as("embedding", weight, 0, index.reshape({-1})).reshape(shape);
}

Tensor one_hot(const Tensor& index, int64_t classes, Dtype dtype) {
  check_index("one_hot", index, index);
  if (classes < 1)
    throw ValueError("[one_hot] " + std::to_string(classes) + " classes, needed: at least 1");
  const TensorOptions options{.dtype = dtype, .device = index.device()};
  const Tensor rows = eye(classes, {}, options);
  Shape shape = shape_of(index);
  shape.push_back(classes);
  return index_select_as("one_hot", rows, 0, index.reshape({-1})).reshape(shape);
}

Tensor Tensor::gather(int dim, const Tensor& index) const {
  return tinytorch::gather(*this, dim, index);
}
Tensor Tensor::index_select(int dim, const Tensor& index) const {
  return tinytorch::index_select(*this, dim, index);
}

}  // namespace tinytorch
