// Random tensors. Without a generator the thread's default of the device is used. Same seed, same
// bits, on every backend.
#pragma once

#include <tinytorch/random.h>
#include <tinytorch/tensor.h>

namespace tinytorch {

struct RandomOptions {
  std::optional<Dtype>
      dtype{};  // f32 or f64 where values are real; default f32 (randint, randperm: i64)
  std::optional<Device> device{};  // default: the generator's, else the thread's default device
  std::optional<Generator> generator{};
  bool requires_grad = false;
};

TT_API Tensor rand(const Shape& shape, const RandomOptions& options = {});   // uniform in [0, 1)
TT_API Tensor randn(const Shape& shape, const RandomOptions& options = {});  // standard normal
TT_API Tensor uniform(const Shape& shape, double low, double high,
                      const RandomOptions& options = {});
TT_API Tensor normal(const Shape& shape, double mean, double std,
                     const RandomOptions& options = {});
TT_API Tensor randint(int64_t low, int64_t high, const Shape& shape,
                      const RandomOptions& options = {});  // [low, high)
TT_API Tensor randperm(int64_t n, const RandomOptions& options = {});
TT_API Tensor bernoulli(const Shape& shape, double p,
                        const RandomOptions& options = {});  // 1 with probability p

// x with elements zeroed with probability p and the others divided by 1 - p while training; x
// itself otherwise.
TT_API Tensor dropout(const Tensor& x, double p = 0.5, bool training = true,
                      std::optional<Generator> generator = {});

}  // namespace tinytorch
