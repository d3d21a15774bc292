// The fixture of the tests of `late`: opens the plugin, and works with it through the backend
// interface alone, as core would.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include <tinytorch/backend/backend.h>

#include "tests/late/late_control.h"

namespace tinytorch::late {

inline constexpr int kSeeds = 60;
inline constexpr int kLength = 100;

using Floats = std::vector<float>;

// The plugin, opened as core opens it.
inline Backend& late_backend() {
  static Backend* backend = [] {
    void* handle = dlopen(TT_LATE_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw Error(dlerror());
    auto* plugin = static_cast<const BackendPlugin*>(dlsym(handle, "tinytorch_backend_plugin"));
    Unusable why_not;
    return plugin->create(&why_not);
  }();
  return *backend;
}

inline View view_of(void* data, std::vector<int64_t> shape, Dtype dtype = Dtype::f32) {
  View view{};
  view.data = data;
  view.dtype = dtype;
  view.contiguous = true;
  view.rank = static_cast<uint8_t>(shape.size());
  view.numel = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    view.shape[i] = shape[static_cast<size_t>(i)];
    view.strides[i] = view.numel;
    view.numel *= view.shape[i];
  }
  return view;
}

class Late : public testing::Test {
 protected:
  void SetUp() override {
    late_backend();  // loads the plugin, whose control is then found
    control_ = late_control();
    ASSERT_NE(control_, nullptr);
    control_->set_seed(1);
    control_->fail_allocation(0);
  }
  void TearDown() override {
    stream().synchronize();
    control_->fail_allocation(0);
    allocator().set_limit(0);
    allocator().trim(0);
    EXPECT_EQ(allocator().stats().in_use, 0) << "a test left memory behind";
    EXPECT_EQ(control_->counters().bad_frees, 0u);
  }

  static Allocator& allocator() { return late_backend().allocator(0); }
  static Stream& stream() { return late_backend().stream(0); }
  static std::unique_ptr<Stream> another() { return late_backend().create_stream(0); }

  static Block floats(Stream& s, int64_t n = kLength) {
    return allocator().allocate(4 * static_cast<size_t>(n), s);
  }
  // Launches as core does: the context and the views are gone when the kernel runs.
  template <class Row, class... Args>
  static void launch(Stream& s, const char* op, Row row, const Args&... args) {
    KernelContext context = s.context();
    context.op = op;
    (late_backend().kernels().*row)(context, args...);
    context = {};
  }
  static void fill(Stream& s, const Block& out, float value, int64_t n = kLength) {
    launch(s, "fill", &KernelTable::fill, view_of(out.data, {n}), ScalarValue{value, 0});
  }
  static void add(Stream& s, const Block& out, const Block& a, const Block& b) {
    launch(s, "add", &KernelTable::binary, BinaryOp::add, view_of(out.data, {kLength}),
           view_of(a.data, {kLength}), view_of(b.data, {kLength}));
  }
  static void give(Stream& s, const Block& dst, const void* src) {
    s.copy(dst.data, src, dst.bytes, CopyKind::host_to_device);
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

  const TinytorchLateControl* control_ = nullptr;
};

}  // namespace tinytorch::late
