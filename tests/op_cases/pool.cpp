// Cases of 2-D pooling. Max pooling: first of equals, NaN wins, padding never wins; average pooling
// with and without the padding, and over windows that adapt to the image.
#include "tests/op_cases/op_cases.h"

#include <cmath>
#include <limits>

namespace tinytorch::op_cases {
namespace {

using Kernel = std::array<int64_t, 2>;

// Calls window(n, c, y, x, h0, w0) for every window; h0 and w0 may be negative.
template <class F>
HostArray each_window(const HostArray& x, const Kernel& k, const Pool2dOptions& o, F&& window) {
  const Kernel s = o.stride.value_or(k);
  const auto size = [&](int d) {
    const size_t i = static_cast<size_t>(d);
    return (x.shape[2 + d] + 2 * o.padding[i] - o.dilation[i] * (k[i] - 1) - 1) / s[i] + 1;
  };
  HostArray r = host_array({x.shape[0], x.shape[1], size(0), size(1)});
  for (int64_t n = 0; n < r.shape[0]; ++n)
    for (int64_t c = 0; c < r.shape[1]; ++c)
      for (int64_t y = 0; y < r.shape[2]; ++y)
        for (int64_t z = 0; z < r.shape[3]; ++z)
          r.at({n, c, y, z}) = window(n, c, y * s[0] - o.padding[0], z * s[1] - o.padding[1]);
  return r;
}

Oracle max_oracle(const Kernel& k, const Pool2dOptions& o, bool indices) {
  return [=](const std::vector<HostArray>& in) {
    const HostArray& x = in[0];
    const auto find = [&](bool index) {
      return each_window(x, k, o, [&](int64_t n, int64_t c, int64_t h0, int64_t w0) {
        double best = -std::numeric_limits<double>::infinity();
        int64_t at = -1;
        for (int64_t i = 0; i < k[0]; ++i)
          for (int64_t j = 0; j < k[1]; ++j) {
            const int64_t h = h0 + i * o.dilation[0], w = w0 + j * o.dilation[1];
            if (h < 0 || w < 0 || h >= x.shape[2] || w >= x.shape[3]) continue;
            const double v = x.at({n, c, h, w});
            if (at >= 0 && !(v > best) && !(std::isnan(v) && !std::isnan(best))) continue;
            best = v;
            at = h * x.shape[3] + w;
          }
        return index ? static_cast<double>(at) : best;
      });
    };
    std::vector<HostArray> r = {find(false)};
    if (indices) r.push_back(find(true));
    return r;
  };
}

Oracle average_oracle(const Kernel& k, const Pool2dOptions& o) {
  return [=](const std::vector<HostArray>& in) {
    const HostArray& x = in[0];
    return std::vector<HostArray>{
        each_window(x, k, o, [&](int64_t n, int64_t c, int64_t h0, int64_t w0) {
          double sum = 0;
          int64_t count = 0;
          for (int64_t h = h0; h < h0 + k[0]; ++h)
            for (int64_t w = w0; w < w0 + k[1]; ++w) {
              if (h < 0 || w < 0 || h >= x.shape[2] || w >= x.shape[3]) continue;
              sum += x.at({n, c, h, w});
              ++count;
            }
          return sum / static_cast<double>(o.count_include_pad ? k[0] * k[1] : count);
        })};
  };
}

// [floor(i H / n), ceil((i + 1) H / n)) in both directions.
Oracle adaptive_oracle(const Kernel& size) {
  return [=](const std::vector<HostArray>& in) {
    const HostArray& x = in[0];
    HostArray r = host_array({x.shape[0], x.shape[1], size[0], size[1]});
    const auto from = [&](int d, int64_t i) {
      return i * x.shape[2 + d] / size[static_cast<size_t>(d)];
    };
    const auto to = [&](int d, int64_t i) {
      const double n = static_cast<double>(size[static_cast<size_t>(d)]);
      return static_cast<int64_t>(std::ceil(static_cast<double>((i + 1) * x.shape[2 + d]) / n));
    };
    for (int64_t n = 0; n < r.shape[0]; ++n)
      for (int64_t c = 0; c < r.shape[1]; ++c)
        for (int64_t i = 0; i < size[0]; ++i)
          for (int64_t j = 0; j < size[1]; ++j) {
            double sum = 0, count = 0;
            for (int64_t h = from(0, i); h < to(0, i); ++h)
              for (int64_t w = from(1, j); w < to(1, j); ++w) {
                sum += x.at({n, c, h, w});
                ++count;
              }
            r.at({n, c, i, j}) = sum / count;
          }
    return std::vector<HostArray>{r};
  };
}

void put_adaptive(Cases& cases) {
  const auto put = [&](const std::string& variant, const Input& x, const Kernel& size,
                       bool grad = true) {
    cases.push_back(
        {.op = "adaptive_avg_pool2d",
         .variant = variant,
         .inputs = {x},
         .run = [size](const Tensors& t) { return Tensors{adaptive_avg_pool2d(t[0], size)}; },
         .tolerance = terms(),
         .oracle = adaptive_oracle(size),
         .differentiable = grad,
         .bench = variant.starts_with("bench")});
  };
  put("divides", real({2, 2, 4, 6}), {2, 3});
  put("one", real({2, 3, 4, 5}), {1, 1});
  put("one_row", real({1, 2, 3, 4}), {1, 2});
  put("same_size", real({1, 2, 3, 4}), {3, 4});
  put("overlap_evenly", real({1, 2, 5, 7}), {2, 3});
  put("uneven", real({2, 2, 5, 7}), {3, 4});
  put("uneven_rows", real({1, 2, 5, 6}), {3, 3});
  put("uneven_columns", real({1, 2, 4, 5}), {2, 4});
  put("larger_than_input", real({1, 2, 2, 3}), {3, 5});
  put("of_one_pixel", real({2, 1, 1, 1}), {2, 3});
  for (Layout l : all_layouts()) put(name_of(l), real({2, 2, 4, 5}).laid(l), {2, 3});
  put("f64", real({1, 2, 5, 4}).as(Dtype::f64), {3, 2});
  put("no_images", real({0, 2, 4, 5}), {2, 3}, false);
  put("not_finite", list({1, 1, 1, 5}, {1, INFINITY, 2, NAN, 3}), {1, 3}, false);
  put("bench_divides", real({16, 16, 28, 28}), {7, 7}, false);
  put("bench_one", real({16, 64, 7, 7}), {1, 1}, false);
  put("bench_uneven", real({16, 16, 32, 32}), {7, 7}, false);
}

struct Row {
  std::string variant;
  Shape x;
  Kernel kernel;
  Pool2dOptions o;
  bool average;  // average pooling has no dilation
};

}  // namespace

Cases pool_cases() {
  const std::vector<Row> rows = {
      {"plain", {2, 3, 4, 6}, {2, 2}, {}, true},
      {"kernel_uneven", {1, 2, 6, 4}, {3, 2}, {}, true},
      {"kernel1", {1, 2, 3, 2}, {1, 1}, {}, true},
      {"whole_image", {2, 2, 3, 4}, {3, 4}, {}, true},
      {"stride1_overlaps", {1, 2, 4, 5}, {2, 3}, {.stride = Kernel{1, 1}}, true},
      {"stride_uneven", {1, 1, 6, 7}, {2, 2}, {.stride = Kernel{1, 3}}, true},
      {"stride_skips", {1, 2, 7, 7}, {2, 2}, {.stride = Kernel{3, 4}}, true},
      {"leaves_rest", {1, 1, 5, 7}, {2, 2}, {}, true},
      {"padding", {2, 2, 4, 4}, {3, 2}, {.stride = Kernel{2, 2}, .padding = {1, 1}}, true},
      {"padding_uneven", {1, 2, 3, 5}, {2, 3}, {.padding = {1, 0}}, true},
      {"padding_not_counted",
       {1, 2, 4, 5},
       {3, 3},
       {.stride = Kernel{2, 1}, .padding = {1, 1}, .count_include_pad = false},
       true},
      {"dilation", {1, 2, 6, 5}, {2, 2}, {.stride = Kernel{1, 1}, .dilation = {2, 3}}, false},
      {"dilation_padding",
       {1, 1, 6, 7},
       {3, 2},
       {.stride = Kernel{2, 2}, .padding = {1, 1}, .dilation = {2, 1}},
       false},
  };
  Cases cases;
  put_adaptive(cases);
  const auto put_max = [&](const std::string& variant, const Input& x, const Kernel& k,
                           const Pool2dOptions& o, bool grad) {
    cases.push_back({.op = "max_pool2d",
                     .variant = variant,
                     .inputs = {x},
                     .run = [k, o](const Tensors& t) { return Tensors{max_pool2d(t[0], k, o)}; },
                     .tolerance = exact(),
                     .oracle = max_oracle(k, o, false),
                     .differentiable = grad,
                     .bench = variant == "bench"});
    cases.push_back({.op = "max_pool2d_with_indices",
                     .variant = variant,
                     .inputs = {x},
                     .run =
                         [k, o](const Tensors& t) {
                           const ValuesAndIndices r = max_pool2d_with_indices(t[0], k, o);
                           return Tensors{r.values, r.indices};
                         },
                     .tolerance = exact(),
                     .oracle = max_oracle(k, o, true),
                     .differentiable = grad,
                     .bench = variant == "bench"});
  };
  const auto put_average = [&](const std::string& variant, const Input& x, const Kernel& k,
                               const Pool2dOptions& o, bool grad) {
    cases.push_back({.op = "avg_pool2d",
                     .variant = variant,
                     .inputs = {x},
                     .run = [k, o](const Tensors& t) { return Tensors{avg_pool2d(t[0], k, o)}; },
                     .tolerance = terms(),
                     .oracle = average_oracle(k, o),
                     .differentiable = grad,
                     .bench = variant == "bench"});
  };
  for (const Row& r : rows) {
    put_max(r.variant, distinct(r.x), r.kernel, r.o, true);
    if (r.average) put_average(r.variant, real(r.x), r.kernel, r.o, true);
  }
  const Pool2dOptions overlap{.stride = Kernel{1, 2}, .padding = {1, 0}};
  for (Layout l : all_layouts()) {
    // Expanded images share their elements, and so their maxima: the gradient still goes to one
    // place.
    put_max(name_of(l), distinct({2, 2, 4, 5}).laid(l), {2, 2}, overlap, true);
    put_average(name_of(l), real({2, 2, 4, 5}).laid(l), {2, 2}, overlap, true);
  }
  put_max("f64", distinct({1, 2, 4, 4}).as(Dtype::f64), {2, 2}, {}, true);
  put_average("f64", real({1, 2, 4, 4}).as(Dtype::f64), {2, 2}, {}, true);
  put_max("no_images", real({0, 2, 4, 4}), {2, 2}, {}, false);
  put_average("no_images", real({0, 2, 4, 4}), {2, 2}, {}, false);
  put_max("ties", ints({2, 2, 6, 6}, 0, 2).as(Dtype::f32), {2, 3}, {}, false);
  put_max("all_negative_padded", real({1, 1, 3, 3}, -3, -1), {3, 3},
          {.stride = Kernel{1, 1}, .padding = {1, 1}}, false);
  put_max("nan_wins",
          list({1, 1, 4, 4}, {1, NAN, 2, 3, 4, 5, INFINITY, NAN, -INFINITY, -INFINITY, 0, -0.0,
                              -INFINITY, -INFINITY, -0.0, 0}),
          {2, 2}, {}, false);
  put_max("bench", distinct({16, 16, 32, 32}), {2, 2}, {}, false);
  put_average("bench", real({16, 16, 32, 32}), {2, 2}, {}, false);
  return cases;
}

}  // namespace tinytorch::op_cases
