// The reference's kernel table. Optional rows are null, so on this device core runs the composed
// form of every fused op.
#include "kernels/reference/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

const KernelTable& kernel_table() {
#define TT_ROW_required(name) &name
#define TT_ROW_optional(name) nullptr
#define TT_KERNEL(name, layout, need, args, flops, bytes) TT_ROW_##need(name),
  static constexpr KernelTable kTable = {
      sizeof(KernelTable),
#include <tinytorch/backend/kernels.def>
  };
#undef TT_KERNEL
#undef TT_ROW_required
#undef TT_ROW_optional
  return kTable;
}

}  // namespace tinytorch::TT_KERNEL_NS
