// A stream that does nothing but carry a context.
#include "tests/kernels/test_stream.h"

#include <cstring>

#include "backends/common/caching_allocator.h"

namespace tinytorch {
namespace {

class TestStream final : public Stream {
 public:
  TestStream() : context_{this, &CachingAllocator::host(), nullptr, &error_, "test"} {}
  KernelContext& context() override { return context_; }
  void copy(void* dst, const void* src, size_t bytes, CopyKind) override {
    std::memcpy(dst, src, bytes);
  }
  void synchronize() override {}
  Marker mark() override { return {}; }
  void wait(Marker) override {}
  bool query(Marker) override { return true; }
  double elapsed_us(Marker, Marker) override { return 0; }

 private:
  ErrorWord error_{};
  KernelContext context_;
};

}  // namespace

KernelContext& test_context() {
  static TestStream* stream = new TestStream;  // never destroyed: blocks are freed late
  return stream->context();
}

}  // namespace tinytorch
