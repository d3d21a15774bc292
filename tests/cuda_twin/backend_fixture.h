// The fixture of the tests of the backend's host code on the twin: the plugin is opened by core, as
// device "cudatwin", with two devices, and used through the backend interface or through tensors.
#pragma once

#include <cstdlib>
#include <string>

#include <tinytorch/tinytorch.h>

#include "core/runtime/device_state.h"
#include "tests/backend_work.h"
#include "tests/cuda_twin/runtime/twin_control.h"

namespace tinytorch::twin {

using testing::Floats;
using testing::kLength;
using testing::view_of;

inline constexpr int kSeeds = 40;
inline constexpr int kOutOfMemory = 2, kUnknown = 999, kIllegalAddress = 700;

inline Backend& twin_backend() {
  setenv("TINYTORCH_TWIN_DEVICES", "2", 0);
  static Backend* backend = Device("cudatwin").state()->backend;
  return *backend;
}

class OnTwin : public testing::OnBackend<twin_backend> {
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

  static void synchronize() {
    for (int i = 0; i < twin_backend().device_count(); ++i) stream(i).synchronize();
  }

  const TinytorchTwinControl* control_ = nullptr;
  MemoryStats before_;
};

}  // namespace tinytorch::twin
