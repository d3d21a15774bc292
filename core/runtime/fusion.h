// Chains of elementwise launches in a recording. Large tensors are worked on piece by piece, each
// piece through the whole chain while it is in the cache; results between that nobody else reads
// need the memory of a piece only. Same kernels, same bits.
#pragma once

#include "core/runtime/recording.h"

namespace tinytorch {

// Replaces chains by one launch each and numbers the uses of blocks anew. For devices whose kernels
// are done when they return.
void fuse_elementwise(Recording& r);

}  // namespace tinytorch
