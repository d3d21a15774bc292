// Rows matmul, linear and linear_grad_weight. Products go to gemm of the backend, but a small one
// costs less than the library's call and gets a kernel of its own, bias and activation included:
// which of the two is a rule on the shape.
#include "kernels/common/row_sums.h"
#include "kernels/cuda/divisor.cuh"
#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

using cuda::Dim3;
using cuda::GemmDesc;
using cuda::launch;

constexpr int64_t kSmallProduct = 1 << 18;  // multiplications in all
constexpr int64_t kSmallMatrix = 1 << 12;   // of one matrix of a batch
constexpr int64_t kShortSum = 64;           // terms that one thread adds
constexpr int64_t kLongSum = 2048;          // terms that one warp adds

// Element (i, l) of A and (l, j) of B by strides.
struct SmallProduct {
  int64_t outputs, k;
  Divisor columns, matrix;  // n and m n
  int64_t a_row, a_step, b_step, b_column, a_batch, b_batch;
};

template <class T>
__device__ inline T activated(T x, Activation act) {
  switch (act) {
    case Activation::relu:
      return unary_relu::fast(x);
    case Activation::tanh:
      return tanh_of(x);
    case Activation::sigmoid:
      return sigmoid_of(x);
    case Activation::none:
      break;
  }
  return x;
}

template <class T>
struct Operands {
  const T *a, *b;
  int64_t column;
};
template <class T>
__device__ inline Operands<T> operands_at(const SmallProduct& p, const T* a, const T* b,
                                          int64_t output) {
  const Quotient z = divide(output, p.matrix), i = divide(z.rest, p.columns);
  return {a + z.quotient * p.a_batch + i.quotient * p.a_row,
          b + z.quotient * p.b_batch + i.rest * p.b_column, i.rest};
}

// A thread an output. Four sums hide the latency of the additions.
template <class T>
__global__ void __launch_bounds__(kBlock)
    matmul_thread_kernel(SmallProduct p, Activation act, const T* a, const T* b, const T* bias,
                         T* out) {
  const int64_t output = thread_number();
  if (output >= p.outputs) return;
  const Operands<T> at = operands_at(p, a, b, output);
  T sum[4] = {};
  int64_t l = 0;
  for (; l + 4 <= p.k; l += 4) {
#pragma unroll
    for (int u = 0; u < 4; ++u)
      sum[u] = fma_fast(at.a[(l + u) * p.a_step], at.b[(l + u) * p.b_step], sum[u]);
  }
  for (; l < p.k; ++l) sum[0] = fma_fast(at.a[l * p.a_step], at.b[l * p.b_step], sum[0]);
  const T total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  out[output] = activated(bias ? total + bias[at.column] : total, act);
}

