// Settings of the whole backend that other files ask for.
#pragma once

#include <string>

#include <tinytorch/dtype.h>

namespace tinytorch::cuda {

void set_matmul_precision(MatmulPrecision precision);
// Opens the library of matrix products if that was not tried; why it cannot be used, or "".
std::string matmul_library_failure();

}  // namespace tinytorch::cuda
