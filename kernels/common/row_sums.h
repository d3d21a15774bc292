// How a kernel hands the row `reduce` the sum over the rows of a dense matrix.
#pragma once

#include <tinytorch/backend/view.h>

namespace tinytorch::TT_KERNEL_NS {

// `sums` [N] as the output that `reduce` takes beside `rows` [M, N].
inline View as_row_sums(const View& sums, const View& rows) {
  View v = rows;
  v.data = sums.data;
  v.strides[0] = 0;
  v.contiguous = false;
  return v;
}

}  // namespace tinytorch::TT_KERNEL_NS