// A warp an output.
template <class T>
__global__ void __launch_bounds__(kBlock)
    matmul_warp_kernel(SmallProduct p, Activation act, const T* a, const T* b, const T* bias,
                       T* out) {
  const int64_t output = thread_number() / kWarp;
  if (output >= p.outputs) return;
  const Operands<T> at = operands_at(p, a, b, output);
  double sum = 0;
#pragma unroll 4
  for (int64_t l = threadIdx.x % kWarp; l < p.k; l += kWarp)
    sum = fma_fast(static_cast<double>(at.a[l * p.a_step]), static_cast<double>(at.b[l * p.b_step]),
                   sum);
  sum = warp_reduce<SumOf>(sum);
  if (threadIdx.x % kWarp) return;
  if (bias) sum += static_cast<double>(bias[at.column]);
  out[output] = activated(static_cast<T>(sum), act);
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    linear_activation_kernel(T* out, int64_t numel, Activation act) {
  const int64_t i = thread_number();
  if (i < numel) out[i] = activated(out[i], act);
}

bool is_small(const GemmDesc& g) {
  const int64_t matrix = g.m * g.n * g.k;
  if (g.k == 0) return true;
  if (g.batch > 1 && g.k <= kShortSum && matrix <= kSmallMatrix) return true;
  return g.k <= kLongSum && matrix <= kSmallProduct / g.batch;
}

template <class T>
void small_product(KernelContext& c, const GemmDesc& g) {
  const SmallProduct p{g.batch * g.m * g.n, g.k,
                       divisor_of(g.n),     divisor_of(g.m * g.n),
                       g.ta ? 1 : g.lda,    g.ta ? g.lda : 1,
                       g.tb ? 1 : g.ldb,    g.tb ? g.ldb : 1,
                       g.stride_a,          g.stride_b};
  const T *a = static_cast<const T*>(g.a), *b = static_cast<const T*>(g.b),
          *bias = static_cast<const T*>(g.bias);
  const bool alone = g.k <= kShortSum;
  const int64_t threads = alone ? p.outputs : p.outputs * kWarp;
  const uint32_t block = threads_for(threads);
  launch(alone ? matmul_thread_kernel<T> : matmul_warp_kernel<T>, {blocks_for(threads, block)},
         {block}, 0, c, p, g.act, a, b, bias, static_cast<T*>(g.c));
}

// g.act may be any activation here, k may be 0. -> did it write bias_grad?
bool product(KernelContext& c, GemmDesc g) {
  if (is_small(g)) {
    with_float(g.dtype, [&](auto tag) { small_product<typename decltype(tag)::Type>(c, g); });
    return false;
  }
  const Activation act = g.act;
  const bool apart = act == Activation::tanh || act == Activation::sigmoid;
  if (apart) g.act = Activation::none;
  const bool wrote_bias_grad = gemm_with_bias_grad(c, g);
  if (!apart) return wrote_bias_grad;
  const int64_t numel = g.m * g.n;
  with_float(g.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    launch(linear_activation_kernel<T>, {blocks_for(numel, kBlock)}, {threads_for(numel)}, 0, c,
           static_cast<T*>(g.c), numel, act);
  });
  return wrote_bias_grad;
}

}  // namespace

void matmul(KernelContext& context, const View& out, const View& a, const View& b,
            const MatmulParams& p) {
  if (out.numel == 0) return;
  GemmDesc g{out.dtype, p.m,        p.n,        p.k,      p.batch,          a.data,
             b.data,    out.data,   p.ta,       p.tb,     p.ta ? p.m : p.k, p.tb ? p.k : p.n,
             p.n,       p.stride_a, p.stride_b, p.m * p.n};
  if (p.batch > 1 && p.stride_b == 0 && !p.ta && p.stride_a == p.m * p.k) {
    g.m *= p.batch;  // one matrix for all: a taller product
    g.batch = 1;
  }
  product(context, g);
}

void linear(KernelContext& context, const View& out, const View& x, const View& w, const View* b,
            Activation act) {
  if (out.numel == 0) return;
  const int64_t rows = x.shape[0], inputs = x.shape[1], outputs = w.shape[0];
  GemmDesc g{out.dtype, rows, outputs, inputs, 1,       x.data, w.data, out.data,
             false,     true, inputs,  inputs, outputs, 0,      0,      0};
  g.bias = b ? b->data : nullptr;
  g.act = act;
  product(context, g);
}

void linear_grad_weight(KernelContext& context, const View& gw, const View& gb, const View& g,
                        const View& x) {
  const int64_t rows = g.shape[0], inputs = x.shape[1], outputs = g.shape[1];
  GemmDesc d{gw.dtype, outputs, inputs,  rows,   1,      g.data, x.data, gw.data,
             true,     false,   outputs, inputs, inputs, 0,      0,      0};
  d.bias_grad = gb.data;
  if (gw.numel && product(context, d)) return;
  reduce(context, ReduceOp::sum, as_row_sums(gb, g), g, {1});
}

}  // namespace tinytorch::TT_KERNEL_NS
