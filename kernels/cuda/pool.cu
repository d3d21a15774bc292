// The rows max_pool2d, avg_pool2d and avg_pool2d_grad. A thread an output element; the gradient
// gathers the windows that hold its element, so nothing is added atomically. Windows of kWide taps
// or more get a block of their own. There ties and NaN do not depend on the order of taps: the
// choice is by (NaN, value, place).
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/pool_window.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kWide = 64;        // taps of a window from which a block works on one output
constexpr int64_t kVeryWide = 2048;  // taps from which the block has kBlock threads, not a warp

// ---- maximum

template <class T>
struct Best {
  T value;
  int64_t place;  // h W + w; -1: nothing yet
};
// Is b chosen rather than a? NaN before all others, then the larger, then the earlier.
template <class T>
__device__ bool wins(const Best<T>& b, const Best<T>& a) {
  if (a.place < 0 || b.place < 0) return b.place >= 0;
  const bool b_nan = b.value != b.value, a_nan = a.value != a.value;
  if (a_nan || b_nan) return b_nan && (!a_nan || b.place < a.place);
  return b.value > a.value || (b.value == a.value && b.place < a.place);
}
template <class T>
__device__ Best<T> warp_best(Best<T> a) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const Best<T> b = {__shfl_xor_sync(kAllLanes, a.value, offset),
                       __shfl_xor_sync(kAllLanes, a.place, offset)};
    if (wins(b, a)) a = b;
  }
  return a;
}
template <class T>
__device__ void store_best(const Best<T>& best, T* out, int64_t* index) {
  const bool any = best.place >= 0;
  *out = any ? best.value : -static_cast<T>(__builtin_inff());
  *index = any ? best.place : 0;  // nothing but padding: a valid place all the same
}

