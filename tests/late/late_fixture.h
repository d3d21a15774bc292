// The fixture of the tests of `late`: opens the plugin, and works with it through the backend
// interface alone, as core would.
#pragma once

#include <dlfcn.h>

#include "tests/backend_work.h"
#include "tests/late/late_control.h"

namespace tinytorch::late {

inline constexpr int kSeeds = 60;

using testing::Floats;
using testing::kLength;
using testing::view_of;

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

class Late : public testing::OnBackend<late_backend> {
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

  static void give(Stream& s, const MemoryBlock& dst, const void* src) {
    s.copy(dst.data, src, dst.bytes, CopyKind::host_to_device);
  }
  const TinytorchLateControl* control_ = nullptr;
};

}  // namespace tinytorch::late
