// The kernel table of CUDA: every row of kernels.def, the optional ones included. A missing row is
// a link error.
#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {
constexpr KernelTable kTable = {
    sizeof(KernelTable),
#define TT_KERNEL(name, layout, need, args, flops, bytes) &name,
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL
};
}  // namespace

const KernelTable& kernel_table() { return kTable; }

}  // namespace tinytorch::TT_KERNEL_NS
