// A kernel context for tests that call kernels, the pool or the allocator without core.
#pragma once

#include <tinytorch/backend/backend.h>

namespace tinytorch {

KernelContext& test_context();  // of a stream of this thread, with the host's allocator

}  // namespace tinytorch
