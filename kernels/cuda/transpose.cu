// Copies whose dense dims differ: by square tiles through shared memory, so that both sides are
// read and written along their own dense dim.
#include "kernels/cuda/copy.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

constexpr int kTile = 32, kRows = 8;  // a warp goes along a row of a tile, kRows rows at a time
constexpr int64_t kLeastSize = 8;     // of both dims

// Planes of rows x columns: columns are dense in the output, rows in the input. The other dims are
// `outer`, of views 0 (out) and 1 (in).
struct Planes {
  int64_t rows, columns, row_tiles, column_tiles;
  int64_t out_row, in_column;  // strides
  Strided<2> outer;
};

template <class U>
__global__ void __launch_bounds__(kBlock)
    copy_transpose_kernel(const Planes p, U* out, const U* in) {
  TT_SHARED(U, tile, kTile * (kTile + 1));
  const int lane = static_cast<int>(threadIdx.x) % kTile,
            line = static_cast<int>(threadIdx.x) / kTile;
  int64_t at = blockIdx.x;
  const int64_t column = at % p.column_tiles * kTile;
  at /= p.column_tiles;
  const int64_t row = at % p.row_tiles * kTile;
  int64_t offsets[2];
  offsets_at(p.outer, at / p.row_tiles, offsets);
  const U* from = in + offsets[1] + row + column * p.in_column;
  U* to = out + offsets[0] + row * p.out_row + column;
  const int rows = static_cast<int>(p.rows - row < kTile ? p.rows - row : kTile);
  const int columns = static_cast<int>(p.columns - column < kTile ? p.columns - column : kTile);
  TT_UNROLL
  for (int i = 0; i < kTile; i += kRows) {
    if (line + i < columns && lane < rows)
      tile[(line + i) * (kTile + 1) + lane] = from[(line + i) * p.in_column + lane];
  }
  __syncthreads();
  TT_UNROLL
  for (int i = 0; i < kTile; i += kRows) {
    if (line + i < rows && lane < columns)
      to[(line + i) * p.out_row + lane] = tile[lane * (kTile + 1) + line + i];
  }
}

// The dim that is dense in v and has a size worth a tile, or -1.
int dense_dim(const View& v) {
  for (int d = 0; d < v.rank; ++d) {
    if (v.strides[d] == 1 && v.shape[d] >= kLeastSize) return d;
  }
  return -1;
}

Planes planes_of(const View& out, const View& in, int row_dim, int column_dim) {
  Planes p{};
  p.rows = out.shape[row_dim];
  p.columns = out.shape[column_dim];
  p.row_tiles = (p.rows + kTile - 1) / kTile;
  p.column_tiles = (p.columns + kTile - 1) / kTile;
  p.out_row = out.strides[row_dim];
  p.in_column = in.strides[column_dim];
  for (int d = 0; d < out.rank; ++d) {
    if (d == row_dim || d == column_dim) continue;
    p.outer.shape[p.outer.rank] = out.shape[d];
    p.outer.strides[0][p.outer.rank] = out.strides[d];
    p.outer.strides[1][p.outer.rank] = in.strides[d];
    ++p.outer.rank;
  }
  return p;
}

}  // namespace

bool copy_transposed(KernelContext& context, const View& out, const View& in) {
  const int column_dim = dense_dim(out), row_dim = dense_dim(in);
  if (column_dim < 0 || row_dim < 0 || column_dim == row_dim) return false;
  const Planes p = planes_of(out, in, row_dim, column_dim);
  const int64_t tiles = p.row_tiles * p.column_tiles * (out.numel / (p.rows * p.columns));
  if (tiles > kMostBlocks) return false;
  with_size(out.dtype, [&](auto tag) {
    using U = typename decltype(tag)::Type;
    launch(copy_transpose_kernel<U>, {blocks_for(tiles, 1)}, {kBlock}, 0, context, p, out.as<U>(),
           in.as<U>());
  });
  return true;
}

}  // namespace tinytorch::TT_KERNEL_NS
