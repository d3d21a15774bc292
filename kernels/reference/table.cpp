// The reference's kernel table. Optional rows are null, so on this device core runs the composed
// form of a fused op, except for those named below.
#include "kernels/reference/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {

constexpr KernelTable make_table() {
#define TT_ROW_required(name) &name
#define TT_ROW_optional(name) nullptr
#define TT_KERNEL(name, layout, need, args, flops, bytes) TT_ROW_##need(name),
  KernelTable table = {
      sizeof(KernelTable),
#include <tinytorch/backend/kernels.def>
  };
#undef TT_KERNEL
#undef TT_ROW_required
#undef TT_ROW_optional
  table.layer_norm = &layer_norm;
  table.layer_norm_grad = &layer_norm_grad;
  return table;
}

}  // namespace

const KernelTable& kernel_table() {
  static constexpr KernelTable kTable = make_table();
  return kTable;
}

}  // namespace tinytorch::TT_KERNEL_NS
