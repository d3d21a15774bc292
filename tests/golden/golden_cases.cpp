// The same cases as make_golden.py's, in this library's words. test_golden fails if either side has
// a case that the other lacks.
#include "tests/golden/golden_cases.h"

namespace tinytorch::testing {
namespace {

using Tensors = std::vector<Tensor>;
using Cases = std::map<std::string, GoldenCase>;
using One = Tensor (*)(const Tensor&);
using Two = Tensor (*)(const Tensor&, const Tensor&);

GoldenCase one(const std::function<Tensor(const Tensor&)>& f) {
  return [f](const Tensors& t) { return Tensors{f(t[0])}; };
}
GoldenCase two(const std::function<Tensor(const Tensor&, const Tensor&)>& f) {
  return [f](const Tensors& t) { return Tensors{f(t[0], t[1])}; };
}
Tensors both(const ValuesAndIndices& r) { return {r.values, r.indices}; }

void add_elementwise(Cases& c) {
  const std::pair<const char*, Two> binaries[] = {{"add", add},         {"sub", sub},
                                                  {"mul", mul},         {"div", div},
                                                  {"maximum", maximum}, {"minimum", minimum}};
  for (const auto& [name, f] : binaries) {
    c[name] = two(f);
    if (std::string(name) != "sub" && std::string(name) != "mul" && std::string(name) != "minimum")
      c[std::string(name) + "_broadcast"] = two(f);
  }
  c["pow"] = two(static_cast<Two>(pow));
  c["pow_scalar"] = one([](const Tensor& t) { return pow(t, 2.5); });
  c["pow_zero"] = one([](const Tensor& t) { return pow(t, 0.0); });
  const std::pair<const char*, One> unary[] = {
      {"neg", neg},           {"abs", abs},   {"sign", sign}, {"square", square},
      {"exp", exp},           {"erf", erf},   {"tanh", tanh}, {"sigmoid", sigmoid},
      {"softplus", softplus}, {"relu", relu}, {"gelu", gelu}, {"gelu_tanh", gelu_tanh},
      {"log", log},           {"sqrt", sqrt}};
  for (const auto& [name, f] : unary) c[name] = c[std::string(name) + "_odd"] = one(f);
  for (const char* own : {"sign", "softplus", "gelu", "gelu_tanh"})
    c.erase(std::string(own) + "_odd");
  c["clamp"] = c["clamp_odd"] = one([](const Tensor& t) { return clamp(t, -0.5, 1.0); });
  c["where"] = [](const Tensors& t) { return Tensors{where(t[0], t[1], t[2])}; };
  c["maximum_ties"] = c["maximum_odd"] = two(maximum);
  c["minimum_odd"] = two(minimum);
  const std::pair<const char*, Two> comparisons[] = {{"eq", eq}, {"ne", ne}, {"lt", lt},
                                                     {"le", le}, {"gt", gt}, {"ge", ge}};
  for (const auto& [name, f] : comparisons) c[std::string(name) + "_odd"] = two(f);
  for (const char* dtype : {"i64", "i32", "f32", "f64", "by_5.5", "by_-5.5", "by_inf", "by_0"}) {
    c[std::string("floor_divide_") + dtype] = two(floor_divide);
    c[std::string("remainder_") + dtype] = two(remainder);
  }
}

void add_reductions(Cases& c) {
  using Dims = Tensor (*)(const Tensor&, const Shape&, bool);
  const std::pair<const char*, Dims> over[] = {
      {"sum", sum}, {"mean", mean}, {"amax", amax}, {"amin", amin}};
  for (const auto& [name, f] : over) {
    c[std::string(name) + "_last"] = one([f = f](const Tensor& t) { return f(t, {-1}, false); });
    c[std::string(name) + "_two_keep"] = one([f = f](const Tensor& t) {
      return f(t, {0, 2}, true);
    });
  }
  c["var_unbiased"] = one([](const Tensor& t) { return var(t, {0, 2}); });
  c["var_biased_keep"] = one([](const Tensor& t) { return var(t, {1}, false, true); });
  c["amax_ties"] = one([](const Tensor& t) { return amax(t, {0}); });
  c["max_dim"] = c["max_dim_odd"] = [](const Tensors& t) { return both(max(t[0], 1)); };
  c["min_dim"] = c["min_dim_odd"] = [](const Tensors& t) { return both(min(t[0], 1)); };
  c["max_all"] = one(static_cast<One>(max));
  c["min_all"] = one(static_cast<One>(min));
  c["argmax_dim_odd"] = one([](const Tensor& t) { return argmax(t, 1); });
  c["argmin_dim_odd"] = one([](const Tensor& t) { return argmin(t, 1); });
  c["argmax_all"] = one(static_cast<One>(argmax));
  c["argmin_all"] = one(static_cast<One>(argmin));
  c["argmax_ints"] = one([](const Tensor& t) { return argmax(t, 0, true); });
  c["argmin_ints"] = one([](const Tensor& t) { return argmin(t, 0, true); });
  c["sum_u8"] = one(static_cast<One>(sum));
  c["sum_empty"] = one([](const Tensor& t) { return sum(t, {0}); });
  c["mean_empty"] = one([](const Tensor& t) { return mean(t, {0}); });
}

void add_layers(Cases& c) {
  for (const char* name :
       {"vectors", "matrix_vector", "vector_matrix", "matrices", "batched", "vector_batched"})
    c[std::string("matmul_") + name] = two(static_cast<Two>(matmul));
  c["linear"] = [](const Tensors& t) { return Tensors{linear(t[0], t[1], t[2])}; };
  c["linear_relu"] = [](const Tensors& t) {
    return Tensors{linear(t[0], t[1], t[2], Activation::relu)};
  };
  const std::pair<const char*, Conv2dOptions> convolutions[] = {
      {"plain", {}},
      {"stride", {.stride = {2, 1}, .padding = {1, 2}}},
      {"dilation", {.dilation = {2, 1}}},
      {"groups", {.groups = 2}}};
  for (const auto& [name, o] : convolutions)
    c[std::string("conv2d_") + name] = [o = o](const Tensors& t) {
      return Tensors{conv2d(t[0], t[1], t[2], o)};
    };
  using Pair = std::array<int64_t, 2>;
  const Pool2dOptions padded{.stride = Pair{2, 1}, .padding = {1, 1}};
  const auto max_pool = [](Pair k, const Pool2dOptions& o) {
    return [k, o](const Tensors& t) { return both(max_pool2d_with_indices(t[0], k, o)); };
  };
  c["max_pool2d"] = max_pool({2, 3}, {});
  c["max_pool2d_options"] = max_pool({3, 3}, padded);
  c["max_pool2d_dilation"] = max_pool({2, 2}, {.stride = Pair{1, 1}, .dilation = {2, 3}});
  c["avg_pool2d"] = one([](const Tensor& t) { return avg_pool2d(t, {2, 3}); });
  c["avg_pool2d_counted"] = one([padded](const Tensor& t) {
    return avg_pool2d(t, {3, 3}, padded);
  });
  Pool2dOptions own = padded;
  own.count_include_pad = false;
  c["avg_pool2d_not_counted"] = one([own](const Tensor& t) { return avg_pool2d(t, {3, 3}, own); });
  for (const auto& [name, training] :
       {std::pair{"batch_norm_train", true}, std::pair{"batch_norm_eval", false}})
    c[name] = [training = training](const Tensors& t) {
      const Tensor mean = t[1].clone(), var = t[2].clone();
      return Tensors{batch_norm(t[0], mean, var, t[3], t[4],
                                {.training = training, .momentum = 0.3, .eps = 1e-3}),
                     mean, var};
    };
  c["layer_norm"] = [](const Tensors& t) { return Tensors{layer_norm(t[0], {4}, t[1], t[2])}; };
  c["layer_norm_far"] = c["layer_norm"];
  c["layer_norm_two_dims"] = [](const Tensors& t) {
    return Tensors{layer_norm(t[0], {3, 4}, t[1], t[2], 1e-3)};
  };
  c["layer_norm_plain"] = one([](const Tensor& t) { return layer_norm(t, {4}); });
  c["layer_norm_weight"] =
      two([](const Tensor& t, const Tensor& w) { return layer_norm(t, {4}, w); });
  c["layer_norm_bias"] =
      two([](const Tensor& t, const Tensor& v) { return layer_norm(t, {4}, {}, v); });
  for (const auto& [name, size] : {std::pair{"divides", Pair{5, 3}}, std::pair{"one", Pair{1, 1}},
                                   std::pair{"uneven", Pair{3, 4}}, std::pair{"larger", Pair{7, 8}},
                                   std::pair{"mixed", Pair{2, 4}}})
    c[std::string("adaptive_avg_pool2d_") + name] =
        one([size = size](const Tensor& t) { return adaptive_avg_pool2d(t, size); });
  for (int dim : {0, -1}) {
    c["softmax" + std::to_string(dim)] = one([dim](const Tensor& t) { return softmax(t, dim); });
    c["log_softmax" + std::to_string(dim)] =
        one([dim](const Tensor& t) { return log_softmax(t, dim); });
  }
  c["softmax_odd"] = one([](const Tensor& t) { return softmax(t, 1); });
}

void add_losses(Cases& c) {
  using Loss = Tensor (*)(const Tensor&, const Tensor&, Reduction);
  const std::pair<const char*, Reduction> reductions[] = {
      {"none", Reduction::none}, {"mean", Reduction::mean}, {"sum", Reduction::sum}};
  const std::pair<const char*, Loss> losses[] = {{"cross_entropy_classes_", cross_entropy},
                                                 {"cross_entropy_shares_", cross_entropy},
                                                 {"bce_", binary_cross_entropy},
                                                 {"bce_logits_", binary_cross_entropy_with_logits},
                                                 {"mse_", mse_loss}};
  for (const auto& [name, f] : losses)
    for (const auto& [suffix, r] : reductions)
      c[std::string(name) + suffix] =
          two([f = f, r = r](const Tensor& s, const Tensor& t) { return f(s, t, r); });
  c["bce_certain"] = two(
      [](const Tensor& s, const Tensor& t) { return binary_cross_entropy(s, t, Reduction::none); });
}

void add_indexing(Cases& c) {
  c["index_select"] = two([](const Tensor& s, const Tensor& i) { return index_select(s, 1, i); });
  c["gather"] = two([](const Tensor& s, const Tensor& i) { return gather(s, 0, i); });
  c["index_add"] = [](const Tensors& t) { return Tensors{index_add(t[0], 0, t[1], t[2])}; };
  c["scatter_add"] = [](const Tensors& t) { return Tensors{scatter_add(t[0], 0, t[1], t[2])}; };
  c["embedding"] = two(embedding);
  c["cat"] = [](const Tensors& t) { return Tensors{cat(t, 1)}; };
  c["stack"] = [](const Tensors& t) { return Tensors{stack(t, -1)}; };
  c["split"] = [](const Tensors& t) { return split(t[0], 2, 1); };
  c["slices"] =
      one([](const Tensor& t) { return t.slice(0, 1, 5, 2).slice(1, 0, 2).t().reshape({-1}); });
  c["casts_from_f32"] = [](const Tensors& t) {
    return Tensors{t[0].to(Dtype::i32), t[0].to(Dtype::i64)};
  };
  c["arange_real"] = [](const Tensors&) { return Tensors{arange(0.5, 2.6, 0.3)}; };
  c["linspace"] = [](const Tensors&) { return Tensors{linspace(-1, 2, 7)}; };
}

void add_attention(Cases& c) {
  c["masked_fill"] = two([](const Tensor& s, const Tensor& m) { return masked_fill(s, m, 1.5); });
  c["attention"] = [](const Tensors& t) {
    return Tensors{scaled_dot_product_attention(t[0], t[1], t[2])};
  };
  c["attention_causal"] = [](const Tensors& t) {
    return Tensors{scaled_dot_product_attention(t[0], t[1], t[2], {.causal = true, .scale = 0.7})};
  };
}

}  // namespace

const std::map<std::string, GoldenCase>& golden_cases() {
  static const Cases all = [] {
    Cases c;
    add_elementwise(c);
    add_reductions(c);
    add_layers(c);
    add_losses(c);
    add_indexing(c);
    add_attention(c);
    return c;
  }();
  return all;
}

}  // namespace tinytorch::testing
