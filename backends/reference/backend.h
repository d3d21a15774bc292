// The reference backend: the oracle of the tests, and the smallest example of a backend.
#pragma once

#include <tinytorch/backend/backend.h>

namespace tinytorch {

// The one of this process, made at the first call and never destroyed.
Backend* reference_backend();

}  // namespace tinytorch
