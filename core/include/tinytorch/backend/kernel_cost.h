// What one kernel call costs, from the cost columns of kernels.def. Core's launch reads it; kernels
// do not include it.
#pragma once

#include <tinytorch/backend/kernel_table.h>

namespace tinytorch {

struct KernelCost {
  double flops = 0, bytes = 0;
};

// What the profiler charges for a call: kernel_cost::<row>(ctx, arguments of the row).
namespace kernel_cost {
#define TT_KERNEL(name, layout, need, args, flops, bytes)            \
  [[maybe_unused]] inline KernelCost name(KernelContext&, args) {    \
    return {static_cast<double>(flops), static_cast<double>(bytes)}; \
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <tinytorch/backend/kernels.def>
#pragma GCC diagnostic pop
#undef TT_KERNEL
}  // namespace kernel_cost

}  // namespace tinytorch
