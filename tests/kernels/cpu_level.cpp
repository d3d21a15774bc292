// Compiled once per instruction set, with the options of the kernels: gemm calls that reach one engine or the other.
#include "kernels/cpu/gemm_impl.h"
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
}  // namespace

void gemm_call(KernelContext& context, const GemmCall<float>& call, bool blas) { run(context, call, blas); }
void gemm_call(KernelContext& context, const GemmCall<double>& call, bool blas) { run(context, call, blas); }

}  // namespace tinytorch::TT_KERNEL_NS
