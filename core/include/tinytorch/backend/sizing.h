// Asking kernels for the size of their workspace without letting them work: what predict_memory
// does with every launch that may need some.
#pragma once

#include <string_view>

#include <tinytorch/export.h>

namespace tinytorch {

// True while the calling thread runs a kernel for its workspace alone. The operands have the shapes
// of the step; on a synchronous device of host memory they are zeros and may be read and written,
// elsewhere their addresses lead nowhere. A backend answers at the place where work begins (a
// parallel region, a launch on a device) by not beginning it.
TT_API bool only_sizing() noexcept;

// Said once by a backend whose kernels are not done when they return, or whose memory is not the
// host's: all its kernels answer. Without it predict_memory refuses the device, as it must not run
// them. `backend`: its name.
TT_API void declare_sizing(std::string_view backend);
bool sizing_declared(std::string_view backend);

}  // namespace tinytorch
