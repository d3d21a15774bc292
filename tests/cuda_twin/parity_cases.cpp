// One program per family of kernel rows, with `n` the odd size that decides about tails, blocks and
// forms. Gradients run through backward(), so that their rows are met as well.
#include "tests/cuda_twin/parity_cases.h"

#include <algorithm>

namespace tinytorch::testing {
namespace {

using Results = std::vector<Tensor>;

// The result, and the gradients of its weighted sum with respect to `leaves`.
Results with_gradients(Inputs& in, const Tensor& out, const Results& leaves) {
  out.backward(in.normal(out.shape()));
  Results all = {out.detach()};
  for (const Tensor& leaf : leaves) all.push_back(leaf.grad());
  return all;
}

// ---- elementwise

Results contiguous_words(Inputs& in, int64_t n) {
  const Tensor a = in.normal({n}), b = in.normal({n}), positive = add(abs(b), 0.5);
  return {add(a, b),
          mul(a, b),
          div(a, positive),
          maximum(a, b),
          pow(positive, a),
          exp(a),
          log(positive),
          tanh(a),
          sigmoid(a),
          gelu(a),
          erf(a),
          softplus(a),
          sqrt(positive),
          clamp(a, -0.5, 0.5),
          lt(a, b),
          where(lt(a, b), a, b),
          a.to(Dtype::f64),
          a.to(Dtype::bf16).to(Dtype::f32),
          mul(a, 8.0).to(Dtype::i32)};
}
Results strided_words(Inputs& in, int64_t n) {
  const Tensor a = in.normal({3, n, 5}), b = in.normal({5, n, 3});
  const Tensor turned = b.permute({2, 1, 0}),
               cut = in.normal({2 * n + 1}).slice(0, 1, 2 * n + 1, 2);
  return {add(a, turned),
          mul(turned, turned),
          tanh(turned),
          turned.contiguous(),
          a.transpose(0, 1).contiguous(),
          add(cut, 1.0),
          where(gt(turned, 0.0), a, turned)};
}
Results broadcast_words(Inputs& in, int64_t n) {
  const Tensor column = in.leaf({n, 1}), row = in.leaf({1, 7}), cube = in.leaf({3, n, 7});
  return with_gradients(in, mul(add(cube, column), row), {column, row, cube});
}

// ---- reductions

Results reduce_each_dim(Inputs& in, int64_t n) {
  const Tensor a = in.normal({5, n, 3}), flat = in.normal({n});
  Results all = {sum(a), mean(flat), sum(flat), max(flat), argmax(flat)};
  for (int dim = 0; dim < 3; ++dim) {
    const ValuesAndIndices most = max(a, dim);
    const Results some = {sum(a, {dim}),  amin(a, {dim}), var(a, {dim}, false),
                          argmin(a, dim), most.values,    most.indices};
    all.insert(all.end(), some.begin(), some.end());
  }
  all.push_back(sum(a.transpose(0, 2), {0, 2}));
  all.push_back(sum(in.below(100, {n, 3}), {0}));
  return all;
}
Results softmax_each_dim(Inputs& in, int64_t n) {
  Results all;
  for (int dim = 0; dim < 3; ++dim) {
    const Tensor x = in.leaf({3, n, 2}), y = in.leaf({3, n, 2});
    const Results one = with_gradients(in, softmax(x, dim), {x}),
                  two = with_gradients(in, log_softmax(y, dim), {y});
    all.insert(all.end(), one.begin(), one.end());
    all.insert(all.end(), two.begin(), two.end());
  }
  return all;
}

// ---- norms and losses

Results norms(Inputs& in, int64_t n) {
  const Tensor x = in.leaf({4, n}), w = in.leaf({n}), b = in.leaf({n});
  Results all = with_gradients(in, layer_norm(x, {n}, w, b), {x, w, b});
  const Tensor image = in.leaf({2, 3, n, 2}), scale = in.leaf({3}), shift = in.leaf({3});
  const TensorOptions there{.device = in.device()};
  Tensor running_mean = zeros({3}, there), running_var = ones({3}, there);
  const Tensor y = batch_norm(image, running_mean, running_var, scale, shift);
  for (const Tensor& t : with_gradients(in, y, {image, scale, shift})) all.push_back(t);
  all.push_back(running_mean);
  all.push_back(running_var);
  return all;
}
Results losses(Inputs& in, int64_t n) {
  const Tensor logits = in.leaf({n, 11}), target = in.below(11, {n});
  const Tensor pred = in.leaf({n, 3}), wanted = in.normal({n, 3});
  const Tensor entropy = cross_entropy(logits, target), square = mse_loss(pred, wanted);
  entropy.backward();
  square.backward();
  return {entropy.detach(), logits.grad(), square.detach(), pred.grad(),
          cross_entropy(logits.detach(), target, Reduction::none)};
}

// ---- indices

Results selections(Inputs& in, int64_t n) {
  const Tensor x = in.leaf({n, 6}), y = in.leaf({3, n, 4});
  Results all = with_gradients(in, index_select(x, 0, in.below(n, {2 * n})), {x});
  for (const Tensor& t : with_gradients(in, gather(y, 1, in.below(n, {3, 5, 4})), {y}))
    all.push_back(t);
  all.push_back(index_select(in.below(200, {n, 3}).to(Dtype::u8), 0, in.below(n, {n})));
  return all;
}
// Few targets, so that many indices meet; f32 sums keep the order of the indices.
Results additions(Inputs& in, int64_t n) {
  const int64_t few = std::min<int64_t>(n, 7);
  const Tensor wide = in.below(n, {5 * n}), narrow = in.below(few, {n});
  return {index_add(in.normal({few, 3}), 0, narrow, in.normal({n, 3})),
          index_add(in.normal({n}), 0, wide, in.normal({5 * n})),
          index_add(in.normal({2, few, 9}), 1, narrow, in.normal({2, n, 9})),
          scatter_add(in.normal({n}), 0, wide, in.normal({5 * n})),
          scatter_add(in.normal({3, few}), 1, in.below(few, {3, n}), in.normal({3, n})),
          scatter_add(in.normal({few, 10}), 0, in.below(few, {n, 10}), in.normal({n, 10})),
          scatter_add(in.below(9, {n}), 0, wide, in.below(9, {5 * n}))};
}
// Large enough for the radix sort of both rows.
Results sorted_additions(Inputs& in, int64_t n) {
  const int64_t m = 16 * n + 4097;
  return {index_add(in.normal({n, 2}), 0, in.below(n, {m}), in.normal({m, 2})),
          scatter_add(in.normal({300}), 0, in.below(300, {m + 9000}), in.normal({m + 9000})),
          scatter_add(in.normal({40, 3}), 0, in.below(40, {m, 3}), in.normal({m, 3}))};
}

// ---- images

Results pools(Inputs& in, int64_t n) {
  Tensor a = in.leaf({2, 3, 7, n + 3}), b = in.leaf({1, 2, n + 2, 5}), c = in.leaf({1, 2, 9, n});
  Results all = with_gradients(in, max_pool2d(a, {2, 2}), {a});
  for (const Tensor& t :
       with_gradients(in, max_pool2d(b, {3, 2}, {.stride = {{2, 1}}, .padding = {1, 1}}), {b}))
    all.push_back(t);
  a.zero_grad();
  b.zero_grad();
  const Pool2dOptions inside{.stride = {{1, 2}}, .padding = {1, 1}, .count_include_pad = false};
  for (const Tensor& t : with_gradients(in, avg_pool2d(a, {3, 3}, inside), {a})) all.push_back(t);
  for (const Tensor& t : with_gradients(in, avg_pool2d(c, {9, n}), {c})) all.push_back(t);
  const ValuesAndIndices whole = max_pool2d_with_indices(c.detach(), {9, n});
  all.push_back(whole.values);
  all.push_back(whole.indices);
  return all;
}
Results convolutions(Inputs& in, int64_t n) {
  const int64_t width = std::min<int64_t>(n, 65);
  Tensor x = in.leaf({2, 4, 5, width + 2}), w = in.leaf({6, 2, 3, 3}), b = in.leaf({6});
  Results all = with_gradients(
      in, conv2d(x, w, b, {.stride = {2, 1}, .padding = {1, 1}, .groups = 2}), {x, w, b});
  const Tensor one = in.leaf({3, 4, 1, 1});
  x.zero_grad();
  for (const Tensor& t : with_gradients(in, conv2d(x, one), {x, one})) all.push_back(t);
  return all;
}

// ---- products

Results products(Inputs& in, int64_t n) {
  Tensor a = in.leaf({n, 9}), b = in.leaf({9, 5}), w = in.leaf({4, 9}), bias = in.leaf({4});
  Results all = with_gradients(in, matmul(a, b), {a, b});
  a.zero_grad();
  for (const Tensor& t : with_gradients(in, linear(a, w, bias, Activation::tanh), {a, w, bias}))
    all.push_back(t);
  all.push_back(matmul(in.normal({3, 2, n}), in.normal({3, n, 2})));
  // From 65 rows on these are products of the library, with its epilogues.
  const Tensor x = in.leaf({n, 64}), wide = in.leaf({64, 64}), offset = in.leaf({64});
  for (const Tensor& t : with_gradients(in, linear(x, wide, offset), {x, wide, offset}))
    all.push_back(t);
  return all;
}
Results attentions(Inputs& in, int64_t n) {
  const int64_t length = std::min<int64_t>(n, 65);
  const Tensor q = in.leaf({1, 2, length, 8}), k = in.leaf({1, 2, length, 8}),
               v = in.leaf({1, 2, length, 6});
  return with_gradients(in, scaled_dot_product_attention(q, k, v, {.causal = true}), {q, k, v});
}

// ---- optimizers

// Three steps; tensors of n elements and of one, and a gradient whose elements lie off by one.
template <class Optimizer, class Options>
Results steps_of(Inputs& in, int64_t n, const Options& options) {
  Results parameters = {in.leaf({n}), in.leaf({1}), in.leaf({3, n})};
  Optimizer optimizer(parameters, options);
  for (int step = 0; step < 3; ++step) {
    parameters[0].set_grad(in.normal({n + 1}).narrow(0, 1, n));
    parameters[1].set_grad(in.normal({1}));
    parameters[2].set_grad(in.normal({3, n}));
    optimizer.step();
  }
  Results all;
  for (const Tensor& p : parameters) all.push_back(p.detach());
  for (const auto& [name, value] : optimizer.state_dict()) all.push_back(value);
  return all;
}
Results optimizers(Inputs& in, int64_t n) {
  Results all;
  const auto take = [&](const Results& some) { all.insert(all.end(), some.begin(), some.end()); };
  take(steps_of<SGD>(in, n, SgdOptions{.learning_rate = 0.1, .weight_decay = 0.01}));
  take(steps_of<SGD>(in, n, SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}));
  take(steps_of<SGD>(in, n, SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.2}));
  take(steps_of<Adam>(in, n, AdamOptions{.learning_rate = 0.1, .weight_decay = 0.01}));
  take(steps_of<AdamW>(in, n, AdamWOptions{.learning_rate = 0.1, .maximize = true}));
  return all;
}

