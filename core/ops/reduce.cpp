// Sums, means, extremes. A reduction is computed with size 1 in the reduced dims; they go at the
// end unless keepdim.
#include <tinytorch/ops/reduce.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "core/ops/fold.h"
#include "core/ops/indexing.h"

namespace tinytorch {

namespace {

struct Dimset {
  int64_t count = 1;  // elements that go into one result
  Shape kept;         // with 1 where reduced
  Shape result;       // as the caller wants it
};

Dimset dims_of(const char* op, const Tensor& a, const Shape& dims, bool keepdim) {
  check_defined(op, a);
  check_computes(op, a);
  const View& v = view_of(a);
  bool in[kMaxRank] = {};
  for (int64_t d : dims) {
    const int k = wrap_dim(op, d, v);
    if (in[k])
      throw ShapeError("[" + std::string(op) + "] " + show(v) + " over dims " + dims.str() +
                       ", needed: every dim at most once");
    in[k] = true;
  }
  Dimset s;
  for (int i = 0; i < v.rank; ++i) {
    const bool gone = in[i] || dims.empty();
    if (gone) s.count *= v.shape[i];
    s.kept.push_back(gone ? 1 : v.shape[i]);
    if (!gone || keepdim) s.result.push_back(gone ? 1 : v.shape[i]);
  }
  return s;
}

// [outer, n, inner] around the reduced dims, if they stand side by side and there are elements.
std::optional<Shape> neighbours(const Tensor& a, const Dimset& s) {
  const View& v = view_of(a);
  int64_t sizes[3] = {1, 1, 1};
  int place = 0;  // before, among or behind the reduced dims
  for (int i = 0; i < v.rank; ++i) {
    if (v.shape[i] == 1) continue;
    const bool gone = s.kept[i] == 1;
    if (place == 2 && gone) return {};
    place = gone ? 1 : place == 0 ? 0 : 2;
    sizes[place] *= v.shape[i];
  }
  if (v.numel == 0) return {};
  return Shape{sizes[0], sizes[1], sizes[2]};
}

// The reduction of a, row-major with shape `kept`, seen as `result`.
Tensor reduced(const char* name, ReduceOp op, const Tensor& a, const Dimset& s, double scale = 1) {
  Tensor out = make(device_of(a), view_of(a).dtype, s.result);
  if (view_of(a).numel == 0) {  // the sum of nothing
    launch<rows::fill>(name, device_of(a), view_of(out), ScalarValue{0, 0});
    return out;
  }
  View o = view_of(a);
  o.data = view_of(out).data;
  int64_t stride = 1;
  for (int i = o.rank - 1; i >= 0; --i) {
    o.strides[i] = s.kept[i] == 1 ? 0 : stride;
    stride *= s.kept[i];
  }
  const Merged<2> m(use(a), o);
  launch<rows::reduce>(name, device_of(a), op, m[1], m[0], ReduceParams{scale});
  return out;
}

// A sum times `scale`: its gradient is g times `scale`, repeated.
Tensor scaled_sum(const char* name, const Tensor& a, const Dimset& s, double scale) {
  Tensor out = reduced(name, ReduceOp::sum, a, s, scale);
  if (!recording(a)) return out;
  return attach(out, name, {a}, [kept = s.kept, before = shape_of(a), scale](const Tensor& g) {
    const Tensor one = scale == 1 ? g : mul(g, scale);  // before it is repeated
    return Grads{one.reshape(kept).expand(before)};
  });
}

Tensor extreme(const char* name, ReduceOp op, const Tensor& a, const Shape& dims, bool keepdim) {
  const Dimset s = dims_of(name, a, dims, keepdim);
  if (s.count == 0)
    throw ShapeError("[" + std::string(name) + "] " + show(view_of(a)) + " over dims " +
                     dims.str() + ", needed: at least one element to choose from");
  Tensor out = reduced(name, op, a, s);
  if (!recording(a)) return out;
  return attach(
      out, name, {a}, [a = Saved(a), y = SavedOutput(out), kept = s.kept](const Tensor& g) {
        const Tensor best =
            eq(a(), y().detach().reshape(kept)).to(g.dtype());  // equal elements share
        Shape over;
        for (int i = 0; i < kept.rank(); ++i)
          if (kept[i] == 1) over.push_back(i);
        return Grads{mul(div(best, over.empty() ? best : sum(best, over, true)), g.reshape(kept))};
      });
}

Tensor index_of(const char* name, ReduceOp op, const Tensor& a, int dim, bool keepdim,
                Tensor* values) {
  check_defined(name, a);
  check_computes(name, a);
  const Folded f = fold(name, a, dim);
  if (f.n == 0)
    throw ShapeError("[" + std::string(name) + "] " + show(view_of(a)) + " over dim " +
                     std::to_string(dim) + ", needed: at least one element to choose from");
  const Shape result = view_of(a).rank ? dims_of(name, a, {dim}, keepdim).result : Shape{};
  Tensor indices = make(device_of(a), Dtype::i64, result);
  if (values) *values = make(device_of(a), view_of(a).dtype, result);
  const View* out = values ? &view_of(*values) : nullptr;
  if (view_of(a).numel)
    launch<rows::arg_reduce>(name, device_of(a), op, out, view_of(indices),
                             use(seen_as(dense(a), f.shape())));
  return indices;
}

ValuesAndIndices chosen(const char* name, ReduceOp op, const Tensor& a, int dim, bool keepdim) {
  Tensor values;
  Tensor indices = index_of(name, op, a, dim, keepdim, &values);
  if (!recording(a)) return {values, indices};
  const int d = wrap_dim(name, dim, view_of(a));
  const Shape before = shape_of(a);
  Tensor out =
      attach(values, name, {a}, [at = Saved(indices), d, before, keepdim](const Tensor& g) {
        if (before.empty()) return Grads{g};
        return Grads{scatter_add_to_zeros(before, d, keepdim ? at() : at().unsqueeze(d),
                                          keepdim ? g : g.unsqueeze(d))};
      });
  return {out, indices};
}

Tensor with_integers_as_i64(const Tensor& a) {
  check_defined("sum", a);
  return is_integral(view_of(a).dtype) ? a.to(Dtype::i64) : a;
}
Tensor real_only(const char* op, const Tensor& a) {
  check_defined(op, a);
  check_floating(op, a);
  return a;
}

}  // namespace

Tensor sum(const Tensor& t, const Shape& dims, bool keepdim) {
  const Tensor a = with_integers_as_i64(t);
  return scaled_sum("sum", a, dims_of("sum", a, dims, keepdim), 1);
}
Tensor sum(const Tensor& a) { return sum(a, {}); }
Tensor mean(const Tensor& t, const Shape& dims, bool keepdim) {
  const Tensor a = real_only("mean", t);
  const Dimset s = dims_of("mean", a, dims, keepdim);
  if (s.count == 0)
    return mul(scaled_sum("mean", a, s, 1),
               std::numeric_limits<double>::quiet_NaN());  // 0 / 0, as in PyTorch
  return scaled_sum("mean", a, s, 1.0 / static_cast<double>(s.count));
}
Tensor mean(const Tensor& a) { return mean(a, {}); }
Tensor var(const Tensor& t, const Shape& dims, bool unbiased, bool keepdim) {
  const Tensor a = real_only("var", t);
  const Dimset s = dims_of("var", a, dims, keepdim);
  const double n = static_cast<double>(s.count) - (unbiased ? 1 : 0);
  const double scale = n > 0 ? 1 / n : std::numeric_limits<double>::quiet_NaN();
  const std::optional<Shape> around = neighbours(a, s);
  if (!around || !has_kernel<rows::variance>(device_of(a)))
    return scaled_sum("var", square(sub(a, mean(a, dims, true))), s, scale);
  Tensor out = make(device_of(a), view_of(a).dtype, s.result);
  launch<rows::variance>("var", device_of(a), view_of(out), use(seen_as(dense(a), *around)),
                         ReduceParams{scale});
  if (!recording(a)) return out;
  return attach(out, "var", {a}, [a = Saved(a), s, dims, scale](const Tensor& g) {
    const Tensor distance = sub(a(), mean(a(), dims, true));
    return Grads{mul(distance, mul(g, 2 * scale).reshape(s.kept))};
  });
}

Tensor amax(const Tensor& a, const Shape& dims, bool keepdim) {
  return extreme("amax", ReduceOp::max, a, dims, keepdim);
}
Tensor amin(const Tensor& a, const Shape& dims, bool keepdim) {
  return extreme("amin", ReduceOp::min, a, dims, keepdim);
}
Tensor max(const Tensor& a) { return extreme("max", ReduceOp::max, a, {}, false); }
Tensor min(const Tensor& a) { return extreme("min", ReduceOp::min, a, {}, false); }
ValuesAndIndices max(const Tensor& a, int dim, bool keepdim) {
  return chosen("max", ReduceOp::max, a, dim, keepdim);
}
ValuesAndIndices min(const Tensor& a, int dim, bool keepdim) {
  return chosen("min", ReduceOp::min, a, dim, keepdim);
}
Tensor argmax(const Tensor& a, int dim, bool keepdim) {
  return index_of("argmax", ReduceOp::max, a, dim, keepdim, nullptr);
}
Tensor argmin(const Tensor& a, int dim, bool keepdim) {
  return index_of("argmin", ReduceOp::min, a, dim, keepdim, nullptr);
}
Tensor argmax(const Tensor& a) {
  check_defined("argmax", a);
  return argmax(a.detach().reshape({-1}), 0);
}
Tensor argmin(const Tensor& a) {
  check_defined("argmin", a);
  return argmin(a.detach().reshape({-1}), 0);
}

bool all(const Tensor& a) {
  check_defined("all", a);
  if (a.dtype() != Dtype::bool_) throw_dtype("all", view_of(a), "bool");
  return a.numel() == 0 ||
         reduced("all", ReduceOp::min, a, dims_of("all", a, {}, false)).item<bool>();
}
bool any(const Tensor& a) {
  check_defined("any", a);
  if (a.dtype() != Dtype::bool_) throw_dtype("any", view_of(a), "bool");
  return a.numel() != 0 &&
         reduced("any", ReduceOp::max, a, dims_of("any", a, {}, false)).item<bool>();
}

Tensor sum_to(const Tensor& a, const Shape& shape) {
  check_defined("sum_to", a);
  const View& v = view_of(a);
  const int lead = v.rank - shape.rank();
  Dimset s;
  s.result = shape;
  bool same = lead == 0;
  for (int i = 0; i < v.rank; ++i) {
    const int64_t want = i < lead ? 1 : shape[i - lead];
    if (lead < 0 || (want != v.shape[i] && want != 1))
      throw ShapeError("[sum_to] " + show(v) + " to " + shape.str() +
                       ", needed: a shape that broadcasts to it");
    same &= want == v.shape[i];
    s.kept.push_back(want);
  }
  if (lead < 0)
    throw ShapeError("[sum_to] " + show(v) + " to " + shape.str() +
                     ", needed: a shape that broadcasts to it");
  return same ? a : scaled_sum("sum_to", a, s, 1);
}

Tensor Tensor::sum() const { return tinytorch::sum(*this); }
Tensor Tensor::sum(const Shape& dims, bool keepdim) const {
  return tinytorch::sum(*this, dims, keepdim);
}
Tensor Tensor::mean() const { return tinytorch::mean(*this); }
Tensor Tensor::mean(const Shape& dims, bool keepdim) const {
  return tinytorch::mean(*this, dims, keepdim);
}
Tensor Tensor::max() const { return tinytorch::max(*this); }
ValuesAndIndices Tensor::max(int dim, bool keepdim) const {
  return tinytorch::max(*this, dim, keepdim);
}
Tensor Tensor::argmax() const { return tinytorch::argmax(*this); }
Tensor Tensor::argmax(int dim, bool keepdim) const {
  return tinytorch::argmax(*this, dim, keepdim);
}

}  // namespace tinytorch
