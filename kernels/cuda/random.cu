// The row random. A thread makes the elements of one Philox block, so element i has the words that
// kernels.def says and the bits are those of every backend. Compiled without contraction of
// a * b + c.
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/random.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

// Drawn elements from the words of a block.

template <class T>
struct Uniform {
  using Out = T;
  static constexpr int kWords = sizeof(T) / 4;
  double a, b;
  __device__ T operator()(const uint32_t* w) const { return uniform_element<T>(w, a, b); }
};
template <class T>
struct Normal {
  using Out = T;
  static constexpr int kWords = sizeof(T) / 2;
  double mean, deviation;
  __device__ T operator()(const uint32_t* w) const { return normal_element<T>(w, mean, deviation); }
};
// Bernoulli's 1 or 0, or a number of randint's range of at most 2^32.
template <class T>
struct Narrow {
  using Out = T;
  static constexpr int kWords = 1;
  uint64_t bernoulli, threshold;  // the first is a flag
  int64_t lo, hi;
  __device__ T operator()(const uint32_t* w) const {
    const int64_t x = bernoulli ? w[0] < threshold : randint_narrow(w[0], lo, hi);
    return convert<T>(x);
  }
};
template <class T>
struct Wide {
  using Out = T;
  static constexpr int kWords = 2;
  int64_t lo, hi;
  __device__ T operator()(const uint32_t* w) const {
    return convert<T>(randint_wide(w[0], w[1], lo, hi));
  }
};

// Elements that are stored at once.
template <class Draw>
inline constexpr int kRunOf = 4 / Draw::kWords * sizeof(typename Draw::Out) > 16 ? 2
                                                                                 : 4 / Draw::kWords;

// A grid of one block moves the state on itself. `blocks` are those of Philox.
template <class Draw>
__global__ void __launch_bounds__(kBlock)
    random_kernel(const Draw draw, typename Draw::Out* out, int64_t n, bool aligned,
                  RandomState* state, int64_t blocks) {
  using T = typename Draw::Out;
  constexpr int kEach = 4 / Draw::kWords, kRun = kRunOf<Draw>;
  const int64_t block = thread_number(), first = block * kEach;
  if (block < blocks) {
    const PhiloxBlock words = words_at(state, block);
    T values[kEach];
    TT_UNROLL
    for (int k = 0; k < kEach; ++k) values[k] = draw(words.w + k * Draw::kWords);
    if (aligned && first + kEach <= n) {
      for (int k = 0; k < kEach; k += kRun) store_run<kRun>(out + first + k, values + k);
    } else {
      TT_UNROLL
      for (int k = 0; k < kEach; ++k) {
        if (first + k < n) out[first + k] = values[k];
      }
    }
  }
  if (gridDim.x > 1) return;
  __syncthreads();
  if (threadIdx.x == 0) advance(state, blocks);
}

__global__ void random_advance_kernel(RandomState* state, int64_t blocks) {
  if (threadIdx.x == 0) advance(state, blocks);
}

template <class Draw>
void run_draw(KernelContext& context, const Draw& draw, const View& out, const View& state) {
  if (out.numel == 0) return;
  using T = typename Draw::Out;
  const int64_t blocks = blocks_used(out.numel, Draw::kWords);
  const bool aligned = reinterpret_cast<uintptr_t>(out.data) % (kRunOf<Draw> * sizeof(T)) == 0;
  RandomState* const place = static_cast<RandomState*>(state.data);
  const uint32_t threads = threads_for(blocks), grid = blocks_for(blocks, threads);
  launch(random_kernel<Draw>, {grid}, {threads}, 0, context, draw, static_cast<T*>(out.data),
         out.numel, aligned, place, blocks);
  if (grid > 1) launch(random_advance_kernel, {1}, {kWarp}, 0, context, place, blocks);
}

}  // namespace

void random(KernelContext& context, RandomOp op, const View& out, const View& state,
            const RandomParams& p) {
  if (op == RandomOp::uniform || op == RandomOp::normal) {
    return with_float(out.dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      if (op == RandomOp::uniform) return run_draw(context, Uniform<T>{p.a, p.b}, out, state);
      run_draw(context, Normal<T>{p.a, p.b}, out, state);
    });
  }
  const bool bernoulli = op == RandomOp::bernoulli;
  with_any(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    if (!bernoulli && randint_is_wide(p.lo, p.hi))
      return run_draw(context, Wide<T>{p.lo, p.hi}, out, state);
    const uint64_t threshold = bernoulli ? bernoulli_threshold(p.a) : 0;
    run_draw(context, Narrow<T>{bernoulli, threshold, p.lo, p.hi}, out, state);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
