// The reference's kernel table. Optional rows are null, so on this device core runs the composed
// form of a fused op, except for those named below.
#include <tinytorch/backend/sizing.h>

#include "kernels/reference/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {

// A kernel that has no workspace, and so does nothing where only that is asked for.
template <auto kKernel>
struct Plain;
template <class... P, void (*kKernel)(KernelContext&, P...)>
struct Plain<kKernel> {
  static void run(KernelContext& context, P... args) {
    if (!only_sizing()) kKernel(context, args...);
  }
};

constexpr KernelTable make_table() {
#define TT_ROW_required(name) &Plain<&name>::run
#define TT_ROW_optional(name) nullptr
#define TT_KERNEL(name, layout, need, args, flops, bytes) TT_ROW_##need(name),
  KernelTable table = {
      sizeof(KernelTable),
#include <tinytorch/backend/kernels.def>
  };
#undef TT_KERNEL
#undef TT_ROW_required
#undef TT_ROW_optional
  table.layer_norm = &Plain<&layer_norm>::run;
  table.layer_norm_grad = &Plain<&layer_norm_grad>::run;
  table.index_add = &index_add;
  table.scatter_add = &scatter_add;
  table.avg_pool2d_grad = &avg_pool2d_grad;
  return table;
}

}  // namespace

const KernelTable& kernel_table() {
  static constexpr KernelTable kTable = make_table();
  return kTable;
}

}  // namespace tinytorch::TT_KERNEL_NS
