// Matrix products of f32; gemm_impl.h has the code.
#include "kernels/cpu/gemm_impl.h"

namespace tinytorch::TT_KERNEL_NS {

template void gemm(KernelContext&, const Gemm<float>&);
template void gemm_batch(KernelContext&, const Gemm<float>&, int64_t, int64_t, int64_t, int64_t);
template int64_t gemm_scratch<float>(int64_t, int64_t, int64_t);
template void pack_rows(const Gemm<float>&, const RowPanels&, int64_t, int64_t, float*);
template void apply_activation(Activation, float*, int64_t, int64_t, int64_t);

}  // namespace tinytorch::TT_KERNEL_NS
