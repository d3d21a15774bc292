// Convolutions of known nets, forward and both gradients, with the FLOPs of the plain algorithm
// (padding counted). peers/torch_large.py has the same rows in PyTorch.
#include <tinytorch/tinytorch.h>

#include "benchmarks/bench_ops_large.h"

namespace bench {
namespace {

using namespace tinytorch;

struct Conv {
  const char* name;
  int64_t batch, in, out, kernel, size, padding;
};
const Conv kConvs[] = {
    {"conv_3x3_64_56", 8, 64, 64, 3, 56, 1},   {"conv_3x3_512_4", 32, 512, 512, 3, 4, 1},
    {"conv_1x1_64_256", 8, 64, 256, 1, 56, 0}, {"conv_5x5_1_6", 64, 1, 6, 5, 28, 2},
    {"conv_3x3_1_8", 32, 1, 8, 3, 8, 0},
};
enum class Direction : uint8_t { forward, input, weight };

void measure_conv(const Conv& c, Direction direction, const std::string& name, const Device& device,
                  const Reporter& report) {
  const DeviceGuard on(device);
  const NoGrad guard;
  const Conv2dOptions options{.padding = {c.padding, c.padding}};
  const Tensor x = randn({c.batch, c.in, c.size, c.size}),
               w = randn({c.out, c.in, c.kernel, c.kernel}), g = conv2d(x, w, {}, options);
  const auto call = [&] {
    if (direction == Direction::forward) conv2d(x, w, {}, options);
    if (direction == Direction::input) conv2d_grad_input(g, w, x.shape(), options);
    if (direction == Direction::weight) conv2d_grad_weight(g, x, w.shape(), options);
  };
  const std::vector<double> seconds = measure(call, [&] { device.synchronize(); });
  const double flops = 2 * static_cast<double>(g.numel() * c.in * c.kernel * c.kernel);
  report.times(name, "op", seconds,
               {{"flops", flops}, {"gigaflops_per_second", flops / median(seconds) / 1e9}});
}

}  // namespace

std::vector<Workload> large_convs() {
  std::vector<Workload> all;
  for (const Conv& c : kConvs) {
    for (const Direction d : {Direction::forward, Direction::input, Direction::weight}) {
      const char* suffix[] = {"/forward", "/d_data", "/d_weight"};
      const std::string name = std::string("large/") + c.name + suffix[static_cast<int>(d)];
      all.push_back({name, [&c, d, name](const Device& device, const Reporter& report) {
                       measure_conv(c, d, name, device, report);
                     }});
    }
  }
  return all;
}

}  // namespace bench
