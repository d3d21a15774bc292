// What one kernel call costs, from the cost columns of kernels.def. Core's launch reads it; kernels
// do not include it.
#pragma once

#include <tinytorch/backend/kernel_table.h>

namespace tinytorch {

struct KernelCost {
  double flops = 0, bytes = 0;
};

// Pairs of a query of q [B, H, T, D] and a key of k [B, H, S, D] that it sees.
inline double attended(const View& q, const View& k, bool causal) {
  const double queries = static_cast<double>(q.shape[2]), keys = static_cast<double>(k.shape[2]);
  const double part = queries < keys ? queries : keys;  // of the queries: those that see all before
  const double each = causal ? part * (part + 1) / 2 + (queries - part) * keys : queries * keys;
  return static_cast<double>(q.shape[0] * q.shape[1]) * each;
}

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
