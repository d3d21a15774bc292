// Attention, composed of products and softmax: the gradient is theirs.
#include <tinytorch/ops/attention.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/matmul.h>
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

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionOptions& o) {
  check(q, k, v);
  const int64_t width = std::max<int64_t>(q.size(-1), 1);
  const double scale = o.scale.value_or(1 / std::sqrt(static_cast<double>(width)));
  if (!std::isfinite(scale))
    throw ValueError("[" + std::string(kName) + "] scale " + std::to_string(scale) +
                     ", needed: a finite number");
  // The scale goes to q, which is smaller than the products. Keys and values that lie with gaps
  // are made dense here, once for both directions.
  Tensor scores = matmul(mul(q, scale), k.contiguous().transpose(-1, -2));
  // exp() of the lowest number is 0 as of -infinity, which AnomalyMode would take for a fault.
  if (o.causal)
    scores = masked_fill(scores, later(q.size(-2), k.size(-2), q.device()),
                         std::numeric_limits<float>::lowest());
  return matmul(softmax(scores, -1), v.contiguous());
}

}  // namespace tinytorch
