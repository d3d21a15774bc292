// Instantiates all tiles of one element type; included by gemm_tiles_f32.cpp and gemm_tiles_f64.cpp
// only.
#pragma once

#include "kernels/cpu/gemm_tile.h"

namespace tinytorch::TT_KERNEL_NS {

template <class T, int R>
struct FillTiles {
  static constexpr void fill(TileTable<T>& table) {
    table.packed[R - 1][0] = &tile<T, R, 1, TileReads::packed>;
    table.packed[R - 1][1] = &tile<T, R, 2, TileReads::packed>;
    table.in_place[R - 1][0] = &tile<T, R, 1, TileReads::in_place>;
    table.in_place[R - 1][1] = &tile<T, R, 2, TileReads::in_place>;
    table.in_place_cut[R - 1][0] = &tile<T, R, 1, TileReads::in_place_cut>;
    table.in_place_cut[R - 1][1] = &tile<T, R, 2, TileReads::in_place_cut>;
    table.indirect[R - 1][0] = &tile<T, R, 1, TileReads::indirect>;
    table.indirect[R - 1][1] = &tile<T, R, 2, TileReads::indirect>;
    if constexpr (R > 1) FillTiles<T, R - 1>::fill(table);
  }
};
template <class T>
constexpr TileTable<T> make_tile_table() {
  TileTable<T> table{};
  FillTiles<T, kTileRows>::fill(table);
  return table;
}

}  // namespace tinytorch::TT_KERNEL_NS
