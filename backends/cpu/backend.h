// The CPU backend: one device, kernels for the best instruction set there is, streams that run at
// once.
#pragma once

#include <tinytorch/backend/backend.h>

namespace tinytorch {

// The one of this process, made at the first call and never destroyed.
Backend* cpu_backend();

}  // namespace tinytorch
