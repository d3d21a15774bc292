// Declares the rows of kernels.def for the reference, the oracle of all tests: slow, obvious, and
// computed in a wider type with the standard library only, so that comparing with it proves
// something. Of the optional rows it has those that table.cpp names; core composes the others.
#pragma once

#include <tinytorch/backend/backend.h>

#include "kernels/common/dispatch.h"
#include "kernels/common/indexer.h"

namespace tinytorch::TT_KERNEL_NS {

#define TT_KERNEL(name, layout, need, args, flops, bytes) void name(KernelContext&, args);
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL

const KernelTable& kernel_table();

}  // namespace tinytorch::TT_KERNEL_NS
