// Declares the required rows of kernels.def for the reference, the oracle of all tests: slow,
// obvious, and computed in a wider type with the standard library only, so that comparing with it
// proves something. It has no optional row; core composes those.
#pragma once

#include <tinytorch/backend/backend.h>

#include "kernels/common/dispatch.h"
#include "kernels/common/indexer.h"

namespace tinytorch::TT_KERNEL_NS {

#define TT_DECLARE_required(name, args) void name(KernelContext&, args);
#define TT_DECLARE_optional(name, args)
#define TT_KERNEL(name, layout, need, args, flops, bytes) TT_DECLARE_##need(name, TT_ARGS(args))
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL
#undef TT_DECLARE_required
#undef TT_DECLARE_optional

const KernelTable& kernel_table();

}  // namespace tinytorch::TT_KERNEL_NS
