// Bad arguments of matrix products, layers, losses, views and indexing. The rules of a row are in
// error_table.h.
#include <cmath>

#include "tests/error_table.h"

namespace tinytorch::testing {
namespace {

class LayerErrors : public OnDevice {};
TT_ON_EVERY_DEVICE(LayerErrors);

TEST_P(LayerErrors, MatricesAndConvolution) {
  ErrorTable t(device_);
  t.shape("matmul", {"[2, 3]", "[4, 2]"}, [] { matmul(f({2, 3}), f({4, 2})); });
  t.shape("matmul", {"[3]", "[4]"}, [] { matmul(f({3}), f({4})); });
  t.shape("matmul", {"[]", "[3]"}, [] { matmul(f({}), f({3})); });
  t.shape("matmul", {"[2, 2, 3]", "[3, 3, 2]"}, [] { matmul(f({2, 2, 3}), f({3, 3, 2})); });
  t.dtype("matmul", {"i64"}, [] { matmul(i({2, 2}), i({2, 2})); });
  t.dtype("matmul", {"f32", "f64"}, [] { matmul(f({2, 2}), d({2, 2})); });
  t.shape("linear", {"[2, 3]", "[5, 4]"}, [] { linear(f({2, 3}), f({5, 4})); });
  t.shape("linear", {"[5, 3]", "[4]"}, [] { linear(f({2, 3}), f({5, 3}), f({4})); });
  t.shape("linear", {"[3]"}, [] { linear(f({2, 3}), f({3})); });
  t.dtype("linear", {"f32", "f64"}, [] { linear(f({2, 3}), d({5, 3})); });
  t.dtype("linear", {"i64"}, [] { linear(i({2, 3}), i({5, 3})); });
  t.value("linear", {"activation", "9"}, [] {
    linear(f({2, 3}), f({5, 3}), {}, static_cast<Activation>(9));
  });
  t.shape("conv2d", {"[2, 3, 4]"}, [] { conv2d(f({2, 3, 4}), f({2, 3, 2, 2})); });
  t.shape("conv2d", {"[1, 3, 4, 4]", "[2, 2, 2, 2]"}, [] {
    conv2d(f({1, 3, 4, 4}), f({2, 2, 2, 2}));
  });
  t.shape("conv2d", {"[3]", "[2]"}, [] { conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), f({3})); });
  t.shape("conv2d", {"[1, 1, 2, 2]", "[1, 1, 3, 3]"}, [] {
    conv2d(f({1, 1, 2, 2}), f({1, 1, 3, 3}));
  });
  t.shape("conv2d", {"groups", "2"}, [] {
    conv2d(f({1, 3, 4, 4}), f({2, 1, 2, 2}), {}, {.groups = 2});
  });
  t.shape("conv2d", {"groups", "0"}, [] {
    conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), {}, {.groups = 0});
  });
  t.shape("conv2d", {"stride", "0"}, [] {
    conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), {}, {.stride = {0, 1}});
  });
  t.shape("conv2d", {"padding", "-1"}, [] {
    conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), {}, {.padding = {0, -1}});
  });
  t.shape("conv2d", {"dilation", "0"}, [] {
    conv2d(f({1, 3, 4, 4}), f({2, 3, 2, 2}), {}, {.dilation = {1, 0}});
  });
  t.dtype("conv2d", {"f32", "f64"}, [] { conv2d(f({1, 3, 4, 4}), d({2, 3, 2, 2})); });
  t.dtype("conv2d", {"i64"}, [] { conv2d(i({1, 3, 4, 4}), i({2, 3, 2, 2})); });
  t.shape("conv2d_grad_input", {"[1, 2, 9, 9]"}, [] {
    conv2d_grad_input(f({1, 2, 9, 9}), f({2, 3, 2, 2}), {1, 3, 4, 4});
  });
  t.shape("conv2d_grad_weight", {"[1, 2, 9, 9]"}, [] {
    conv2d_grad_weight(f({1, 2, 9, 9}), f({1, 3, 4, 4}), {2, 3, 2, 2});
  });
}

