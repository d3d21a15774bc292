// Parts of the row `copy`: casts and transposed copies.
#pragma once

#include "kernels/cuda/elementwise.cuh"

namespace tinytorch::TT_KERNEL_NS {

void copy_cast(KernelContext& context, const View& out, const View& in);
// Of one dtype. False, with nothing done, unless the dims that are dense in `out` and in `in`
// differ and are large enough for tiles.
bool copy_transposed(KernelContext& context, const View& out, const View& in);

}  // namespace tinytorch::TT_KERNEL_NS
