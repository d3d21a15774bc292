// Attention: one row where the backend has it, else composed of products and softmax, whose
// gradient is theirs.
#include <tinytorch/ops/attention.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/matmul.h>
#include <tinytorch/ops/reduce.h>
#include <tinytorch/ops/softmax.h>

#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

constexpr const char* kName = "scaled_dot_product_attention";

std::string show_all(const Tensor& q, const Tensor& k, const Tensor& v) {
  return "[" + std::string(kName) + "] " + show(view_of(q)) + ", " + show(view_of(k)) + " and " +
         show(view_of(v));
}

bool shapes_fit(const View& q, const View& k, const View& v) {
  if (q.rank < 2 || k.rank < 2 || v.rank < 2) return false;
  if (q.shape[q.rank - 1] != k.shape[k.rank - 1] || k.shape[k.rank - 2] != v.shape[v.rank - 2])
    return false;
  const auto lead = [](const View& t) { return Shape(t.rank - 2, t.shape.d); };
  const std::optional<Shape> both = broadcast(lead(q), lead(k));
  return both && broadcast(*both, lead(v));
}

void check(const Tensor& q, const Tensor& k, const Tensor& v) {
  for (const Tensor* t : {&q, &k, &v}) {
    check_defined(kName, *t);
    check_floating(kName, *t);
    check_device(kName, q, *t);
  }
  if (view_of(q).dtype != view_of(k).dtype || view_of(q).dtype != view_of(v).dtype)
    throw DtypeError(show_all(q, k, v) + ", needed: one dtype");
  if (!shapes_fit(view_of(q), view_of(k), view_of(v)))
    throw ShapeError(show_all(q, k, v) +
                     ", needed: [..., T, D], [..., S, D] and [..., S, E] whose leading dims "
                     "broadcast");
}

// Where a key stands after the query: bool [T, S].
Tensor later(int64_t queries, int64_t keys, const Device& device) {
  const TensorOptions options{.device = device};
  return gt(arange(keys, options), arange(queries, options).unsqueeze(1));
}

// softmax(scale q k^T); the scale goes to q, which is smaller than the products.
Tensor weights(const Tensor& q, const Tensor& k, const AttentionParams& p) {
  Tensor scores = matmul(mul(q, p.scale), k.transpose(-1, -2));
  // exp() of the lowest number is 0 as of -infinity, which AnomalyMode would take for a fault.
  if (p.causal)
    scores = masked_fill(scores, later(q.size(-2), k.size(-2), q.device()),
                         std::numeric_limits<float>::lowest());
  return softmax(scores, -1);
}

// Keys and values that lie with gaps are made dense once for both directions.
Tensor composed(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionParams& p) {
  return matmul(weights(q, k.contiguous(), p), v.contiguous());
}

// With the weights w and t = g v^T, the gradient of the products q k^T is scale w (t - sum(w t)).
Grads composed_gradients(const Tensor& g, const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionParams& p, Needs need) {
  const Tensor w = weights(q, k, p);
  Tensor gq, gk;
  if (need[0] || need[1]) {
    const Tensor t = matmul(g, v.transpose(-1, -2));
    const Tensor slopes = mul(mul(w, sub(t, sum(mul(w, t), {-1}, true))), p.scale);
    if (need[0]) gq = matmul(slopes, k);
    if (need[1]) gk = matmul(slopes.transpose(-1, -2), q);
  }
  return Grads{gq, gk, need[2] ? matmul(w.transpose(-1, -2), g) : Tensor()};
}

// As the fused rows take it: four dims, rows that are dense and do not overlap.
Tensor with_heads(Tensor t) {
  while (t.rank() < 4) t = t.unsqueeze(0);
  const View& v = view_of(t);
  return v.strides[3] == 1 && v.strides[2] >= v.shape[3] ? t : t.contiguous();
}

bool fits_rows(const Tensor& q, const Tensor& k, const Tensor& v) {
  const int rank = q.rank();
  if (rank > 4 || k.rank() != rank || v.rank() != rank || !view_of(q).numel || !view_of(k).numel ||
      !view_of(v).numel)
    return false;
  for (int i = 0; i < rank - 2; ++i)
    if (k.size(i) != q.size(i) || v.size(i) != q.size(i)) return false;
  return has_kernel<rows::attention>(device_of(q)) &&
         has_kernel<rows::attention_grad>(device_of(q));
}

// q, k and v as with_heads makes them.
Tensor fused(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionParams& p) {
  const int64_t* const s = view_of(q).shape.d;
  Tensor out = make(device_of(q), view_of(q).dtype, {s[0], s[1], s[2], view_of(v).shape[3]});
  Tensor sums = make(device_of(q), view_of(q).dtype, {s[0], s[1], s[2]});
  launch<rows::attention>(kName, device_of(q), view_of(out), view_of(sums), use(q), use(k), use(v),
                          p);
  if (!recording(q, k, v)) return out;
  // Values are needed for the gradients of queries and keys only.
  const Tensor values = tracked(q) || tracked(k) ? v : Tensor();
  return attach(out, kName, {q, k, v},
                [q = Saved(q), k = Saved(k), v = Saved(values), sums = Saved(sums), p](
                    const Tensor& gradient, Needs need) {
                  if (grad_enabled()) return composed_gradients(gradient, q(), k(), v(), p, need);
                  const Tensor g = gradient.contiguous();
                  const auto gradient_like = [&](const Tensor& t, int64_t columns) {
                    Shape shape = shape_of(t);
                    shape[-1] = columns;
                    return make(device_of(g), view_of(g).dtype, shape);
                  };
                  const int64_t width = view_of(q()).shape[3];
                  Tensor gq, gk, gv;
                  if (need[0]) gq = gradient_like(q(), width);
                  if (need[1]) gk = gradient_like(k(), width);
                  if (need[2]) gv = gradient_like(k(), view_of(g).shape[3]);
                  launch<rows::attention_grad>(
                      "scaled_dot_product_attention_grad", device_of(g), use_optional(gq),
                      use_optional(gk), use_optional(gv), use(g), use(q()), use(k()),
                      use_optional(need[0] || need[1] ? v() : Tensor()), use(sums()), p);
                  return Grads{gq, gk, gv};
                });
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionOptions& o) {
  check(q, k, v);
  const int64_t width = std::max<int64_t>(q.size(-1), 1);
  const double scale = o.scale.value_or(1 / std::sqrt(static_cast<double>(width)));
  if (!std::isfinite(scale))
    throw ValueError("[" + std::string(kName) + "] scale " + std::to_string(scale) +
                     ", needed: a finite number");
  const AttentionParams p{scale, o.causal};
  if (!fits_rows(q, k, v)) return composed(q, k, v, p);
  Shape shape = shape_of(q);
  shape[-1] = v.size(-1);
  return fused(with_heads(q), with_heads(k), with_heads(v), p).reshape(shape);
}

}  // namespace tinytorch