TEST_P(LayerErrors, PoolingNormsAndLosses) {
  ErrorTable t(device_);
  const std::array<int64_t, 2> two{2, 2};
  t.shape("max_pool2d", {"[2, 4]"}, [two] { max_pool2d(f({2, 4}), two); });
  t.shape("max_pool2d", {"[1, 1, 1, 4]"}, [two] { max_pool2d(f({1, 1, 1, 4}), two); });
  t.shape("max_pool2d", {"padding", "2"}, [two] {
    max_pool2d(f({1, 1, 4, 4}), two, {.padding = {2, 0}});
  });
  t.shape("max_pool2d", {"0"}, [] { max_pool2d(f({1, 1, 4, 4}), {0, 2}); });
  t.shape("max_pool2d", {"stride"}, [two] {
    max_pool2d(f({1, 1, 4, 4}), two, {.stride = std::array<int64_t, 2>{0, 1}});
  });
  t.dtype("max_pool2d", {"i64"}, [two] { max_pool2d(i({1, 1, 4, 4}), two); });
  t.shape("max_pool2d_with_indices", {"[3]"}, [two] { max_pool2d_with_indices(f({3}), two); });
  t.shape("avg_pool2d", {"[2, 4]"}, [two] { avg_pool2d(f({2, 4}), two); });
  t.shape("avg_pool2d", {"padding"}, [two] {
    avg_pool2d(f({1, 1, 4, 4}), two, {.padding = {0, 2}});
  });
  t.shape("avg_pool2d", {"dilation"}, [two] {
    avg_pool2d(f({1, 1, 4, 4}), two, {.dilation = {2, 1}});
  });
  t.dtype("avg_pool2d", {"i64"}, [two] { avg_pool2d(i({1, 1, 4, 4}), two); });
  t.shape("adaptive_avg_pool2d", {"[4, 4]"}, [two] { adaptive_avg_pool2d(f({4, 4}), two); });
  t.shape("adaptive_avg_pool2d", {"[0, 2]"}, [] { adaptive_avg_pool2d(f({1, 1, 4, 4}), {0, 2}); });
  t.shape("adaptive_avg_pool2d", {"[1, 1, 0, 4]"}, [two] {
    adaptive_avg_pool2d(f({1, 1, 0, 4}), two);
  });
  t.dtype("adaptive_avg_pool2d", {"i64"}, [two] { adaptive_avg_pool2d(i({1, 1, 4, 4}), two); });
  t.shape("batch_norm", {"[4]"}, [] { batch_norm(f({4}), {}, {}); });
  t.shape("batch_norm", {"[2, 3]", "[4]"}, [] { batch_norm(f({2, 3}), {}, {}, f({4})); });
  t.shape("batch_norm", {"[2, 3]", "[2]"}, [] { batch_norm(f({2, 3}), f({2}), f({2})); });
  t.dtype("batch_norm", {"i64"}, [] { batch_norm(i({2, 3}), {}, {}); });
  t.shape("layer_norm", {"[2, 3]", "[4]"}, [] { layer_norm(f({2, 3}), {4}); });
  t.shape("layer_norm", {"[2, 3]", "[2]"}, [] { layer_norm(f({2, 3}), {2}); });
  t.shape("layer_norm", {"[3]", "[2, 3]"}, [] { layer_norm(f({3}), {2, 3}); });
  t.shape("layer_norm", {"[2, 3]", "[]"}, [] { layer_norm(f({2, 3}), {}); });
  t.shape("layer_norm", {"weight", "[2, 3]"}, [] { layer_norm(f({2, 3}), {3}, f({2, 3})); });
  t.shape("layer_norm", {"bias", "[2]"}, [] { layer_norm(f({2, 3}), {3}, {}, f({2})); });
  t.shape("layer_norm", {"weight", "i64"}, [] { layer_norm(f({2, 3}), {3}, i({3})); });
  t.value("layer_norm", {"eps", "-1"}, [] { layer_norm(f({2, 3}), {3}, {}, {}, -1); });
  t.dtype("layer_norm", {"i64"}, [] { layer_norm(i({2, 3}), {3}); });
  t.shape("softmax", {"dim 2", "rank 2"}, [] { softmax(f({2, 3}), 2); });
  t.shape("log_softmax", {"dim -3", "rank 2"}, [] { log_softmax(f({2, 3}), -3); });
  t.dtype("softmax", {"i64"}, [] { softmax(i({2, 3}), 1); });
  t.shape("cross_entropy", {"[3]"}, [] { cross_entropy(f({3}), i({3})); });
  t.shape("cross_entropy", {"[2, 3]", "[4]"}, [] { cross_entropy(f({2, 3}), i({4})); });
  t.shape("cross_entropy", {"[2, 3]", "[2, 4]"}, [] { cross_entropy(f({2, 3}), f({2, 4})); });
  t.dtype("cross_entropy", {"bool"}, [] { cross_entropy(f({2, 3}), b({2})); });
  t.shape("binary_cross_entropy", {"[2]", "[3]"}, [] { binary_cross_entropy(f({2}), f({3})); });
  t.shape("binary_cross_entropy_with_logits", {"[2]", "[3]"},
          [] { binary_cross_entropy_with_logits(f({2}), f({3})); });
  t.shape("mse_loss", {"[2]", "[3]"}, [] { mse_loss(f({2}), f({3})); });
  const auto unknown = static_cast<Reduction>(7);
  t.value("mse_loss", {"reduction", "7"}, [=] { mse_loss(f({2}), f({2}), unknown); });
  t.value("cross_entropy", {"reduction", "7"}, [=] { cross_entropy(f({2, 3}), i({2}), unknown); });
  t.value("binary_cross_entropy", {"reduction", "7"},
          [=] { binary_cross_entropy(f({2}), f({2}), unknown); });
  t.value("binary_cross_entropy_with_logits", {"reduction", "7"},
          [=] { binary_cross_entropy_with_logits(f({2}), f({2}), unknown); });
}

