// The rows `fill` and `copy`. Copies within a dtype go by element size: whole rows, transposed
// planes in tiles, or element by element; copies between dtypes are elementwise loops.
#include "kernels/common/dispatch.h"
#include "kernels/cpu/copy.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kCopyTile = 256 << 10;  // bytes of a task
constexpr int64_t kCopyAhead = 2 << 10;   // bytes
constexpr int64_t kRowsAhead = 8;         // rows that are asked for in advance

// ---- fill

template <class U>
void fill_row(char* to, int64_t stride, int64_t n, U value) {
  if (stride == static_cast<int64_t>(sizeof(U))) {
    U* p = reinterpret_cast<U*>(to);
    for (int64_t i = 0; i < n; ++i) p[i] = value;
    return;
  }
  for (int64_t i = 0; i < n; ++i) __builtin_memcpy(to + i * stride, &value, sizeof value);
}

template <class U>
void fill_with(KernelContext& ctx, const View& out, U value) {
  if (out.contiguous) {
    U* p = static_cast<U*>(out.data);
    if (out.numel <= kSerialElements)
      return fill_row(static_cast<char*>(out.data), sizeof(U), out.numel, value);
    parallel_for(ctx, ceil_div(out.numel, kTileElements), [&](int64_t task) {
      const int64_t begin = task * kTileElements;
      fill_row(reinterpret_cast<char*>(p + begin), sizeof(U),
               smaller(kTileElements, out.numel - begin), value);
    });
    return;
  }
  Nest nest;
  const View* const views[] = {&out};
  make_nest(nest, views, 1);
  const int last = nest.rank - 1;
  const int64_t rows = nest.numel / nest.size[last],
                per_task = ceil_div(kTileElements, nest.size[last]);
  parallel_for(ctx, ceil_div(rows, per_task), [&](int64_t task) {
    int64_t row = task * per_task;
    const int64_t end = smaller(row + per_task, rows);
    for (NestCursor cursor(nest, row * nest.size[last]); row < end;
         ++row, cursor.step(nest, last - 1)) {
      fill_row(nest.data[0] + cursor.offset[0], nest.stride[0][last], nest.size[last], value);
    }
  });
}

// The value as it would be cast: integers from the exact form, floating dtypes from the double.
template <class T>
T cast_scalar(ScalarValue value) {
  if constexpr (kIsFloat<T> || kIsHalf<T>) return convert<T>(value.f);
  if constexpr (kSame<T, bool>) return value.f != 0 || value.i != 0;
  return convert<T>(value.i);
}

// ---- copy within a dtype

void copy_bytes(KernelContext& ctx, char* to, const char* from, int64_t bytes) {
  if (bytes <= kCopyTile) {
    __builtin_memcpy(to, from, static_cast<size_t>(bytes));
    return;
  }
  const bool stream = streams_past_cache(bytes);
  parallel_for(ctx, ceil_div(bytes, kCopyTile), [&](int64_t task) {
    const int64_t begin = task * kCopyTile, count = smaller(kCopyTile, bytes - begin);
    if (!stream) {
      __builtin_memcpy(to + begin, from + begin, static_cast<size_t>(count));
      return;
    }
    stream_copy(to + begin, from + begin, count, kCopyAhead);
    stream_done();
  });
}

template <class U>
void copy_row(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    __builtin_memcpy(to + i * to_stride, from + i * from_stride, sizeof(U));
}

void copy_row(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n,
              int bytes) {
  if (to_stride == bytes && from_stride == bytes) {
    __builtin_memcpy(to, from, static_cast<size_t>(n * bytes));
  } else if (to_stride == bytes) {
    gather_strided(to, from, from_stride, n, bytes);
  } else if (bytes == 4) {
    copy_row<uint32_t>(to, to_stride, from, from_stride, n);
  } else if (bytes == 8) {
    copy_row<uint64_t>(to, to_stride, from, from_stride, n);
  } else if (bytes == 2) {
    copy_row<uint16_t>(to, to_stride, from, from_stride, n);
  } else {
    copy_row<uint8_t>(to, to_stride, from, from_stride, n);
  }
}

