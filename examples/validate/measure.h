// Memory and time of a part.
#pragma once

#include <tinytorch/device.h>
#include <tinytorch/memory.h>
#include <tinytorch/tensor.h>

#include <chrono>
#include <vector>

namespace validate {

// Live bytes of a device above what was live when the meter was made. Work in flight may hold
// memory, so it waits first.
class MemoryMeter {
 public:
  explicit MemoryMeter(const tinytorch::Device& device) : device_(device), before_(in_use()) {
    restart();
  }

  int64_t live() const { return in_use() - before_; }
  int64_t peak() const {
    device_.synchronize();
    return tinytorch::memory_stats(device_).peak - before_;
  }
  // Forgets the peak so far: that of preparing the data.
  void restart() const {
    device_.synchronize();
    tinytorch::reset_peak_memory(device_);
  }

 private:
  int64_t in_use() const {
    device_.synchronize();
    return tinytorch::memory_stats(device_).in_use;
  }

  tinytorch::Device device_;
  int64_t before_;
};

inline int64_t bytes_of(const std::vector<tinytorch::Tensor>& tensors) {
  int64_t bytes = 0;
  for (const tinytorch::Tensor& t : tensors) bytes += t.nbytes();
  return bytes;
}

// Limits of time and of peak memory are for devices that are made to be fast. The oracle, and test
// devices that share its kernels, compose an optimizer's step of small ops.
inline bool meant_for_speed(const tinytorch::Device& device) {
  return device.backend() != "reference" && !device.info().test_only;
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace validate