// More tensors than one launch takes, and at n = 1025 one of more than a million elements.
Results large_groups(Inputs& in, int64_t n) {
  Results parameters;
  for (int i = 0; i < 75; ++i) parameters.push_back(in.leaf({std::min<int64_t>(n, 33)}));
  if (n == 1025) parameters.push_back(in.leaf({n * n}));
  for (Tensor& p : parameters) p.set_grad(in.normal(p.shape()));
  Adam adam(parameters, AdamOptions{.learning_rate = 0.1});
  SGD sgd(parameters, SgdOptions{.learning_rate = 0.1, .momentum = 0.9});
  adam.step();
  sgd.step();
  sgd.step();
  Results all;
  for (const Tensor& p : parameters) all.push_back(p.detach());
  for (const auto& [name, value] : adam.state_dict()) all.push_back(value);
  for (const auto& [name, value] : sgd.state_dict()) all.push_back(value);
  return all;
}

// ---- random numbers

Results draws(Inputs& in, int64_t n) {
  const Generator g(7, in.device());
  return {rand({n}, {.generator = g}),
          randn({n}, {.generator = g}),
          randn({n}, {.dtype = Dtype::f64, .generator = g}),
          randint(-5, 1000, {n}, {.generator = g}),
          bernoulli({n}, 0.3, {.generator = g}),
          randperm(n, {.generator = g}),
          randperm(5 * n, {.generator = g})};
}

}  // namespace

const std::vector<ParityCase>& parity_cases() {
  static const std::vector<ParityCase> cases = {
      {"contiguous_words", contiguous_words, 8},
      {"strided_words", strided_words, 8},
      {"broadcast_words", broadcast_words, 16},
      {"reduce_each_dim", reduce_each_dim, 16},
      {"softmax_each_dim", softmax_each_dim, 16},
      {"norms", norms, 32},
      {"losses", losses, 16},
      {"selections", selections, 16},
      {"additions", additions, 64},
      {"sorted_additions", sorted_additions, 64},
      {"pools", pools, 16},
      {"convolutions", convolutions, 32},
      {"products", products, 32},
      {"attentions", attentions, 64},
      {"optimizers", optimizers, 32},
      {"large_groups", large_groups, 32},
      {"draws", draws, 0},
  };
  return cases;
}

}  // namespace tinytorch::testing