void copy_rows(KernelContext& ctx, const Nest& nest) {
  const int last = nest.rank - 1;
  const int64_t size = nest.size[last], rows = nest.numel / size,
                per_task = ceil_div(kTileElements, size);
  // Dense pieces of some lines each, far apart: the processor would see no stream in them.
  const int64_t bytes = size * nest.bytes[0];
  const bool pieces = nest.stride[1][last] == nest.bytes[0] && bytes >= 128 && bytes <= 2048;
  parallel_for(ctx, ceil_div(rows, per_task), [&](int64_t task) {
    int64_t row = task * per_task;
    const int64_t end = smaller(row + per_task, rows);
    NestCursor ahead(nest, smaller(row + kRowsAhead, rows - 1) * size);
    for (NestCursor cursor(nest, row * size); row < end; ++row, cursor.step(nest, last - 1)) {
      if (pieces && row + kRowsAhead < rows) {
        const char* soon = nest.data[1] + ahead.offset[1];
        for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(soon + b);
        ahead.step(nest, last - 1);
      }
      copy_row(nest.data[0] + cursor.offset[0], nest.stride[0][last],
               nest.data[1] + cursor.offset[1], nest.stride[1][last], size, nest.bytes[0]);
    }
  });
}

// The dim along which the input is dense while the output is dense along the last one; -1 if there
// is none worth a transposition.
int transposed_dim(const Nest& nest) {
  const int last = nest.rank - 1;
  if (nest.stride[0][last] != nest.bytes[0] || nest.stride[1][last] == nest.bytes[1] ||
      nest.stride[1][last] == 0)
    return -1;
  for (int d = 0; d < last; ++d) {
    if (nest.stride[1][d] == nest.bytes[1] && nest.size[d] >= 4 && nest.size[last] >= 4) return d;
  }
  return -1;
}

void copy_transposed(KernelContext& ctx, const Nest& nest, int dim) {
  const int last = nest.rank - 1;
  const int64_t rows = nest.size[dim], columns = nest.size[last],
                tile = transpose_tile_size(nest.bytes[0]);
  const int64_t row_tiles = ceil_div(rows, tile);
  Nest outer = nest;  // the dims that are left
  outer.rank = 0;
  for (int d = 0; d < last; ++d) {
    if (d == dim) continue;
    outer.size[outer.rank] = nest.size[d];
    for (int v = 0; v < 2; ++v) outer.stride[v][outer.rank] = nest.stride[v][d];
    ++outer.rank;
  }
  const int64_t strips =
      nest.numel / (rows * columns) * row_tiles;  // `tile` rows of the output and all their columns
  const int64_t per_task = ceil_div(kTileElements, tile * columns);
  parallel_for(ctx, ceil_div(strips, per_task), [&](int64_t task) {
    for (int64_t strip = task * per_task; strip < smaller((task + 1) * per_task, strips); ++strip) {
      const NestCursor cursor(outer, strip / row_tiles);
      const int64_t row = strip % row_tiles * tile, height = smaller(tile, rows - row);
      char* to = nest.data[0] + cursor.offset[0] + row * nest.stride[0][dim];
      const char* from = nest.data[1] + cursor.offset[1] + row * nest.stride[1][dim];
      for (int64_t c = 0; c < columns; c += tile) {
        const char* in = from + c * nest.stride[1][last];
        transpose_tile(to + c * nest.stride[0][last], nest.stride[0][dim], in, nest.stride[1][last],
                       height, smaller(tile, columns - c), nest.bytes[0],
                       c + 2 * tile <= columns ? in + tile * nest.stride[1][last] : nullptr);
      }
    }
  });
}

}  // namespace

void fill(KernelContext& ctx, const View& out, ScalarValue value) {
  if (out.numel == 0) return;
  with_any(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const T x = cast_scalar<T>(value);
    if constexpr (sizeof(T) == 1) fill_with(ctx, out, bits_as<uint8_t>(x));
    if constexpr (sizeof(T) == 2) fill_with(ctx, out, bits_as<uint16_t>(x));
    if constexpr (sizeof(T) == 4) fill_with(ctx, out, bits_as<uint32_t>(x));
    if constexpr (sizeof(T) == 8) fill_with(ctx, out, bits_as<uint64_t>(x));
  });
}

void copy(KernelContext& ctx, const View& out, const View& in) {
  if (out.numel == 0) return;
  if (out.dtype != in.dtype)
    return run_loop(ctx, cast_loop_of(out.dtype, in.dtype), nullptr, out, in);
  if (out.contiguous && in.contiguous) {
    return copy_bytes(ctx, static_cast<char*>(out.data), static_cast<const char*>(in.data),
                      bytes_of(out));
  }
  Nest nest;
  const View* const views[] = {&out, &in};
  make_nest(nest, views, 2);
  const int dim = transposed_dim(nest);
  if (dim >= 0) return copy_transposed(ctx, nest, dim);
  copy_rows(ctx, nest);
}

}  // namespace tinytorch::TT_KERNEL_NS
