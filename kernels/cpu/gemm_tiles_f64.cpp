// The register tiles of the own gemm engine for f64; gemm_tile.h has the code.
#include "kernels/cpu/gemm_tiles.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {
constexpr TileTable<double> kTable = make_tile_table<double>();
}

template <>
const TileTable<double>& tile_table<double>() {
  return kTable;
}

}  // namespace tinytorch::TT_KERNEL_NS
