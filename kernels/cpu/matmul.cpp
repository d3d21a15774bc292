// Rows matmul, linear and linear_grad_weight: all hand their shapes to the gemm interface.
#include "kernels/common/row_sums.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {

template <class T>
void run_matmul(KernelContext& context, const View& out, const View& a, const View& b,
                const MatmulParams& p) {
  Gemm<T> g{p.m,         p.n, p.k, a.as<T>(), p.ta ? p.m : p.k, b.as<T>(), p.tb ? p.k : p.n,
            out.as<T>(), p.n};
  g.ta = p.ta;
  g.tb = p.tb;
  if (p.batch > 1 && p.stride_b == 0 && !p.ta &&
      p.stride_a == p.m * p.k) {  // one matrix for all: a taller product
    g.m *= p.batch;
    gemm(context, g);
    return;
  }
  gemm_batch(context, g, p.batch, p.stride_a, p.stride_b, p.m * p.n);
}

template <class T>
void run_linear(KernelContext& context, const View& out, const View& x, const View& w,
                const View* bias, Activation act) {
  const int64_t rows = x.shape[0], inputs = x.shape[1], outputs = w.shape[0];
  Gemm<T> g{rows, outputs, inputs, x.as<T>(), inputs, w.as<T>(), inputs, out.as<T>(), outputs};
  g.tb = true;
  g.act = act;
  g.col_bias = bias ? bias->as<T>() : nullptr;
  gemm(context, g);
}

}  // namespace

void matmul(KernelContext& context, const View& out, const View& a, const View& b,
            const MatmulParams& p) {
  if (out.numel == 0) return;
  if (out.dtype == Dtype::f32) {
    run_matmul<float>(context, out, a, b, p);
  } else {
    run_matmul<double>(context, out, a, b, p);
  }
}

void linear(KernelContext& context, const View& out, const View& x, const View& w, const View* b,
            Activation act) {
  if (out.numel == 0) return;
  if (out.dtype == Dtype::f32) {
    run_linear<float>(context, out, x, w, b, act);
  } else {
    run_linear<double>(context, out, x, w, b, act);
  }
}

void linear_grad_weight(KernelContext& context, const View& gw, const View& gb, const View& g,
                        const View& x) {
  const int64_t rows = g.shape[0];
  matmul(context, gw, g, x, {1, gw.shape[0], gw.shape[1], rows, 0, 0, true, false});
  reduce(context, ReduceOp::sum, as_row_sums(gb, g), g, {1});
}

}  // namespace tinytorch::TT_KERNEL_NS
