// For tests of the shim that hold device code themselves: the device language, and run(), which
// launches a lambda without captures as a kernel.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/cuda_twin/shim/shim.h"

#include "kernels/cuda/device/device.cuh"
#include "tests/cuda_twin/shim/grid.h"

namespace tinytorch {

template <class F, class... A>
void run(F kernel, cuda::Dim3 grid, cuda::Dim3 block, A... arguments) {
  KernelContext context{};
  context.op = "test";
  cuda::launch(+kernel, grid, block, 0, context, arguments...);
}
template <class F, class... A>
void run_shared(F kernel, cuda::Dim3 grid, cuda::Dim3 block, size_t shared_bytes, A... arguments) {
  KernelContext context{};
  context.op = "test";
  cuda::launch(+kernel, grid, block, shared_bytes, context, arguments...);
}

// The text of the fault that f ends with, or empty.
template <class F>
std::string fault_of(F&& f) {
  try {
    f();
  } catch (const twin::KernelFault& fault) {
    return fault.what();
  }
  return {};
}

// Every order that a test goes through; sets it while it lives.
struct InOrder {
  explicit InOrder(twin::ThreadOrder order, uint64_t seed = 1) {
    twin::grid_options() = {order, seed};
  }
  ~InOrder() { twin::grid_options() = {}; }
  InOrder(const InOrder&) = delete;
};
template <class F>
void in_every_order(F&& f) {
  for (const auto order : {twin::ThreadOrder::forward, twin::ThreadOrder::reverse}) {
    const InOrder in_order(order);
    f();
  }
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const InOrder in_order(twin::ThreadOrder::random, seed);
    f();
  }
}

}  // namespace tinytorch
