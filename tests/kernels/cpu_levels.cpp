// The list of instruction sets; TT_TEST_X86_LEVELS is defined where there is more than the
// baseline.
#include "tests/kernels/cpu_levels.h"

#include "backends/cpu/isa.h"

namespace tinytorch {
namespace cpu {
#define TT_DECLARE_LEVEL(level)                                  \
  namespace level {                                              \
  const KernelTable& level_table();                              \
  void gemm_call(KernelContext&, const GemmCall<float>&, bool);  \
  void gemm_call(KernelContext&, const GemmCall<double>&, bool); \
  }
TT_DECLARE_LEVEL(baseline)
#ifdef TT_TEST_X86_LEVELS
TT_DECLARE_LEVEL(avx2)
TT_DECLARE_LEVEL(avx512)
#endif
#undef TT_DECLARE_LEVEL
}  // namespace cpu

std::vector<CpuLevel> cpu_levels() {
  const auto best = [] { return static_cast<int>(cpu::isa_choice().isa); };
  std::vector<CpuLevel> levels = {
      {"baseline", cpu::baseline::level_table, cpu::baseline::gemm_call, cpu::baseline::gemm_call}};
#ifdef TT_TEST_X86_LEVELS
  if (best() >= 1)
    levels.push_back({"avx2", cpu::avx2::level_table, cpu::avx2::gemm_call, cpu::avx2::gemm_call});
  if (best() >= 2)
    levels.push_back(
        {"avx512", cpu::avx512::level_table, cpu::avx512::gemm_call, cpu::avx512::gemm_call});
#else
  (void)best;
#endif
  return levels;
}

}  // namespace tinytorch