TEST_P(LayerErrors, Attention) {
  ErrorTable t(device_);
  const char* op = "scaled_dot_product_attention";
  const auto call = [](const Tensor& q, const Tensor& k, const Tensor& v) {
    return [=] { scaled_dot_product_attention(q, k, v); };
  };
  t.shape(op, {"[3]", "[2, 3]"}, call(f({3}), f({2, 3}), f({2, 3})));
  t.shape(op, {"[2, 3]", "[2, 4]"}, call(f({2, 3}), f({2, 4}), f({2, 3})));
  t.shape(op, {"[5, 3]", "[4, 3]"}, call(f({2, 3}), f({5, 3}), f({4, 3})));
  t.shape(op, {"[2, 4, 3]", "[3, 4, 3]"}, call(f({2, 4, 3}), f({3, 4, 3}), f({2, 4, 3})));
  t.shape(op, {"[3, 4, 3]"}, call(f({2, 4, 3}), f({2, 4, 3}), f({3, 4, 3})));
  t.dtype(op, {"f32", "f64"}, call(f({2, 3}), f({2, 3}), d({2, 3})));
  t.dtype(op, {"i64"}, call(i({2, 3}), i({2, 3}), i({2, 3})));
  t.value(op, {"inf"}, [] {
    scaled_dot_product_attention(f({2, 3}), f({2, 3}), f({2, 3}), {.scale = INFINITY});
  });
}

