// The instruction sets that the loops were compiled for. TT_TEST_X86_LEVELS is defined where there
// is more than the baseline.
#include "tests/kernels/functor_loops.h"

namespace tinytorch {
namespace cpu {
#define TT_DECLARE_ISA(isa)            \
  namespace isa {                      \
  const FunctorLoops& functor_loops(); \
  const PhiloxLoops& philox_loops();   \
  }
TT_DECLARE_ISA(baseline)
#ifdef TT_TEST_X86_LEVELS
TT_DECLARE_ISA(avx2)
TT_DECLARE_ISA(avx512)
#endif
#undef TT_DECLARE_ISA
}  // namespace cpu

const KernelIsa kKernelIsas[] = {
    {"baseline", [] { return true; }, cpu::baseline::functor_loops, cpu::baseline::philox_loops},
#ifdef TT_TEST_X86_LEVELS
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     cpu::avx2::functor_loops, cpu::avx2::philox_loops},
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
     },
     cpu::avx512::functor_loops, cpu::avx512::philox_loops},
#endif
};
const int kKernelIsaCount = sizeof kKernelIsas / sizeof kKernelIsas[0];

}  // namespace tinytorch