template <class T, class I>
__global__ void __launch_bounds__(kBlock)
    max_pool2d_kernel(T* out, int64_t* indices, const T* in, PoolShape<I> s) {
  const int64_t here = thread_number();
  if (here >= s.outputs) return;
  const PlanePlace<I> o(here, s.y.out, s.x.out);
  const Window<I> w(s, o);
  const T* const image = in + o.plane * s.y.in * s.x.in;
  T best{};
  I at = -1;
  for (I i = 0; i < w.rows; ++i) {  // taps come in the order of places
    I place = (w.y0 + i * s.y.dilation) * s.x.in + w.x0;
    for (I j = 0; j < w.columns; ++j, place += s.x.dilation) {
      const T v = image[place];
      const bool take = at < 0 || (!(v <= best) && best == best);
      best = take ? v : best;
      at = take ? place : at;
    }
  }
  store_best({best, static_cast<int64_t>(at)}, out + here, indices + here);
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    max_pool2d_wide_kernel(T* out, int64_t* indices, const T* in, PoolShape<int64_t> s) {
  TT_SHARED(T, values, kWarp);
  TT_SHARED(int64_t, places, kWarp);
  const int tid = static_cast<int>(threadIdx.x), lane = tid % kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  for (int64_t here = blockIdx.x; here < s.outputs; here += gridDim.x) {
    const PlanePlace<int64_t> o(here, s.y.out, s.x.out);
    const Window<int64_t> w(s, o);
    const T* const image = in + o.plane * s.y.in * s.x.in;
    Best<T> best = {T(0), -1};
    for (int64_t t = tid; t < w.rows * w.columns; t += blockDim.x) {
      const int64_t i = quotient(t, w.columns), j = t - i * w.columns;
      const int64_t place = (w.y0 + i * s.y.dilation) * s.x.in + w.x0 + j * s.x.dilation;
      const Best<T> tap = {image[place], place};
      if (wins(tap, best)) best = tap;
    }
    best = warp_best(best);
    if (warps > 1) {
      if (lane == 0) {
        values[tid / kWarp] = best.value;
        places[tid / kWarp] = best.place;
      }
      __syncthreads();
      best = {T(0), -1};
      if (lane < warps) best = {values[lane], places[lane]};
      best = warp_best(best);
      __syncthreads();  // before the next output's are written
    }
    if (tid == 0) store_best(best, out + here, indices + here);
  }
}

// ---- average

template <class T, class I>
__global__ void __launch_bounds__(kBlock) avg_pool2d_kernel(T* out, const T* in, PoolShape<I> s) {
  const int64_t here = thread_number();
  if (here >= s.outputs) return;
  const PlanePlace<I> o(here, s.y.out, s.x.out);
  const Window<I> w(s, o);
  const T* const image = in + o.plane * s.y.in * s.x.in;
  T sum{};
  for (I i = 0; i < w.rows; ++i) {
    const T* const line = image + (w.y0 + i * s.y.dilation) * s.x.in + w.x0;
    T part{};
    for (I j = 0; j < w.columns; ++j) part += line[j * s.x.dilation];
    sum += part;
  }
  out[here] = sum / static_cast<T>(s.divisor(o.y, o.x));
}

// Sums in double, in chains of at most kChain taps.
template <class T>
__global__ void __launch_bounds__(kBlock)
    avg_pool2d_wide_kernel(T* out, const T* in, PoolShape<int64_t> s) {
  constexpr int64_t kChain = 64;
  const int64_t step = blockDim.x;
  for (int64_t here = blockIdx.x; here < s.outputs; here += gridDim.x) {
    const PlanePlace<int64_t> o(here, s.y.out, s.x.out);
    const Window<int64_t> w(s, o);
    const T* const image = in + o.plane * s.y.in * s.x.in + w.y0 * s.x.in + w.x0;
    const int64_t taps = w.rows * w.columns;
    double sum = 0;
    for (int64_t first = threadIdx.x; first < taps; first += kChain * step) {
      double part = 0;
      for (int64_t t = first; t < taps && t < first + kChain * step; t += step) {
        const int64_t i = quotient(t, w.columns), j = t - i * w.columns;
        part += static_cast<double>(image[i * s.y.dilation * s.x.in + j * s.x.dilation]);
      }
      sum += part;
    }
    sum = block_reduce<SumOf>(sum, 0.0);
    if (threadIdx.x == 0)
      out[here] = static_cast<T>(sum / static_cast<double>(s.divisor(o.y, o.x)));
  }
}

// A thread an element of gx: adds up the shares of the windows that hold it, line by line.
template <class T, class I>
__global__ void __launch_bounds__(kBlock)
    avg_pool2d_grad_kernel(T* gx, const T* g, int64_t numel, PoolShape<I> s) {
  const int64_t here = thread_number();
  if (here >= numel) return;
  const PlanePlace<I> e(here, s.y.in, s.x.in);
  const I y0 = s.y.first_window(e.y), y1 = s.y.end_window(e.y);
  const I x0 = s.x.first_window(e.x), x1 = s.x.end_window(e.x);
  T sum{};
  for (I oy = y0; oy < y1; ++oy) {
    if (!s.y.holds(oy, e.y)) continue;
    const T* const line = g + (e.plane * s.y.out + oy) * s.x.out;
    T part{};
    for (I ox = x0; ox < x1; ++ox) {
      if (s.x.holds(ox, e.x)) part += line[ox] / static_cast<T>(s.divisor(oy, ox));
    }
    sum += part;
  }
  gx[here] = sum;
}

// ---- launches

// Taps of a window, about: no window sees more than the plane.
bool is_wide(const View& in, const Pool2dParams& p, int64_t limit) {
  int64_t taps = 1;
  for (int d = 0; d < 2; ++d) {
    const int64_t size = in.shape[2 + d];
    taps *= p.kernel[d] < size ? p.kernel[d] : size;
  }
  return taps >= limit;
}

// A thread for each of n elements; the last argument is the shape.
template <class Small, class Large, class... A>
void launch_elements(KernelContext& context, int64_t n, const View& out, const View& in,
                     const Pool2dParams& p, Small small, Large large, A... arguments) {
  const uint32_t threads = threads_for(n), blocks = blocks_for(n, threads);
  if (is_small_pool(out, in, p)) {
    launch(small, {blocks}, {threads}, 0, context, arguments..., pool_shape<int32_t>(out, in, p));
  } else {
    launch(large, {blocks}, {threads}, 0, context, arguments..., pool_shape<int64_t>(out, in, p));
  }
}

// A block for each output.
template <class Kernel, class... A>
void launch_wide(KernelContext& context, const View& out, const View& in, const Pool2dParams& p,
                 Kernel kernel, A... arguments) {
  const uint32_t blocks = static_cast<uint32_t>(out.numel < kMostBlocks ? out.numel : kMostBlocks);
  const uint32_t threads = is_wide(in, p, kVeryWide) ? kBlock : kWarp;
  launch(kernel, {blocks}, {threads}, 0, context, arguments..., pool_shape<int64_t>(out, in, p));
}

}  // namespace

void max_pool2d(KernelContext& context, const View& out, const View& indices, const View& x,
                const Pool2dParams& p) {
  if (out.numel == 0) return;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    if (is_wide(x, p, kWide))
      return launch_wide(context, out, x, p, max_pool2d_wide_kernel<T>, out.as<T>(),
                         indices.as<int64_t>(), x.as<const T>());
    launch_elements(context, out.numel, out, x, p, max_pool2d_kernel<T, int32_t>,
                    max_pool2d_kernel<T, int64_t>, out.as<T>(), indices.as<int64_t>(),
                    x.as<const T>());
  });
}

void avg_pool2d(KernelContext& context, const View& out, const View& x, const Pool2dParams& p) {
  if (out.numel == 0) return;
  with_float(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    if (is_wide(x, p, kWide))
      return launch_wide(context, out, x, p, avg_pool2d_wide_kernel<T>, out.as<T>(),
                         x.as<const T>());
    launch_elements(context, out.numel, out, x, p, avg_pool2d_kernel<T, int32_t>,
                    avg_pool2d_kernel<T, int64_t>, out.as<T>(), x.as<const T>());
  });
}

void avg_pool2d_grad(KernelContext& context, const View& gx, const View& g, const Pool2dParams& p) {
  if (gx.numel == 0) return;
  with_float(gx.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    launch_elements(context, gx.numel, g, gx, p, avg_pool2d_grad_kernel<T, int32_t>,
                    avg_pool2d_grad_kernel<T, int64_t>, gx.as<T>(), g.as<const T>(), gx.numel);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
