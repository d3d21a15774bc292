// The rows index_select and gather: elements are moved by size, nothing is computed. An index out
// of range is reported by its place in the index tensor, and the output there is 0.
#include "kernels/cuda/index.cuh"

#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

__global__ void __launch_bounds__(kBlock)
    check_indices_kernel(const int64_t* index, int64_t count, int64_t limit, ErrorSink sink) {
  const int64_t j = thread_number();
  if (j < count && !in_range(index[j], limit)) report_index(sink, j, index[j], limit);
}

// Rows of `width` units U: out[o, j] = x[o, index[j]]. A thread a unit of out.
template <class U>
__global__ void __launch_bounds__(kBlock)
    index_select_kernel(U* out, const U* x, const int64_t* index, int64_t units, int64_t m,
                        int64_t n, int64_t width, ErrorSink sink) {
  const int64_t here = thread_number();
  if (here >= units) return;
  const int64_t row = quotient(here, width), at = here - row * width;
  const int64_t o = quotient(row, m), j = row - o * m;
  const int64_t r = index[j];
  const bool good = in_range(r, n);
  out[here] = good ? x[(o * n + r) * width + at] : U{};
  if (!good && o == 0 && at == 0) report_index(sink, j, r, n);
}

// out[o, j, i] = x[o, index[o, j, i], i]. A thread an element of out.
template <class U>
__global__ void __launch_bounds__(kBlock)
    gather_kernel(U* out, const U* x, const int64_t* index, int64_t numel, int64_t m, int64_t n,
                  int64_t inner, ErrorSink sink) {
  const int64_t here = thread_number();
  if (here >= numel) return;
  const int64_t row = quotient(here, inner), i = here - row * inner, o = quotient(row, m);
  const int64_t r = index[here];
  const bool good = in_range(r, n);
  out[here] = good ? x[(o * n + r) * inner + i] : U{};
  if (!good) report_index(sink, here, r, n);
}

template <class U>
void select_units(KernelContext& context, const View& out, const View& x, const View& index) {
  const int64_t units = bytes_of(out) / static_cast<int64_t>(sizeof(U));
  const int64_t rows = out.shape[0] * index.numel;
  const uint32_t threads = threads_for(units);
  launch(index_select_kernel<U>, {blocks_for(units, threads)}, {threads}, 0, context, out.as<U>(),
         x.as<const U>(), index.as<const int64_t>(), units, index.numel, x.shape[1], units / rows,
         error_sink(context));
}

}  // namespace

void check_indices(KernelContext& context, const View& index, int64_t limit) {
  if (index.numel == 0) return;
  const uint32_t threads = threads_for(index.numel);
  launch(check_indices_kernel, {blocks_for(index.numel, threads)}, {threads}, 0, context,
         index.as<const int64_t>(), index.numel, limit, error_sink(context));
}

void index_select(KernelContext& context, const View& out, const View& x, const View& index) {
  if (out.numel == 0) return check_indices(context, index, x.shape[1]);
  const size_t row = static_cast<size_t>(x.shape[2]) * size_of(x.dtype);
  if (row % 16 == 0 && aligned16(out.data) && aligned16(x.data))
    return select_units<uint4>(context, out, x, index);
  with_size(x.dtype, [&](auto tag) {
    using U = typename decltype(tag)::Type;
    select_units<U>(context, out, x, index);
  });
}

void gather(KernelContext& context, const View& out, const View& x, const View& index) {
  if (out.numel == 0) return;
  with_size(x.dtype, [&](auto tag) {
    using U = typename decltype(tag)::Type;
    const uint32_t threads = threads_for(out.numel);
    launch(gather_kernel<U>, {blocks_for(out.numel, threads)}, {threads}, 0, context, out.as<U>(),
           x.as<const U>(), index.as<const int64_t>(), out.numel, out.shape[1], x.shape[1],
           out.shape[2], error_sink(context));
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
