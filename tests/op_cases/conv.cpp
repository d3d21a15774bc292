// Cases of 2-D convolution: every value of every option, several channels, images and kernels that
// are not square, and its two gradients as ops. The oracle is the definition, seven loops deep.
#include "tests/op_cases/op_cases.h"

namespace tinytorch::op_cases {
namespace {

int64_t out_size(int64_t n, int64_t k, const Conv2dOptions& o, int d) {
  const size_t i = static_cast<size_t>(d);
  return (n + 2 * o.padding[i] - o.dilation[i] * (k - 1) - 1) / o.stride[i] + 1;
}

// Calls f(n, o, y, x, c of the group, i, j, h, w) for every product of the definition; c counts
// inside the group.
template <class F>
void each_product(const Shape& x, const Shape& w, const Conv2dOptions& o, F&& f) {
  const int64_t oh = out_size(x[2], w[2], o, 0), ow = out_size(x[3], w[3], o, 1),
                per_group = w[0] / o.groups;
  for (int64_t n = 0; n < x[0]; ++n)
    for (int64_t out = 0; out < w[0]; ++out)
      for (int64_t y = 0; y < oh; ++y)
        for (int64_t z = 0; z < ow; ++z)
          for (int64_t c = 0; c < w[1]; ++c)
            for (int64_t i = 0; i < w[2]; ++i)
              for (int64_t j = 0; j < w[3]; ++j) {
                const int64_t h = y * o.stride[0] - o.padding[0] + i * o.dilation[0];
                const int64_t v = z * o.stride[1] - o.padding[1] + j * o.dilation[1];
                if (h < 0 || v < 0 || h >= x[2] || v >= x[3]) continue;
                f(n, out, y, z, c, i, j, h, v, out / per_group * w[1] + c);
              }
}

Oracle forward_oracle(const Conv2dOptions& o) {
  return [o](const std::vector<HostArray>& in) {
    const HostArray &x = in[0], &w = in[1];
    HostArray r = host_array({x.shape[0], w.shape[0], out_size(x.shape[2], w.shape[2], o, 0),
                              out_size(x.shape[3], w.shape[3], o, 1)});
    const int64_t plane = r.shape[2] * r.shape[3];
    for (size_t i = 0; in.size() > 2 && i < r.v.size(); ++i)
      r.v[i] = in[2].v[static_cast<size_t>(static_cast<int64_t>(i) / plane % w.shape[0])];
    each_product(x.shape, w.shape, o,
                 [&](int64_t n, int64_t out, int64_t y, int64_t z, int64_t c, int64_t i, int64_t j,
                     int64_t h, int64_t v, int64_t channel) {
                   r.at({n, out, y, z}) += x.at({n, channel, h, v}) * w.at({out, c, i, j});
                 });
    return std::vector<HostArray>{r};
  };
}

struct Row {
  std::string variant;
  Shape x, w;
  Conv2dOptions o;
};

const std::vector<Row>& option_rows() {
  static const std::vector<Row> rows = {
      {"plain", {2, 3, 5, 4}, {2, 3, 3, 2}, {}},
      {"pointwise", {2, 3, 4, 3}, {4, 3, 1, 1}, {}},
      {"whole_image", {2, 2, 3, 4}, {3, 2, 3, 4}, {}},
      {"row_kernel", {1, 2, 3, 6}, {2, 2, 1, 4}, {}},
      {"column_kernel", {1, 2, 6, 3}, {2, 2, 4, 1}, {}},
      {"stride2", {1, 2, 6, 7}, {2, 2, 3, 3}, {.stride = {2, 2}}},
      {"stride_uneven", {1, 2, 6, 7}, {2, 2, 2, 3}, {.stride = {1, 3}}},
      {"stride_leaves_rest", {1, 1, 7, 8}, {1, 1, 2, 2}, {.stride = {3, 3}}},
      {"stride_above_kernel", {1, 2, 7, 7}, {2, 2, 1, 2}, {.stride = {3, 4}}},
      {"padding1", {2, 2, 4, 3}, {2, 2, 3, 3}, {.padding = {1, 1}}},
      {"padding_uneven", {1, 2, 3, 5}, {2, 2, 3, 2}, {.padding = {2, 1}}},
      {"padding_above_kernel", {1, 1, 2, 3}, {2, 1, 2, 2}, {.padding = {3, 2}}},
      {"dilation2", {1, 2, 6, 6}, {2, 2, 2, 3}, {.dilation = {2, 2}}},
      {"dilation_uneven", {1, 2, 4, 7}, {2, 2, 3, 2}, {.dilation = {1, 3}}},
      {"groups2", {2, 4, 4, 3}, {6, 2, 2, 2}, {.groups = 2}},
      {"depthwise", {1, 3, 4, 4}, {3, 1, 3, 3}, {.padding = {1, 1}, .groups = 3}},
      {"depthwise_twice", {1, 2, 4, 4}, {4, 1, 2, 3}, {.groups = 2}},
      {"all_options",
       {2, 4, 7, 6},
       {4, 2, 3, 2},
       {.stride = {2, 1}, .padding = {2, 1}, .dilation = {1, 2}, .groups = 2}},
      {"one_pixel", {2, 3, 1, 1}, {2, 3, 1, 1}, {}},
  };
  return rows;
}

Shape result_shape(const Shape& x, const Shape& w, const Conv2dOptions& o) {
  return {x[0], w[0], out_size(x[2], w[2], o, 0), out_size(x[3], w[3], o, 1)};
}

}  // namespace

Cases conv_cases() {
  Cases cases;
  const auto put = [&](const std::string& variant, std::vector<Input> in, const Conv2dOptions& o,
                       bool grad = true) {
    cases.push_back({.op = "conv2d",
                     .variant = variant,
                     .inputs = std::move(in),
                     .run =
                         [o](const Tensors& t) {
                           return Tensors{conv2d(t[0], t[1], t.size() > 2 ? t[2] : Tensor(), o)};
                         },
                     .tolerance = terms(),
                     .oracle = forward_oracle(o),
                     .differentiable = grad,
                     .bench = variant.starts_with("bench")});
  };
  for (const Row& r : option_rows()) {
    put(r.variant, {real(r.x), real(r.w), real({r.w[0]})}, r.o);
    put(r.variant + "_no_bias", {real(r.x), real(r.w)}, r.o);
    const Shape out = result_shape(r.x, r.w, r.o);
    const Oracle to_input = [o = r.o, x = r.x](const std::vector<HostArray>& in) {
      HostArray g = host_array(x);
      each_product(
          x, in[1].shape, o,
          [&](int64_t n, int64_t out, int64_t y, int64_t z, int64_t c, int64_t i, int64_t j,
              int64_t h, int64_t v, int64_t channel) {
            g.at({n, channel, h, v}) += in[0].at({n, out, y, z}) * in[1].at({out, c, i, j});
          });
      return std::vector<HostArray>{g};
    };
    const Oracle to_weight = [o = r.o, w = r.w](const std::vector<HostArray>& in) {
      HostArray g = host_array(w);
      each_product(
          in[1].shape, w, o,
          [&](int64_t n, int64_t out, int64_t y, int64_t z, int64_t c, int64_t i, int64_t j,
              int64_t h, int64_t v, int64_t channel) {
            g.at({out, c, i, j}) += in[0].at({n, out, y, z}) * in[1].at({n, channel, h, v});
          });
      return std::vector<HostArray>{g};
    };
    cases.push_back(
        {.op = "conv2d_grad_input",
         .variant = r.variant,
         .inputs = {real(out), real(r.w)},
         .run = [o = r.o, x = r.x](
                    const Tensors& t) { return Tensors{conv2d_grad_input(t[0], t[1], x, o)}; },
         .tolerance = terms(),
         .oracle = to_input});
    cases.push_back(
        {.op = "conv2d_grad_weight",
         .variant = r.variant,
         .inputs = {real(out), real(r.x)},
         .run = [o = r.o, w = r.w](
                    const Tensors& t) { return Tensors{conv2d_grad_weight(t[0], t[1], w, o)}; },
         .tolerance = terms(),
         .oracle = to_weight});
  }
  const Conv2dOptions padded{.stride = {2, 1}, .padding = {1, 1}};
  for (Layout l : all_layouts()) {
    put(std::string("x_") + name_of(l), {real({2, 2, 4, 5}).laid(l), real({3, 2, 2, 3}), real({3})},
        padded);
    put(std::string("w_") + name_of(l),
        {real({2, 2, 4, 5}), real({3, 2, 2, 3}).laid(l), real({3}).laid(l)}, padded);
  }
  const Input x = real({2, 2, 4, 3}), w = real({3, 2, 2, 2}), b = real({3});
  put("f64", {x.as(Dtype::f64), w.as(Dtype::f64), b.as(Dtype::f64)}, {});
  put("only_x_tracked", {x, w.no_grad(), b.no_grad()}, {});
  put("only_weight_tracked", {x.no_grad(), w, b.no_grad()}, {});
  put("only_bias_tracked", {x.no_grad(), w.no_grad(), b}, {});
  put("no_images", {real({0, 2, 4, 3}), w, b}, {}, false);
  put("many_channels", {real({1, 19, 5, 5}, -1, 1), real({23, 19, 3, 3}, -1, 1), real({23})},
      {.padding = {1, 1}}, false);
  put("wide_image", {real({1, 1, 3, 70}), real({5, 1, 3, 5}), real({5})}, {.padding = {1, 2}},
      false);
  put("bench_first_layer", {real({8, 3, 32, 32}), real({16, 3, 3, 3}), real({16})},
      {.padding = {1, 1}}, false);
  put("bench_inner_layer", {real({8, 16, 16, 16}), real({32, 16, 3, 3}), real({32})},
      {.padding = {1, 1}}, false);
  put("bench_pointwise", {real({8, 32, 14, 14}), real({64, 32, 1, 1}), real({64})}, {}, false);
  put("bench_depthwise", {real({8, 32, 14, 14}), real({32, 1, 3, 3}), real({32})},
      {.padding = {1, 1}, .groups = 32}, false);
  put("single_output_huge_steps", {real({1, 1, 3, 1}), real({1, 1, 3, 1})},
      {.stride = {2147483647, 2147483647}, .dilation = {1, 2147483647}});
  const Conv2dOptions same{.padding = {1, 1}};
  cases.push_back({.op = "conv2d_grad_input",
                   .variant = "bench",
                   .inputs = {real({8, 32, 16, 16}), real({32, 16, 3, 3})},
                   .run =
                       [same](const Tensors& t) {
                         return Tensors{conv2d_grad_input(t[0], t[1], {8, 16, 16, 16}, same)};
                       },
                   .tolerance = terms(),
                   .differentiable = false,
                   .bench = true});
  cases.push_back({.op = "conv2d_grad_weight",
                   .variant = "bench",
                   .inputs = {real({8, 32, 16, 16}), real({8, 16, 16, 16})},
                   .run =
                       [same](const Tensors& t) {
                         return Tensors{conv2d_grad_weight(t[0], t[1], {32, 16, 3, 3}, same)};
                       },
                   .tolerance = terms(),
                   .differentiable = false,
                   .bench = true});
  return cases;
}

}  // namespace tinytorch::op_cases
