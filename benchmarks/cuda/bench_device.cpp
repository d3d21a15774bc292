// What a device can do at most, measured through the public interface, for the floors that other
// figures are compared with: bytes copied, products of matrices, and what one small operation costs
// when the host launches it and when a captured graph does. One JSON line a measurement, the keys
// of measure.h.
//   bench_device [--device D] [--small]      --small: sizes for a simulated device
#include <tinytorch/tinytorch.h>

#include <cstring>
#include <iostream>
#include <string>

#include "benchmarks/measure.h"

namespace {

using namespace tinytorch;

struct Options {
  std::string device = "cuda";
  bool small = false;
};

void report(const Device& device, const std::string& what, const char* unit, double value) {
  std::cout << bench::JsonLine()
                   .text("workload", "device")
                   .text("phase", what)
                   .number(unit, value)
                   .text("variant", device.name())
                   .text("framework", "tinytorch")
                   .str()
            << std::endl;
}

template <class F>
double seconds_of(const Device& device, F&& f, double total_seconds = 0.4) {
  return bench::median(
      bench::measure(f, [&] { device.synchronize(); }, {.total_seconds = total_seconds}));
}

void copy_rate(const Device& device, bool small) {
  const int64_t n = small ? 1 << 16 : int64_t{1} << 28;  // 1 GiB of f32: no cache holds it
  const NoGrad no_grad;
  const Tensor from = ones({n});
  Tensor to = zeros({n});
  const double seconds = seconds_of(device, [&] { to.copy_(from); });
  report(device, "copy_read_and_write", "bytes_per_s", 8.0 * static_cast<double>(n) / seconds);
}

void product_rate(const Device& device, bool small, MatmulPrecision precision) {
  const int64_t n = small ? 64 : 8192;
  const NoGrad no_grad;
  const Tensor a = randn({n, n}), b = randn({n, n});
  set_matmul_precision(precision);
  const double seconds = seconds_of(device, [&] { matmul(a, b); });
  set_matmul_precision(MatmulPrecision::f32);
  const double flops =
      2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
  const bool tf32 = precision == MatmulPrecision::tf32;
  report(device, tf32 ? "matmul_tf32" : "matmul_f32", "flop_per_s", flops / seconds);
}

// A chain of small operations in place: each waits for the one before.
void small_operations(const Device& device, bool small) {
  const int chain = small ? 20 : 1000;
  const NoGrad no_grad;
  Tensor x = zeros({32});
  const auto operations = [&] {
    for (int i = 0; i < chain; ++i) x.add_(1.0);
  };
  report(device, "operation_launched", "s", seconds_of(device, operations) / chain);
  Graph graph = capture(device, operations);
  report(device, "operation_in_graph", "s", seconds_of(device, [&] { graph.replay(); }) / chain);
}

int run(const Options& options) {
  const Device device(options.device);
  const DeviceGuard guard(device);
  copy_rate(device, options.small);
  for (const MatmulPrecision precision : {MatmulPrecision::f32, MatmulPrecision::tf32})
    product_rate(device, options.small, precision);
  small_operations(device, options.small);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--small")) {
      options.small = true;
    } else if (!std::strcmp(argv[i], "--device") && i + 1 < argc) {
      options.device = argv[++i];
    } else {
      std::cerr << "usage: bench_device [--device D] [--small]\n";
      return 2;
    }
  }
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "bench_device: " << error.what() << '\n';
    return 1;
  }
}
