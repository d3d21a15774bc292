// The convolution kernels at shapes of LeNet, ResNet-18 and the report's small network, single
// thread by default, and beside each forward pass what it replaces: im2col of whole images into a
// buffer, then one product per image.
//   bench_conv --benchmark_enable_random_interleaving=true --benchmark_repetitions=5
//   [--benchmark_filter=...]
// TINYTORCH_BENCH_THREADS=n sets the threads.
#include <string>

#include "benchmarks/kernels/kernel_benchmark.h"
#include "tests/kernels/cpu_levels.h"

namespace tinytorch {
namespace {

struct Shape {
  int64_t images, in_channels, side, out_channels, kernel, stride, padding;
  int64_t out() const { return (side + 2 * padding - kernel) / stride + 1; }
  int64_t k() const { return in_channels * kernel * kernel; }
  double flops() const {
    return 2.0 * static_cast<double>(images * out_channels * out() * out() * k());
  }
  std::string name() const {
    const auto n = [](int64_t i) { return std::to_string(i); };
    return n(kernel) + "x" + n(kernel) + "_" + n(in_channels) + "to" + n(out_channels) + "_on" +
           n(side) + "_s" + n(stride) + "_b" + n(images);
  }
};
const Shape kShapes[] = {
    {8, 64, 56, 64, 3, 1, 1},   {32, 64, 32, 64, 3, 1, 1},  {32, 128, 16, 128, 3, 1, 1},
    {32, 256, 8, 256, 3, 1, 1}, {32, 512, 4, 512, 3, 1, 1}, {32, 64, 32, 128, 3, 2, 1},
    {8, 64, 56, 256, 1, 1, 0},  {64, 1, 28, 6, 5, 1, 2},    {64, 6, 14, 16, 5, 1, 0},
    {64, 1, 28, 32, 3, 1, 0},   {64, 32, 26, 64, 3, 1, 0},  {32, 1, 8, 8, 3, 1, 0},
    {32, 8, 3, 16, 2, 1, 0}};

enum class Pass { forward, im2col, grad_input, grad_weight };
constexpr const char* kPasses[] = {"forward", "forward_im2col", "grad_input", "grad_weight"};

struct Problem {
  explicit Problem(const Shape& s)
      : s(s),
        x(random_values<float>(static_cast<size_t>(s.images * s.in_channels * s.side * s.side), 1)),
        w(random_values<float>(static_cast<size_t>(s.out_channels * s.k()), 2)),
        b(random_values<float>(static_cast<size_t>(s.out_channels), 3)),
        y(random_values<float>(static_cast<size_t>(s.images * s.out_channels * s.out() * s.out()),
                               4)),
        columns(static_cast<size_t>(s.k() * s.out() * s.out())) {}

  void run(const CpuLevel& level, Pass pass) {
    const View vx = dense_view(x, {s.images, s.in_channels, s.side, s.side}),
               vw = dense_view(w, {s.out_channels, s.in_channels, s.kernel, s.kernel}),
               vb = dense_view(b, {s.out_channels}),
               vy = dense_view(y, {s.images, s.out_channels, s.out(), s.out()});
    const Conv2dParams p{{s.stride, s.stride}, {s.padding, s.padding}, {1, 1}, 1};
    const KernelTable& table = level.table();
    switch (pass) {
      case Pass::forward:
        return table.conv2d(test_context(), vy, vx, vw, &vb, p);
      case Pass::im2col:
        return product_of_columns(level);
      case Pass::grad_input:
        return table.conv2d_grad_input(test_context(), vx, vy, vw, p);
      case Pass::grad_weight:
        return table.conv2d_grad_weight(test_context(), vw, vy, vx, p);
    }
  }

 private:
  void product_of_columns(const CpuLevel& level) {
    const int64_t pixels = s.out() * s.out(), image = s.in_channels * s.side * s.side;
    for (int64_t n = 0; n < s.images; ++n) {
      fill_columns(x.data() + n * image);
      const GemmCall<float> call{s.out_channels,
                                 pixels,
                                 s.k(),
                                 false,
                                 false,
                                 w.data(),
                                 s.k(),
                                 columns.data(),
                                 pixels,
                                 y.data() + n * s.out_channels * pixels,
                                 pixels,
                                 false,
                                 Activation::none,
                                 b.data(),
                                 nullptr};
      level.gemm(test_context(), call, false);
    }
  }
  void fill_columns(const float* image) {
    float* to = columns.data();
    for (int64_t k = 0; k < s.k(); ++k) {
      const float* plane = image + k / (s.kernel * s.kernel) * s.side * s.side;
      const int64_t dy = k / s.kernel % s.kernel - s.padding, dx = k % s.kernel - s.padding;
      for (int64_t i = 0; i < s.out(); ++i) {
        const int64_t row = i * s.stride + dy;
        for (int64_t j = 0; j < s.out(); ++j) {
          const int64_t column = j * s.stride + dx;
          const bool inside = row >= 0 && row < s.side && column >= 0 && column < s.side;
          *to++ = inside ? plane[row * s.side + column] : 0.0f;
        }
      }
    }
  }

  const Shape s;
  std::vector<float> x, w, b, y, columns;
};

void convolve(benchmark::State& state, const CpuLevel& level, const Shape& s, Pass pass) {
  Problem problem(s);
  for (auto _ : state) {
    problem.run(level, pass);
    benchmark::ClobberMemory();
  }
  state.counters["GF/s"] =
      benchmark::Counter(1e-9 * s.flops(), benchmark::Counter::kIsIterationInvariantRate);
}

void add_benchmarks() {
  const CpuLevel best = cpu_levels().back();
  for (const Shape& s : kShapes) {
    for (const Pass pass : {Pass::forward, Pass::im2col, Pass::grad_input, Pass::grad_weight}) {
      const std::string name =
          std::string(best.name) + "/" + s.name() + "/" + kPasses[static_cast<int>(pass)];
      benchmark::RegisterBenchmark(name.c_str(), [best, s, pass](benchmark::State& state) {
        convolve(state, best, s, pass);
      })->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace tinytorch

int main(int argc, char** argv) {
  return tinytorch::run_kernel_benchmarks(argc, argv, tinytorch::add_benchmarks);
}
