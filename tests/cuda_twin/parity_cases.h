// The cases of test_twin_parity.cpp: programs over ops that run alike on every device. Their inputs
// are drawn on the CPU, so every device sees the same numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tinytorch/tinytorch.h>

namespace tinytorch::testing {

// Inputs of one run: the same sequence for the same seed, on whatever device.
class Inputs {
 public:
  explicit Inputs(const Device& device) : device_(device), generator_(2026, Device("cpu")) {}

  const Device& device() const { return device_; }
  Tensor normal(const Shape& shape) {
    return randn(shape, {.device = Device("cpu"), .generator = generator_}).to(device_);
  }
  Tensor leaf(const Shape& shape) {
    Tensor t = normal(shape);
    t.requires_grad_();
    return t;
  }
  // Integers in [0, limit).
  Tensor below(int64_t limit, const Shape& shape) {
    return randint(0, limit, shape, {.device = Device("cpu"), .generator = generator_}).to(device_);
  }

 private:
  Device device_;
  Generator generator_;
};

struct ParityCase {
  const char* name;
  std::vector<Tensor> (*run)(Inputs& in, int64_t n);
  double tolerance;  // of |difference| / max(1, largest result), in units of the f32 epsilon
};

const std::vector<ParityCase>& parity_cases();

}  // namespace tinytorch::testing
