// Views: another shape, stride or offset on the same storage, with gradient. A view's gradient
// undoes the view.
#include <tinytorch/ops/view.h>

#include <algorithm>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/index.h>
#include <tinytorch/ops/reduce.h>

#include "core/autograd/saved_tensor.h"
#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

Shape strides_of(const Tensor& t) { return Shape(view_of(t).rank, view_of(t).strides.d); }

std::string op_text(const char* op, const Tensor& t) {
  return "[" + std::string(op) + "] " + show(view_of(t));
}

// Strides of v seen as `shape`, if that needs no copy: v is a list of blocks, each evenly spaced in
// memory, and every new dim must lie inside one of them.
std::optional<Shape> view_strides(const View& v, const Shape& shape) {
  Shape strides = shape;
  if (v.numel == 0 || v.contiguous) {
    int64_t n = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      strides[i] = n;
      n *= std::max<int64_t>(shape[i], 1);
    }
    return strides;
  }
  int64_t sizes[kMaxRank], steps[kMaxRank];  // of the blocks, last first
  int blocks = 0;
  for (int i = v.rank - 1; i >= 0; --i) {
    if (v.shape[i] == 1) continue;
    if (blocks && v.strides[i] == sizes[blocks - 1] * steps[blocks - 1]) {
      sizes[blocks - 1] *= v.shape[i];
    } else {
      sizes[blocks] = v.shape[i];
      steps[blocks++] = v.strides[i];
    }
  }
  int b = 0;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (b < blocks && sizes[b] == 1) ++b;
    strides[i] = b < blocks ? steps[b] : 1;
    if (shape[i] == 1) continue;
    if (b == blocks || sizes[b] % shape[i] != 0) return std::nullopt;
    sizes[b] /= shape[i];
    steps[b] *= shape[i];
  }
  return strides;
}

// Fills in the -1.
Shape complete(const char* op, const Tensor& t, Shape shape) {
  int unknown = -1;
  int64_t known = 1;
  bool overflow = false;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == -1 && unknown < 0) {
      unknown = i;
    } else if (shape[i] < 0) {
      throw ShapeError(op_text(op, t) + " to " + shape.str() +
                       ", needed: sizes of at least 0 and at most one -1");
    } else {
      overflow |= __builtin_mul_overflow(known, shape[i], &known);
    }
  }
  const int64_t n = view_of(t).numel;
  if (unknown >= 0 && known > 0 && n % known == 0) {
    shape[unknown] = n / known;
    known = n;
  }
  if (overflow || known != n || (unknown >= 0 && shape[unknown] == -1))
    throw ShapeError(op_text(op, t) + " to " + shape.str() +
                     ", needed: the same number of elements (" + std::to_string(n) + ")");
  return shape;
}

Tensor reshaped(const char* op, const Tensor& t, const Shape& shape, const Shape& strides) {
  Tensor out = alias(t, shape, strides, 0);
  if (!recording(t)) return out;
  return attach(out, op, {t},
                [before = shape_of(t)](const Tensor& g) { return Grads{g.reshape(before)}; });
}

}  // namespace

Tensor Tensor::view(const Shape& wanted) const {
  check_defined("view", *this);
  const Shape shape = complete("view", *this, wanted);
  const std::optional<Shape> strides = view_strides(impl_->view, shape);
  if (!strides)
    throw ShapeError(op_text("view", *this) + " with strides " + strides_of(*this).str() +
                     " cannot be seen as " + shape.str() + "; use reshape()");
  return reshaped("view", *this, shape, *strides);
}
Tensor Tensor::reshape(const Shape& wanted) const {
  check_defined("reshape", *this);
  const Shape shape = complete("reshape", *this, wanted);
  if (const std::optional<Shape> strides = view_strides(impl_->view, shape))
    return reshaped("reshape", *this, shape, *strides);
  return contiguous().view(shape);
}
Tensor Tensor::flatten(int start_dim, int end_dim) const {
  check_defined("flatten", *this);
  if (rank() == 0) return reshape({1});
  const int start = wrap_dim("flatten", start_dim, impl_->view),
            end = wrap_dim("flatten", end_dim, impl_->view);
  if (start > end)
    throw ShapeError(op_text("flatten", *this) + " from dim " + std::to_string(start) + " to " +
                     std::to_string(end) + ", needed: start <= end");
  Shape shape;
  int64_t merged = 1;
  for (int i = 0; i < rank(); ++i) {
    if (i >= start && i <= end) merged *= impl_->view.shape[i];
    if (i < start || i > end) shape.push_back(impl_->view.shape[i]);
    if (i == end) shape.push_back(merged);
  }
  return reshape(shape);
}

