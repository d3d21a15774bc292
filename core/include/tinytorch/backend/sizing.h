// Asking kernels for the size of their workspace without letting them work: what predict_memory
// does with every launch that may need some.
#pragma once

#include <tinytorch/export.h>

namespace tinytorch {

// True while the calling thread runs a kernel for its workspace alone. The operands then have the
// shapes of the step, but hold nothing worth reading. A backend answers at the place where work
// begins (a parallel region, a launch on a device) by not beginning it; one that does not ask
// works on zeros, and a prediction takes as long as its kernels do.
TT_API bool only_sizing() noexcept;

}  // namespace tinytorch
