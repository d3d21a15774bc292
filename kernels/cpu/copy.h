// Parts of the row `copy`.
#pragma once

#include "kernels/cpu/nest.h"

namespace tinytorch::TT_KERNEL_NS {

Loop cast_loop_of(Dtype to, Dtype from);

// out[i][j] = in[j][i] for rows x columns of out, at most a tile each; elements of `bytes` bytes.
// out_row and in_row are in bytes; inside a row of either elements are adjacent. `next`, if not
// null, is the input of the tile to come, of the same size.
void transpose_tile(char* out, int64_t out_row, const char* in, int64_t in_row, int64_t rows,
                    int64_t columns, int bytes, const char* next);
TT_INLINE int64_t transpose_tile_size(int bytes) {
  return bytes == 8 ? 32 : 64;
}  // rows and columns

}  // namespace tinytorch::TT_KERNEL_NS