Tensor Tensor::permute(const Shape& dims) const {
  check_defined("permute", *this);
  const View& v = impl_->view;
  if (dims.rank() != v.rank)
    throw ShapeError(op_text("permute", *this) + " by " + dims.str() +
                     ", needed: one entry per dim");
  Shape shape, strides, order, inverse = dims;
  bool seen[kMaxRank] = {};
  for (int64_t d : dims) {
    const int k = wrap_dim("permute", d, v);
    if (seen[k])
      throw ShapeError(op_text("permute", *this) + " by " + dims.str() +
                       ", needed: every dim once");
    seen[k] = true;
    inverse[k] = order.rank();
    order.push_back(k);
    shape.push_back(v.shape[k]);
    strides.push_back(v.strides[k]);
  }
  Tensor out = alias(*this, shape, strides, 0);
  if (!recording(*this)) return out;
  return attach(out, "permute", {*this},
                [inverse](const Tensor& g) { return Grads{g.permute(inverse)}; });
}
Tensor Tensor::transpose(int dim0, int dim1) const {
  check_defined("transpose", *this);
  const int a = wrap_dim("transpose", dim0, impl_->view),
            b = wrap_dim("transpose", dim1, impl_->view);
  if (rank() == 0) return *this;
  Shape shape = shape_of(*this), strides = strides_of(*this);
  std::swap(shape[a], shape[b]);
  std::swap(strides[a], strides[b]);
  Tensor out = alias(*this, shape, strides, 0);
  if (!recording(*this)) return out;
  return attach(out, "transpose", {*this},
                [a, b](const Tensor& g) { return Grads{g.transpose(a, b)}; });
}
Tensor Tensor::t() const {
  check_defined("t", *this);
  if (rank() > 2)
    throw ShapeError(op_text("t", *this) + ", needed: rank 2 or less; use transpose()");
  return rank() == 2 ? transpose(0, 1) : *this;
}

Tensor Tensor::expand(const Shape& wanted) const {
  check_defined("expand", *this);
  const View& v = impl_->view;
  const int lead = wanted.rank() - v.rank;
  Shape shape = wanted;
  for (int i = 0; i < wanted.rank(); ++i) {
    if (i >= lead && shape[i] == -1) shape[i] = v.shape[i - lead];
    if (lead < 0 || shape[i] < 0 ||
        (i >= lead && v.shape[i - lead] != shape[i] && v.shape[i - lead] != 1))
      throw ShapeError(op_text("expand", *this) + " to " + wanted.str() +
                       ", needed: equal sizes, or 1 where it grows");
  }
  if (lead < 0)
    throw ShapeError(op_text("expand", *this) + " to " + wanted.str() +
                     ", needed: at least as many dims");
  check_sizes("expand", shape);
  const View big = broadcast_view(v, shape);
  Tensor out = alias(*this, shape, Shape(big.rank, big.strides.d), 0);
  if (!recording(*this)) return out;
  return attach(out, "expand", {*this},
                [before = shape_of(*this)](const Tensor& g) { return Grads{sum_to(g, before)}; });
}

Tensor Tensor::squeeze() const {
  check_defined("squeeze", *this);
  Shape shape;
  for (int64_t n : shape_of(*this))
    if (n != 1) shape.push_back(n);
  return reshape(shape);
}
Tensor Tensor::squeeze(int dim) const {
  check_defined("squeeze", *this);
  const int d = wrap_dim("squeeze", dim, impl_->view);
  if (rank() == 0 || impl_->view.shape[d] != 1) return *this;
  Shape shape, strides;
  for (int i = 0; i < rank(); ++i) {
    if (i == d) continue;
    shape.push_back(impl_->view.shape[i]);
    strides.push_back(impl_->view.strides[i]);
  }
  return reshaped("squeeze", *this, shape, strides);
}
Tensor Tensor::unsqueeze(int dim) const {
  check_defined("unsqueeze", *this);
  if (rank() == kMaxRank)
    throw ShapeError(op_text("unsqueeze", *this) + ", needed: rank below " +
                     std::to_string(kMaxRank));
  const int d = wrap_dim("unsqueeze", dim, impl_->view, rank() + 1);
  Shape shape, strides;
  for (int i = 0; i <= rank(); ++i) {
    if (i == d) {
      shape.push_back(1);
      strides.push_back(i < rank() ? impl_->view.shape[i] * impl_->view.strides[i] : 1);
    }
    if (i == rank()) break;
    shape.push_back(impl_->view.shape[i]);
    strides.push_back(impl_->view.strides[i]);
  }
  return reshaped("unsqueeze", *this, shape, strides);
}

