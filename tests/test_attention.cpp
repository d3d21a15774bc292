// Attention over more queries than a kernel works on at once: the fused rows against the composed
// form, on heads that lie between those of others.
#include <gtest/gtest.h>

#include "tests/op_cases/op_cases.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using op_cases::Tensors;

struct Heads {
  Tensor q, k, v;
};

// One projection cut into queries, keys and values, and these into heads: views [2, 3, T, D].
Heads split_heads(const Tensor& projection, int64_t queries, int64_t keys) {
  const auto by_head = [&](const Tensor& t, int64_t length) {
    return t.slice(1, 0, length).reshape({2, length, 3, 5}).transpose(1, 2);
  };
  const std::vector<Tensor> parts = projection.split(15, -1);
  return {by_head(parts[0], queries), by_head(parts[1], keys), by_head(parts[2], keys)};
}

// The result, and the gradient of the projection.
Tensors attend(const Device& device, int64_t queries, int64_t keys, bool causal, bool fused) {
  const FusedGuard guard(fused);
  manual_seed(5);
  const Tensor x = randn({2, std::max(queries, keys), 45}, {.dtype = Dtype::f64, .device = device})
                       .requires_grad_();
  const Heads h = split_heads(x, queries, keys);
  const Tensor out = scaled_dot_product_attention(h.q, h.k, h.v, {.causal = causal});
  sum(square(out)).backward();
  return {out, x.grad()};
}

TEST(Attention, LongSequencesEqualTheComposedForm) {
  for (const std::string& name : test_devices()) {
    for (const auto& [queries, keys] :
         {std::pair<int64_t, int64_t>{150, 150}, {131, 70}, {65, 200}}) {
      for (const bool causal : {false, true}) {
        SCOPED_TRACE(name + ", " + std::to_string(queries) + " queries, " + std::to_string(keys) +
                     " keys" + (causal ? ", causal" : ""));
        const Device device(name);
        const Tensors got = attend(device, queries, keys, causal, true),
                      want = attend(device, queries, keys, causal, false);
        for (size_t i = 0; i < got.size(); ++i) {
          const std::vector<double> a = values(got[i]), b = values(want[i]);
          ASSERT_EQ(a.size(), b.size());
          for (size_t j = 0; j < a.size(); ++j) ASSERT_NEAR(a[j], b[j], 1e-12) << i << ", " << j;
        }
      }
    }
  }
}

TEST(Attention, ThreadsChangeNoBit) {
  const int before = num_threads();
  set_num_threads(1);
  const Tensors one = attend(Device("cpu"), 150, 131, true, true);
  set_num_threads(2);
  const Tensors two = attend(Device("cpu"), 150, 131, true, true);
  set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(values(one[i]), values(two[i]));
}

// The gradient of the values needs the weights alone.
TEST(Attention, ValuesAreKeptForQueriesAndKeysOnly) {
  for (const std::string& name : test_devices()) {
    const Device device(name);
    const Tensor q = randn({3, 4}, {.device = device}), k = randn({5, 4}, {.device = device});
    Tensor v = randn({5, 2}, {.device = device, .requires_grad = true});
    const Tensor out = scaled_dot_product_attention(q, k, v);
    {
      const NoGrad guard;
      v.add_(1);
    }
    sum(out).backward();
    const Tensor weights = softmax(matmul(mul(q, 0.5), k.transpose(0, 1)), -1);
    const std::vector<double> got = values(v.grad()),
                              want = values(sum(weights, {0}).unsqueeze(1).expand({5, 2}));
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-6) << name;
  }
}

// A stretched query has rows on top of each other, which no matrix product could take.
TEST(Attention, StretchedQueries) {
  for (const std::string& name : test_devices()) {
    const Device device(name);
    const Tensor q = randn({2, 1, 4}, {.device = device}),
                 k = randn({2, 70, 4}, {.device = device}),
                 v = randn({2, 70, 3}, {.device = device});
    const Tensor stretched = scaled_dot_product_attention(q.expand({2, 90, 4}), k, v),
                 plain = scaled_dot_product_attention(q.expand({2, 90, 4}).contiguous(), k, v);
    EXPECT_EQ(values(stretched), values(plain)) << name;
  }
}

}  // namespace
}  // namespace tinytorch::testing
