// Cases of attention: lengths that differ, leading dims that broadcast, layouts as a split of one
// projection gives them.
#include "tests/op_cases/op_cases.h"

#include <cmath>

namespace tinytorch::op_cases {
namespace {

// Element (row, column) of matrix z of the stretched batch, by plain index arithmetic.
class Batched {
 public:
  Batched(const HostArray& a, const Shape& batch) : a_(a), batch_(batch) {}
  double at(int64_t z, int64_t row, int64_t column) const {
    const int lead = a_.shape.rank() - 2;
    int64_t matrix = 0, step = 1;
    for (int d = batch_.rank() - 1; d >= 0; --d) {
      const int own = d - (batch_.rank() - lead);
      const int64_t n = own < 0 ? 1 : a_.shape[own];
      if (n > 1) matrix += z % batch_[d] * step;
      step *= n;
      z /= batch_[d];
    }
    return a_.v[static_cast<size_t>((matrix * a_.shape[lead] + row) * a_.shape[lead + 1] + column)];
  }

 private:
  const HostArray& a_;
  Shape batch_;
};

Shape lead_of(const HostArray& a) { return Shape(a.shape.rank() - 2, a.shape.data()); }

Oracle attention_oracle(const AttentionOptions& o) {
  return [o](const std::vector<HostArray>& in) {
    const Shape batch =
        broadcast_shapes(broadcast_shapes(lead_of(in[0]), lead_of(in[1])), lead_of(in[2]));
    const Batched q(in[0], batch), k(in[1], batch), v(in[2], batch);
    const auto size = [&](int i, int from_end) {
      return in[static_cast<size_t>(i)].shape[in[static_cast<size_t>(i)].shape.rank() - from_end];
    };
    const int64_t queries = size(0, 2), width = size(0, 1), keys = size(1, 2), values = size(2, 1);
    const double scale = o.scale.value_or(1 / std::sqrt(static_cast<double>(width)));
    Shape shape = batch;
    shape.push_back(queries);
    shape.push_back(values);
    HostArray r = host_array(shape);
    for (int64_t z = 0; z < batch.numel(); ++z)
      for (int64_t i = 0; i < queries; ++i) {
        const int64_t seen = o.causal ? std::min(i + 1, keys) : keys;
        std::vector<double> weight(static_cast<size_t>(seen));
        double top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double& s = weight[static_cast<size_t>(j)];
          for (int64_t d = 0; d < width; ++d) s += scale * q.at(z, i, d) * k.at(z, j, d);
          top = std::fmax(top, s);
        }
        for (double& s : weight) sum += s = std::exp(s - top);
        for (int64_t j = 0; j < seen; ++j)
          for (int64_t e = 0; e < values; ++e)
            r.v[static_cast<size_t>((z * queries + i) * values + e)] +=
                weight[static_cast<size_t>(j)] / sum * v.at(z, j, e);
      }
    return std::vector<HostArray>{r};
  };
}

// A product is off by eps sum|q k|, and exp makes that a relative error of its weight.
Run attention_terms(const AttentionOptions& o) {
  return [o](const Tensors& in) {
    const Tensor& q = in[0];
    const Tensor out = scaled_dot_product_attention(q, in[1], abs(in[2]), o);
    if (!out.numel() || !in[1].numel()) return Tensors{out};
    const double scale = o.scale.value_or(1 / std::sqrt(static_cast<double>(q.size(-1))));
    const Tensor products = mul(matmul(abs(q), abs(in[1]).transpose(-1, -2)), std::fabs(scale));
    return Tensors{mul(out, add(mul(amax(products, {-1}, true), 2.0), 1.0))};
  };
}

}  // namespace

Cases attention_cases() {
  Cases cases;
  const auto put = [&](const std::string& variant, std::vector<Input> in,
                       const AttentionOptions& o = {}, bool grad = true) {
    cases.push_back({.op = "scaled_dot_product_attention",
                     .variant = variant,
                     .inputs = std::move(in),
                     .run =
                         [o](const Tensors& t) {
                           return Tensors{scaled_dot_product_attention(t[0], t[1], t[2], o)};
                         },
                     .tolerance = terms(attention_terms(o)),
                     .oracle = attention_oracle(o),
                     .differentiable = grad,
                     .bench = variant.starts_with("bench")});
  };
  const AttentionOptions causal{.causal = true};
  for (const auto& [name, o] : {std::pair("", AttentionOptions{}), std::pair("causal_", causal)}) {
    const std::string n = name;
    put(n + "rank2", {real({4, 3}), real({4, 3}), real({4, 2})}, o);
    put(n + "rank3", {real({2, 3, 4}), real({2, 3, 4}), real({2, 3, 4})}, o);
    put(n + "rank4", {real({2, 2, 3, 2}), real({2, 2, 3, 2}), real({2, 2, 3, 2})}, o);
    put(n + "more_keys", {real({2, 3, 2}), real({2, 5, 2}), real({2, 5, 3})}, o);
    put(n + "more_queries", {real({2, 5, 2}), real({2, 3, 2}), real({2, 3, 1})}, o);
    put(n + "broadcasts", {real({2, 1, 3, 2}), real({3, 4, 2}), real({2, 3, 4, 2})}, o);
    put(n + "one", {real({1, 1}), real({1, 1}), real({1, 1})}, o);
    put(n + "f64",
        {real({3, 2}).as(Dtype::f64), real({3, 2}).as(Dtype::f64), real({3, 2}).as(Dtype::f64)}, o);
    put(n + "no_queries", {real({0, 2}), real({3, 2}), real({3, 2})}, o, false);
    put(n + "no_keys", {real({2, 2}), real({0, 2}), real({0, 3})}, o, false);
    put(n + "no_batch", {real({0, 3, 2}), real({0, 3, 2}), real({0, 3, 2})}, o, false);
    for (Layout l : all_layouts())
      put(n + name_of(l),
          {real({2, 3, 4}).laid(l), real({2, 3, 4}).laid(l), real({2, 3, 4}).laid(l)}, o);
    put(n + "bench", {real({4, 4, 64, 32}), real({4, 4, 64, 32}), real({4, 4, 64, 32})}, o, false);
  }
  put("scale", {real({3, 4}), real({3, 4}), real({3, 2})}, {.scale = 1.7});
  put("no_scale", {real({3, 4}), real({3, 4}), real({3, 2})}, {.scale = 1.0});
  put("scale_and_causal", {real({3, 4}), real({3, 4}), real({3, 2})}, {true, -0.6});
  put("no_width", {real({2, 0}), real({3, 0}), real({3, 2})}, {.scale = 1.0}, false);
  put("far_apart", {real({3, 4}, -40, 40), real({5, 4}, -40, 40), real({5, 2})}, {}, false);
  put("query_tracked", {real({3, 2}), real({3, 2}).no_grad(), real({3, 2}).no_grad()}, causal);
  put("key_tracked", {real({3, 2}).no_grad(), real({3, 2}), real({3, 2}).no_grad()}, causal);
  put("value_tracked", {real({3, 2}).no_grad(), real({3, 2}).no_grad(), real({3, 2})}, causal);
  return cases;
}

}  // namespace tinytorch::op_cases