// Elements from, from + step, ... before `to`, which lie inside.
static Tensor sliced(const char* op, const Tensor& t, int d, int64_t from, int64_t to,
                     int64_t step) {
  Shape shape = shape_of(t), strides = strides_of(t);
  shape[d] = to > from ? (to - from - 1) / step + 1 : 0;
  const int64_t offset = shape[d] ? from * strides[d] : 0;
  if (shape[d] > 1) strides[d] *= step;
  Tensor out = alias(t, shape, strides, offset);
  if (!recording(t)) return out;
  return attach(out, op, {t}, [before = shape_of(t), d, from, to, step](const Tensor& g) {
    // zeros with g in their middle, made of ops so that it has a gradient itself
    if (step == 1) {
      Shape left = before, right = before;
      left[d] = from;
      right[d] = before[d] - to;
      const TensorOptions options{.dtype = g.dtype(), .device = g.device()};
      return Grads{cat({zeros(left, options), g, zeros(right, options)}, d)};
    }
    const Tensor index = arange(from, to, step, {.device = g.device()});
    return Grads{index_add(zeros(before, {.dtype = g.dtype(), .device = g.device()}), d, index, g)};
  });
}

Tensor Tensor::slice(int dim, int64_t start, int64_t end, int64_t step) const {
  check_defined("slice", *this);
  if (rank() == 0) throw ShapeError(op_text("slice", *this) + ", needed: at least one dim");
  if (step < 1)
    throw ShapeError(op_text("slice", *this) + " with step " + std::to_string(step) +
                     ", needed: at least 1");
  const int d = wrap_dim("slice", dim, impl_->view);
  const int64_t n = impl_->view.shape[d];
  auto clamped = [n](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + n : i, 0, n); };
  const int64_t from = clamped(start), to = std::max(from, clamped(end));
  return sliced("slice", *this, d, from, to, step);
}
Tensor Tensor::narrow(int dim, int64_t start, int64_t length) const {
  check_defined("narrow", *this);
  if (rank() == 0) throw ShapeError(op_text("narrow", *this) + ", needed: at least one dim");
  const int d = wrap_dim("narrow", dim, impl_->view);
  const int64_t n = impl_->view.shape[d];
  if (start < 0 || length < 0 || start > n - length)
    throw ShapeError(op_text("narrow", *this) + " at dim " + std::to_string(dim) + " from " +
                     std::to_string(start) + " by " + std::to_string(length) +
                     ", needed: inside its size " + std::to_string(n));
  return sliced("narrow", *this, d, start, start + length, 1);
}
Tensor Tensor::select(int dim, int64_t index) const {
  check_defined("select", *this);
  if (rank() == 0) throw ShapeError(op_text("select", *this) + ", needed: at least one dim");
  const int d = wrap_dim("select", dim, impl_->view);
  const int64_t n = impl_->view.shape[d];
  if (index < -n || index >= n)
    throw IndexError(op_text("select", *this) + " at dim " + std::to_string(dim) + ", index " +
                     std::to_string(index) + ", needed: " + std::to_string(-n) + " <= index < " +
                     std::to_string(n));
  return narrow(d, index < 0 ? index + n : index, 1).squeeze(d);
}

Tensor flatten(const Tensor& a, int start_dim, int end_dim) {
  return a.flatten(start_dim, end_dim);
}
Tensor reshape(const Tensor& a, const Shape& shape) { return a.reshape(shape); }
Tensor transpose(const Tensor& a, int dim0, int dim1) { return a.transpose(dim0, dim1); }
Tensor permute(const Tensor& a, const Shape& dims) { return a.permute(dims); }
Tensor expand(const Tensor& a, const Shape& shape) { return a.expand(shape); }

}  // namespace tinytorch
