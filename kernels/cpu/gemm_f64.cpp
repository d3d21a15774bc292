// Matrix products of f64; gemm_impl.h has the code.
#include "kernels/cpu/gemm_impl.h"

namespace tinytorch::TT_KERNEL_NS {

template void gemm(KernelContext&, const Gemm<double>&);
template void gemm_batch(KernelContext&, const Gemm<double>&, int64_t, int64_t, int64_t, int64_t);
template int64_t gemm_scratch<double>(int64_t, int64_t, int64_t);
template void pack_rows(const Gemm<double>&, const RowPanels&, int64_t, int64_t, double*);
template void apply_activation(Activation, double*, int64_t, int64_t, int64_t);

}  // namespace tinytorch::TT_KERNEL_NS
