// Compiled once per instruction set, with the options of the kernels: gemm calls that reach one
// engine or the other, and the rows that these tests call.
#include "kernels/cpu/gemm_impl.h"
#include "kernels/cpu/kernels.h"
#include "tests/kernels/cpu_levels.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {
template <class T>
void run(KernelContext& context, const GemmCall<T>& call, bool blas) {
  Gemm<T> g{call.m, call.n, call.k, call.a, call.lda, call.b, call.ldb, call.c, call.ldc};
  g.ta = call.ta;
  g.tb = call.tb;
  g.accumulate = call.accumulate;
  g.act = call.act;
  g.row_bias = call.row_bias;
  g.col_bias = call.col_bias;
  if (blas) {
    blas_gemm(context, g);
  } else {
    own_engine(context, g);
  }
}
constexpr KernelTable make_table() {
  KernelTable t;
  t.matmul = &matmul;
  t.linear = &linear;
  t.conv2d = &conv2d;
  t.conv2d_grad_input = &conv2d_grad_input;
  t.conv2d_grad_weight = &conv2d_grad_weight;
  t.max_pool2d = &max_pool2d;
  t.avg_pool2d = &avg_pool2d;
  t.avg_pool2d_grad = &avg_pool2d_grad;
  t.reduce = &reduce;
  return t;
}
constexpr KernelTable kTable = make_table();

}  // namespace

const KernelTable& level_table() { return kTable; }
void gemm_call(KernelContext& context, const GemmCall<float>& call, bool blas) {
  run(context, call, blas);
}
void gemm_call(KernelContext& context, const GemmCall<double>& call, bool blas) {
  run(context, call, blas);
}

}  // namespace tinytorch::TT_KERNEL_NS
