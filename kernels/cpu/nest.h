// Loops over views of one shape with any strides. A Nest is the views' common dims, merged;
// run_loop walks it and hands contiguous pieces to a loop that knows only its element types: what
// is not contiguous passes through small buffers on the stack, so that loops exist once per
// function and dtype, not once per layout.
#pragma once

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/vec.h"

namespace tinytorch::TT_KERNEL_NS {

// out[i] = f(x[i], y[i], z[i]) for i < n, over contiguous elements; a function of fewer arguments
// ignores the rest. Returns the first i whose value is refused (a zero divisor), or -1.
using Loop = int64_t (*)(void* out, const void* x, const void* y, const void* z, int64_t n,
                         const void* params);

constexpr int64_t kTileElements = 16 << 10;    // of a task
constexpr int64_t kSerialElements = 32 << 10;  // up to here one thread does it all
constexpr int kMaxOperands = 4;                // the output and three inputs

struct Nest {
  int operands = 0, rank = 0;
  int64_t numel = 0;
  char* data[kMaxOperands];
  int bytes[kMaxOperands];                 // of an element
  int64_t size[kMaxRank];                  // at least 1 dim, unless rank is 0
  int64_t stride[kMaxOperands][kMaxRank];  // in bytes
};

// The first view is the output. Dims of size 1 are dropped and neighbours merged; the order of
// elements stays.
void make_nest(Nest& nest, const View* const* views, int operands);

// Byte offsets of all operands at a row-major position, and steps from one innermost row to the
// next.
struct NestCursor {
  int64_t at[kMaxRank], offset[kMaxOperands];

  TT_INLINE NestCursor(const Nest& nest, int64_t linear) {
    for (int v = 0; v < nest.operands; ++v) offset[v] = 0;
    for (int d = nest.rank - 1; d >= 0; --d) {
      at[d] = linear % nest.size[d];
      linear /= nest.size[d];
      for (int v = 0; v < nest.operands; ++v) offset[v] += at[d] * nest.stride[v][d];
    }
  }
  // To the start of the next index of dim `d`, which may carry into the dims outside it. Offsets
  // inside d must be at their start.
  TT_INLINE void step(const Nest& nest, int d) {
    for (; d >= 0; --d) {
      for (int v = 0; v < nest.operands; ++v) offset[v] += nest.stride[v][d];
      if (++at[d] < nest.size[d]) return;
      for (int v = 0; v < nest.operands; ++v) offset[v] -= nest.stride[v][d] * nest.size[d];
      at[d] = 0;
    }
  }
};

// Calls the loop over all elements, in parallel tiles. A refused value is reported by its position.
void run_any(KernelContext&, Loop, const View* const* views, int operands, const void* params);

// dst[i] = src[i * stride], stride in bytes, i < n, for elements of `bytes` bytes; scatter is its
// inverse.
void gather_strided(void* dst, const void* src, int64_t stride, int64_t n, int bytes);
void scatter_strided(void* dst, int64_t stride, const void* src, int64_t n, int bytes);
// Whether an output of that size should go past the cache: it would leave the cache before anybody
// reads it, and this processor is faster so.
bool streams_past_cache(int64_t bytes);
// Copies past the cache. The source is asked for `ahead` bytes in advance; 0: it is in cache. A
// task that did ends with stream_done, which orders those stores before the task is known to be
// done.
void stream_copy(void* dst, const void* src, int64_t bytes, int64_t ahead);
void stream_done();

// The front of a row: small contiguous views first and without overhead.
template <class... Views>
TT_INLINE void run_loop(KernelContext& ctx, Loop loop, const void* params, const View& out,
                        const Views&... in) {
  if (TT_LIKELY(out.contiguous && (in.contiguous && ...) && out.numel <= kSerialElements)) {
    const void* data[] = {in.data..., nullptr, nullptr};
    const int64_t refused = loop(out.data, data[0], data[1], data[2], out.numel, params);
    if (TT_UNLIKELY(refused >= 0))
      report_value_error(ctx, ValueErrorKind::zero_divisor, refused, 0, 0);
    return;
  }
  const View* const views[] = {&out, &in...};
  run_any(ctx, loop, views, 1 + static_cast<int>(sizeof...(in)), params);
}

}  // namespace tinytorch::TT_KERNEL_NS
