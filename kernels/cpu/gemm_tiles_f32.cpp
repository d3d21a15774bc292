// The register tiles of the own gemm engine for f32; gemm_tile.h has the code.
#include "kernels/cpu/gemm_tiles.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {
constexpr TileTable<float> kTable = make_tile_table<float>();
}

template <>
const TileTable<float>& tile_table<float>() {
  return kTable;
}

}  // namespace tinytorch::TT_KERNEL_NS
