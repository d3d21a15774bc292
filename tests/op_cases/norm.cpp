// Cases of batch normalisation: training (running statistics change in place) and evaluation, ranks
// 2 to 4, every set of optional inputs. Cases of layer normalisation.
#include "tests/op_cases/op_cases.h"

#include <cmath>

namespace tinytorch::op_cases {
namespace {

constexpr double kMomentum = 0.3;

// in: x, then running mean and variance, then weight and bias, as the case has them.
struct Has {
  bool running, weight, bias;
};
struct Parts {
  size_t mean, var, weight, bias;  // places in the inputs; 0: absent
};
Parts parts_of(const Has& has) {
  size_t next = 1;
  Parts p{};
  if (has.running) {
    p.mean = next++;
    p.var = next++;
  }
  if (has.weight) p.weight = next++;
  if (has.bias) p.bias = next++;
  return p;
}

Oracle batch_norm_oracle(const Has& has, const BatchNormOptions& o, bool statistics) {
  return [=](const std::vector<HostArray>& in) {
    const Parts p = parts_of(has);
    const HostArray& x = in[0];
    const int64_t images = x.shape[0], channels = x.shape[1];
    int64_t plane = 1;
    for (int d = 2; d < x.shape.rank(); ++d) plane *= x.shape[d];
    const double count = static_cast<double>(images * plane);
    HostArray out = host_array(x.shape);
    HostArray mean = has.running ? in[p.mean] : host_array({channels}),
              var = has.running ? in[p.var] : host_array({channels});
    for (int64_t c = 0; c < channels; ++c) {
      const size_t at = static_cast<size_t>(c);
      const auto each = [&](auto&& f) {
        for (int64_t n = 0; n < images; ++n)
          for (int64_t s = 0; s < plane; ++s)
            f(static_cast<size_t>((n * channels + c) * plane + s));
      };
      double m = mean.v[at], v = var.v[at];
      if (o.training) {
        m = v = 0;
        each([&](size_t i) { m += x.v[i] / count; });
        each([&](size_t i) { v += (x.v[i] - m) * (x.v[i] - m) / count; });
        mean.v[at] = (1 - o.momentum) * mean.v[at] + o.momentum * m;
        var.v[at] = (1 - o.momentum) * var.v[at] + o.momentum * v * count / (count - 1);
      }
      each([&](size_t i) {
        out.v[i] = (x.v[i] - m) / std::sqrt(v + o.eps) * (has.weight ? in[p.weight].v[at] : 1) +
                   (has.bias ? in[p.bias].v[at] : 0);
      });
    }
    std::vector<HostArray> r = {out};
    if (statistics) r.insert(r.end(), {mean, var});
    return r;
  };
}

// |weight| (|x| + max|x|) / std + |bias|: what the rounding of the mean, the difference and the
// product is measured by.
Run batch_norm_terms(const Has& has, const BatchNormOptions& o, bool statistics) {
  return [=](const Tensors& in) {
    const Parts p = parts_of(has);
    Shape per_channel, others;
    for (int d = 0; d < in[0].rank(); ++d) {
      per_channel.push_back(d == 1 ? in[0].size(1) : 1);
      if (d != 1) others.push_back(d);
    }
    const Tensor x = abs(in[0]), top = amax(x, others, true);
    Tensor variance = o.training ? var(in[0], others, false, true) : in[p.var].reshape(per_channel);
    Tensor size = div(add(x, top), sqrt(add(variance, o.eps)));
    if (!o.training)
      size = add(size, div(abs(in[p.mean].reshape(per_channel)), sqrt(add(variance, o.eps))));
    if (has.weight) size = mul(size, abs(in[p.weight].reshape(per_channel)));
    if (has.bias) size = add(size, abs(in[p.bias].reshape(per_channel)));
    Tensors r = {size};
    if (statistics) {
      const Tensor flat = top.reshape({in[0].size(1)});
      r.push_back(add(abs(in[p.mean]), flat));
      r.push_back(add(abs(in[p.var]), mul(square(flat), 4)));
    }
    return r;
  };
}

// ---- layer normalisation. in: x, then weight and bias, as the case has them.

struct LayerHas {
  bool weight, bias;
  size_t place_of_bias() const { return weight ? 2 : 1; }
};

Oracle layer_norm_oracle(const Shape& dims, const LayerHas& has, double eps) {
  return [=](const std::vector<HostArray>& in) {
    HostArray out = in[0];
    const size_t n = static_cast<size_t>(dims.numel());
    const double count = static_cast<double>(n);
    for (size_t row = 0; row < out.v.size(); row += n) {
      double mean = 0, variance = 0;
      for (size_t i = 0; i < n; ++i) mean += out.v[row + i] / count;
      for (size_t i = 0; i < n; ++i)
        variance += (out.v[row + i] - mean) * (out.v[row + i] - mean) / count;
      for (size_t i = 0; i < n; ++i) {
        out.v[row + i] =
            (out.v[row + i] - mean) / std::sqrt(variance + eps) * (has.weight ? in[1].v[i] : 1) +
            (has.bias ? in[has.place_of_bias()].v[i] : 0);
      }
    }
    return std::vector<HostArray>{out};
  };
}

// As for batch normalisation.
Run layer_norm_terms(const Shape& dims, const LayerHas& has, double eps) {
  return [=](const Tensors& in) {
    if (!in[0].numel()) return Tensors{in[0]};
    Shape last;
    for (int d = -dims.rank(); d < 0; ++d) last.push_back(d);
    const Tensor x = abs(in[0]), variance = var(in[0], last, false, true);
    Tensor size = div(add(x, amax(x, last, true)), sqrt(add(variance, eps)));
    if (has.weight) size = mul(size, abs(in[1]));
    if (has.bias) size = add(size, abs(in[has.place_of_bias()]));
    return Tensors{size};
  };
}

void put_layer_norms(Cases& cases) {
  const auto put = [&](const std::string& variant, const Input& x, const Shape& dims,
                       const LayerHas& has, bool grad = true, double eps = 1e-5,
                       Layout layout = Layout::contiguous) {
    std::vector<Input> in = {x};
    const Input affine = real(dims).laid(layout).as(x.dtype);
    if (has.weight) in.push_back(affine);
    if (has.bias) in.push_back(affine);
    cases.push_back({.op = "layer_norm",
                     .variant = variant,
                     .inputs = in,
                     .run =
                         [=](const Tensors& t) {
                           return Tensors{layer_norm(t[0], dims, has.weight ? t[1] : Tensor(),
                                                     has.bias ? t[has.place_of_bias()] : Tensor(),
                                                     eps)};
                         },
                     .tolerance = terms(layer_norm_terms(dims, has, eps)),
                     .oracle = layer_norm_oracle(dims, has, eps),
                     .differentiable = grad,
                     .bench = variant.starts_with("bench")});
  };
  const LayerHas all{true, true};
  put("last_dim", real({2, 3, 4}), {4}, all);
  put("two_dims", real({3, 2, 4}), {2, 4}, all);
  put("whole", real({2, 3, 2}), {2, 3, 2}, all);
  put("rank1", real({7}), {7}, all);
  put("no_affine", real({3, 5}), {5}, {false, false});
  put("weight_only", real({3, 5}), {5}, {true, false});
  put("bias_only", real({3, 5}), {5}, {false, true});
  for (Layout l : all_layouts()) put(name_of(l), real({3, 2, 4}).laid(l), {2, 4}, all);
  put("affine_transposed", real({2, 3, 4}), {3, 4}, all, true, 1e-5, Layout::transposed);
  put("large_eps", real({3, 5}), {5}, all, true, 0.5);
  put("f64", real({3, 5}).as(Dtype::f64), {5}, all);
  put("x_untracked", real({3, 5}).no_grad(), {5}, all);
  put("vectors_and_rest", real({9, 37}), {37}, all);
  put("one_element", real({3, 1}), {1}, all, false);
  put("no_rows", real({0, 3}), {3}, all, false);
  put("empty_rows", real({3, 0}), {0}, all, false);
  put("far_from_zero", real({6, 40}, 999, 1001), {40}, all, false);
  put("long", real({3, 1001}), {1001}, all, false);
  put("bench", real({256, 1024}), {1024}, all, false);
}

}  // namespace

Cases norm_cases() {
  Cases cases;
  put_layer_norms(cases);
  const auto put = [&](const std::string& variant, const Input& x, const Has& has,
                       const BatchNormOptions& o, bool grad = true) {
    const int64_t channels = x.shape[1];
    std::vector<Input> in = {x};
    const auto like = [&](const Input& i) {
      in.push_back(x.dtype == Dtype::f64 ? i.as(Dtype::f64) : i);
    };
    if (has.running) {
      like(real({channels}).no_grad());
      like(real({channels}, 0.5, 2).no_grad());
    }
    if (has.weight) like(real({channels}));
    if (has.bias) like(real({channels}));
    for (bool statistics : {false, true}) {  // the running statistics after the call, as results
      if (statistics && !(has.running && grad)) continue;
      cases.push_back({.op = "batch_norm",
                       .variant = variant + (statistics ? "_statistics" : ""),
                       .inputs = in,
                       .run =
                           [has, o, statistics](const Tensors& t) {
                             const Parts p = parts_of(has);
                             const Tensor mean = has.running ? t[p.mean].clone() : Tensor();
                             const Tensor var = has.running ? t[p.var].clone() : Tensor();
                             Tensors r = {batch_norm(t[0], mean, var,
                                                     has.weight ? t[p.weight] : Tensor(),
                                                     has.bias ? t[p.bias] : Tensor(), o)};
                             if (statistics) r.insert(r.end(), {mean, var});
                             return r;
                           },
                       .tolerance = terms(batch_norm_terms(has, o, statistics)),
                       .oracle = batch_norm_oracle(has, o, statistics),
                       .differentiable = grad && !statistics,
                       .bench = variant.starts_with("bench")});
    }
  };
  const BatchNormOptions train{.training = true, .momentum = kMomentum}, eval{.training = false};
  const Has all{true, true, true};
  for (const Shape& s : {Shape{5, 3}, Shape{3, 2, 4}, Shape{2, 3, 2, 3}}) {
    put("train" + s.str(), real(s), all, train);
    put("eval" + s.str(), real(s), all, eval);
  }
  const Shape image = {2, 2, 2, 3};
  for (const auto& [name, has] : {std::pair{"no_affine", Has{true, false, false}},
                                  std::pair{"weight_only", Has{true, true, false}},
                                  std::pair{"bias_only", Has{true, false, true}}}) {
    put(std::string("train_") + name, real(image), has, train);
    put(std::string("eval_") + name, real(image), has, eval);
  }
  put("train_no_running", real(image), {false, true, true}, train);
  put("train_nothing", real(image), {false, false, false}, train);
  put("train_large_eps", real(image), all, {.training = true, .momentum = 0.1, .eps = 0.5});
  put("train_momentum1", real(image), all, {.training = true, .momentum = 1.0});
  put("train_momentum0", real(image), all, {.training = true, .momentum = 0.0});
  for (Layout l : all_layouts()) {
    if (l != Layout::expanded)
      put(std::string("train_") + name_of(l), real({3, 2, 2, 2}).laid(l), all, train);
    put(std::string("eval_") + name_of(l), real({3, 2, 2, 2}).laid(l), all, eval);
  }
  put("train_one_channel", real({4, 1, 2, 2}), all, train);
  put("train_one_image", real({1, 2, 3, 3}), all, train);
  put("train_f64", real(image).as(Dtype::f64), all, train);
  put("train_x_untracked", real(image).no_grad(), all, train);
  put("eval_x_untracked", real(image).no_grad(), all, eval);
  put("eval_one_element", real({1, 3}), all, eval);
  // The mean is far from zero: a variance by E[x^2] - E[x]^2 would lose all digits.
  put("train_far_from_zero", real({16, 2, 3, 3}, 999, 1001), all, train, false);
  put("bench_train", real({32, 16, 16, 16}), all, train, false);
  put("bench_eval", real({32, 16, 16, 16}), all, eval, false);
  return cases;
}

}  // namespace tinytorch::op_cases
