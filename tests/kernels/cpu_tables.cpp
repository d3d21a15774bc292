// The kernel tables that were built for this processor family. TT_TEST_X86_LEVELS is defined where
// there is more than the baseline.
#include "tests/kernels/kernel_test.h"

namespace tinytorch {

#define TT_DECLARE_TABLE(name)       \
  namespace name {                   \
  const KernelTable& kernel_table(); \
  }
TT_DECLARE_TABLE(reference)
namespace cpu {
TT_DECLARE_TABLE(baseline)
#ifdef TT_TEST_X86_LEVELS
TT_DECLARE_TABLE(avx2)
TT_DECLARE_TABLE(avx512)
#endif
}  // namespace cpu
#undef TT_DECLARE_TABLE

const CpuTable kCpuTables[] = {
    {"baseline", [] { return true; }, cpu::baseline::kernel_table},
#ifdef TT_TEST_X86_LEVELS
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     cpu::avx2::kernel_table},
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
     },
     cpu::avx512::kernel_table},
#endif
};
const int kCpuTableCount = sizeof kCpuTables / sizeof kCpuTables[0];
const KernelTable& reference_table() { return reference::kernel_table(); }

}  // namespace tinytorch
