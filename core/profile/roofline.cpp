// The best rates of a device, by loops of growing size: small ones do not fill it, and large ones
// leave its caches.
#include <algorithm>
#include <chrono>
#include <cmath>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/ops.h>
#include <tinytorch/profile.h>

namespace tinytorch {

namespace {

constexpr double kLongest = 10e-3;  // seconds of one op: no need for a larger one

// Least seconds of some runs of f: of more where they are short and easily disturbed.
template <class F>
double seconds_of(const Device& device, F&& f) {
  f();
  device.synchronize();
  double best = 1e9, all = 0;
  for (int i = 0; i < 5 || (i < 200 && all < 1e-3); ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    device.synchronize();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
    all += took.count();
  }
  return best;
}

}  // namespace

Roofline measure_roofline(const Device& device) {
  const NoGrad no_grad;
  const DeviceGuard guard(device);
  const CategoryGuard category(Category::other);
  Roofline best;
  try {
    for (int64_t n = 1 << 11; n <= 1 << 24; n *= 2) {
      const Tensor a = full({n}, 0.5), b = full({n}, 0.5);
      const double seconds = seconds_of(device, [&] { add(a, b); });
      best.bytes_per_second =
          std::max(best.bytes_per_second, 3 * 4 * static_cast<double>(n) / seconds);
      if (seconds > kLongest) break;
    }
    for (int64_t n = 64; n <= 4096; n *= 2) {
      const Tensor a = full({n, n}, 0.5), b = full({n, n}, 0.5);
      const double seconds = seconds_of(device, [&] { matmul(a, b); });
      best.flops_per_second = std::max(best.flops_per_second, 2 * std::pow(n, 3) / seconds);
      if (seconds > kLongest) break;
    }
  } catch (const OutOfMemoryError&) {
    // What fitted has been measured.
  }
  return best;
}

double achieved_share(const OpProfile& op, const Roofline& roofline) {
  if (!(op.seconds() > 0) || !(roofline.flops_per_second > 0) || !(roofline.bytes_per_second > 0))
    return 0;
  return std::max(op.flops / roofline.flops_per_second, op.bytes / roofline.bytes_per_second) /
         op.seconds();
}

}  // namespace tinytorch
