// The rows of the late backend: the reference kernels, run later. Rows that those leave null are
// null here too.
#pragma once

#include <tinytorch/backend/backend.h>

namespace tinytorch::late {

const KernelTable& kernel_table();

}  // namespace tinytorch::late
