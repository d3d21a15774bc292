// Declares every row of kernels.def for the instruction set that is being compiled (TT_KERNEL_NS:
// cpu::baseline, cpu::avx2 or cpu::avx512), and the table made of them.
#pragma once

#include <tinytorch/backend/backend.h>
#include <tinytorch/backend/kernel_table.h>

#include "backends/cpu/rt.h"

#ifndef TT_KERNEL_NS
#error "TT_KERNEL_NS is given by the build: kernels/cpu is compiled once per instruction set"
#endif

namespace tinytorch::TT_KERNEL_NS {

#define TT_KERNEL(name, layout, need, args, flops, bytes) void name(KernelContext&, args);
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL

const KernelTable& kernel_table();

}  // namespace tinytorch::TT_KERNEL_NS