TEST_P(LayerErrors, Views) {
  ErrorTable t(device_);
  t.shape("cat", {"[2, 3]", "[2, 4]"}, [] { cat({f({2, 3}), f({2, 4})}, 0); });
  t.shape("cat", {"[2, 3]", "[2]"}, [] { cat({f({2, 3}), f({2})}, 0); });
  t.shape("cat", {"dim 2", "rank 2"}, [] { cat({f({2, 3})}, 2); });
  t.value("cat", {}, [] { cat({}); });
  t.shape("stack", {"[2]", "[3]"}, [] { stack({f({2}), f({3})}); });
  t.value("stack", {}, [] { stack({}); });
  t.shape("split", {"0"}, [] { split(f({2, 3}), 0); });
  t.shape("split", {"dim 3", "rank 2"}, [] { split(f({2, 3}), 1, 3); });
  t.shape("split", {"[2, 3]"}, [] { split(f({2, 3}), std::vector<int64_t>{1, 4}, 1); });
  t.shape("reshape", {"[2, 3]", "[4]"}, [] { reshape(f({2, 3}), {4}); });
  t.shape("reshape", {"[2, 3]", "-1"}, [] { reshape(f({2, 3}), {-1, -1}); });
  t.shape("reshape", {"[2, 3]"}, [] { reshape(f({2, 3}), {4, -1}); });
  t.shape("view", {"[6]"}, [] { f({2, 3}).t().view({6}); });
  t.shape("flatten", {"[2, 3]"}, [] { flatten(f({2, 3}), 1, 0); });
  t.shape("flatten", {"dim 3", "rank 2"}, [] { flatten(f({2, 3}), 0, 3); });
  t.shape("transpose", {"dim 2", "rank 2"}, [] { transpose(f({2, 3}), 0, 2); });
  t.shape("permute", {"[0, 0]", "[2, 3]"}, [] { permute(f({2, 3}), {0, 0}); });
  t.shape("permute", {"[0]", "[2, 3]"}, [] { permute(f({2, 3}), {0}); });
  t.shape("expand", {"[2, 3]", "[4, 3]"}, [] { expand(f({2, 3}), {4, 3}); });
  t.shape("expand", {"[2, 3]", "[3]"}, [] { expand(f({2, 3}), {3}); });
  t.shape("expand", {"-1"}, [] { expand(f({3}), {-1, 3}); });
  t.shape("squeeze", {"dim 2", "rank 2"}, [] { f({2, 3}).squeeze(2); });
  t.shape("unsqueeze", {"dim 4", "rank 2"}, [] { f({2, 3}).unsqueeze(4); });
  t.shape("unsqueeze", {"[1, 1, 1, 1, 1, 1, 1, 1]"}, [] {
    f({1, 1, 1, 1, 1, 1, 1, 1}).unsqueeze(0);
  });
  t.shape("narrow", {"[2, 3]", "4"}, [] { f({2, 3}).narrow(1, 0, 4); });
  t.shape("narrow", {"[2, 3]", "-1"}, [] { f({2, 3}).narrow(1, 0, -1); });
  t.shape("slice", {"0"}, [] { f({2, 3}).slice(1, 0, 2, 0); });
  t.shape("select", {"dim 2", "rank 2"}, [] { f({2, 3}).select(2, 0); });
  t.shape("t", {"[2, 3, 4]"}, [] { f({2, 3, 4}).t(); });
  t.dtype("index_select", {"f32"}, [] { index_select(f({2, 3}), 0, f({2})); });
  t.shape("index_select", {"[1, 2]"}, [] { index_select(f({2, 3}), 0, i({1, 2})); });
  t.shape("index_select", {"dim 2", "rank 2"}, [] { index_select(f({2, 3}), 2, i({2})); });
  t.dtype("gather", {"f32"}, [] { gather(f({2, 3}), 0, f({2, 3})); });
  t.shape("gather", {"[2, 3]", "[2]"}, [] { gather(f({2, 3}), 0, i({2})); });
  t.shape("gather", {"[2, 3]", "[1, 4]"}, [] { gather(f({2, 3}), 0, i({1, 4})); });
  t.shape("index_add", {"[2, 3]", "[1, 4]"}, [] { index_add(f({2, 3}), 0, i({1}), f({1, 4})); });
  t.shape("index_add", {"[2, 3]", "[1, 3]"}, [] { index_add(f({2, 3}), 0, i({2}), f({1, 3})); });
  t.dtype("index_add", {"f64"}, [] { index_add(f({2, 3}), 0, i({1}), d({1, 3})); });
  t.shape("scatter_add", {"[2, 3]", "[3, 3]"}, [] {
    scatter_add(f({2, 3}), 0, i({2, 3}), f({3, 3}));
  });
  t.dtype("scatter_add", {"f32"}, [] { scatter_add(f({2, 3}), 0, f({2, 3}), f({2, 3})); });
  t.shape("embedding", {"[5]"}, [] { embedding(f({5}), i({2})); });
  t.dtype("embedding", {"f32"}, [] { embedding(f({5, 2}), f({2})); });
  t.dtype("one_hot", {"f32"}, [] { one_hot(f({2}), 3); });
}

}  // namespace
}  // namespace tinytorch::testing
