// One typed pointer per row of kernels.def. An out-of-tree backend may leave rows null; core then
// says which row it lacks.
#pragma once

#include <cstddef>

#include <tinytorch/backend/params.h>
#include <tinytorch/backend/view.h>

namespace tinytorch {

struct KernelContext;
#define TT_ARGS(...) __VA_ARGS__

struct KernelTable {
  size_t size = sizeof(KernelTable);
#define TT_KERNEL(name, layout, need, args, flops, bytes) \
  void (*name)(KernelContext&, args) = nullptr;
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL
};

}  // namespace tinytorch
