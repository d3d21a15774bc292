// The fixture of the tests of the backend's host code on the twin: the plugin is opened by core, as
// device "cudatwin", with two devices, and used through the backend interface or through tensors.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <tinytorch/tinytorch.h>

#include "core/runtime/device_state.h"
#include "tests/cuda_twin/runtime/twin_control.h"

namespace tinytorch::twin {

using Floats = std::vector<float>;

inline constexpr int kSeeds = 40;
inline constexpr int64_t kLength = 100;
inline constexpr int kOutOfMemory = 2, kUnknown = 999, kIllegalAddress = 700;

inline Backend& twin_backend() {
  setenv("TINYTORCH_TWIN_DEVICES", "2", 0);
  static Backend* backend = Device("cudatwin").state()->backend;
  return *backend;
}

class OnTwin : public testing::Test {
 protected:
  void SetUp() override {
    twin_backend();
    control_ = twin_control();
    ASSERT_NE(control_, nullptr);
    control_->reset();
    control_->set_seed(1);
    synchronize();
    allocator().trim(0);
    allocator().reset_peak();
    before_ = allocator().stats();
  }
  void TearDown() override {
    control_->reset();
    synchronize();
    allocator().set_limit(0);
    allocator().trim(0);
    const MemoryStats now = allocator().stats();
    EXPECT_EQ(now.in_use, before_.in_use) << "a test left memory behind";
    EXPECT_EQ(now.reserved, before_.reserved);
    EXPECT_EQ(now.reserved, now.given + now.cached);
    EXPECT_EQ(control_->range_depth(), 0);
    EXPECT_EQ(control_->counters().bad_addresses, 0u) << control_->last_fault();
  }

  static Allocator& allocator(int device = 0) { return twin_backend().allocator(device); }
  static Stream& stream(int device = 0) { return twin_backend().stream(device); }
  static std::unique_ptr<Stream> another(int device = 0) {
    return twin_backend().create_stream(device);
  }
  static void synchronize() {
    for (int i = 0; i < twin_backend().device_count(); ++i) stream(i).synchronize();
  }

  static Block floats(Stream& s, int64_t n = kLength) {
    return s.context().allocator->allocate(4 * static_cast<size_t>(n), s);
  }
  static void release(const Block& block, Stream& s) { s.context().allocator->free(block, s); }

  static View view_of(const Block& block) {
    View view{};
    view.data = block.data;
    view.dtype = Dtype::f32;
    view.contiguous = true;
    view.rank = 1;
    view.numel = view.shape[0] = static_cast<int64_t>(block.bytes / 4);
    view.strides[0] = 1;
    return view;
  }
  // Launches as core does: the context is gone when the kernel runs.
  template <class Row, class... Args>
  static void launch(Stream& s, const char* op, Row row, const Args&... args) {
    KernelContext context = s.context();
    context.op = op;
    (twin_backend().kernels().*row)(context, args...);
    context = {};
  }
  static void fill(Stream& s, const Block& out, float value) {
    launch(s, "fill", &KernelTable::fill, view_of(out), ScalarValue{value, 0});
  }
  static void add(Stream& s, const Block& out, const Block& a, const Block& b) {
    launch(s, "add", &KernelTable::binary, BinaryOp::add, view_of(out), view_of(a), view_of(b));
  }
  static Floats read(Stream& s, const Block& from) {
    Floats host(from.bytes / 4);
    s.copy(host.data(), from.data, from.bytes, CopyKind::device_to_host);
    return host;
  }
  static bool all_equal(const Floats& values, float expected) {
    for (float v : values)
      if (v != expected) return false;
    return true;
  }

  const TinytorchTwinControl* control_ = nullptr;
  MemoryStats before_;
};

}  // namespace tinytorch::twin
