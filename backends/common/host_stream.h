// A stream of the host: work is done when the call returns, so there is nothing to wait for, and a
// marker is the time at which it was made.
#pragma once

#include <chrono>
#include <cstring>

#include <tinytorch/backend/backend.h>

namespace tinytorch {

class HostStream : public Stream {
 public:
  explicit HostStream(Allocator& allocator) : context_{this, &allocator, nullptr, nullptr, ""} {}
  KernelContext& context() override { return context_; }
  void copy(void* dst, const void* src, size_t bytes, CopyKind) override {
    if (bytes) std::memmove(dst, src, bytes);
  }
  void synchronize() override {}
  Marker mark() override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return {
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count())};
  }
  void wait(Marker) override {}
  bool query(Marker) override { return true; }
  double elapsed_us(Marker from, Marker to) override {
    return static_cast<double>(static_cast<int64_t>(to.id - from.id)) * 1e-3;
  }

 private:
  KernelContext context_;
};

}  // namespace tinytorch
