// Declares the rows of kernels.def for CUDA. Every row, optional ones included, has a kernel here:
// core composes nothing on this device.
#pragma once

#include <tinytorch/backend/backend.h>

#include "kernels/common/dispatch.h"

namespace tinytorch::TT_KERNEL_NS {

#define TT_KERNEL(name, layout, need, args, flops, bytes) void name(KernelContext&, args);
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL

const KernelTable& kernel_table();

}  // namespace tinytorch::TT_KERNEL_NS
