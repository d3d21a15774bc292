// The instruction set is asked of the processor once. A level counts only as a whole, as the
// compiler's x86-64-v3 and -v4 use it.
#include "backends/cpu/isa.h"

#include <cstdlib>
#include <string>

#ifdef TT_CPU_X86_LEVELS
#include <cpuid.h>
#endif

namespace tinytorch::cpu {
namespace {

#ifdef TT_CPU_X86_LEVELS
// Those of x86-64-v3 that __builtin_cpu_supports does not know on every compiler; it asks for AVX's
// operating system support.
bool has_small_instructions() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C) || !(c & bit_MOVBE)) return false;
  return __get_cpuid(0x80000001u, &a, &b, &c, &d) && (c & bit_LZCNT);
}

Isa best_isa() {
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                  has_small_instructions();
  if (!v3) return Isa::baseline;
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return v4 ? Isa::avx512 : Isa::avx2;
}
#else
Isa best_isa() { return Isa::baseline; }
#endif

IsaChoice choose() {
  const Isa best = best_isa();
  const char* wish = std::getenv("TINYTORCH_CPU_ISA");
  if (!wish || !*wish) return {best, "the best this processor has"};
  const std::string asked = std::string("TINYTORCH_CPU_ISA=") + wish;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (std::string(wish) != name_of(isa)) continue;
    if (isa <= best) return {isa, asked};
    return {best, asked + ", which this processor or build lacks; the best there is"};
  }
  return {best, asked + " is none of baseline, avx2, avx512; the best this processor has"};
}

}  // namespace

const IsaChoice& isa_choice() {
  static const IsaChoice* one = new IsaChoice(choose());
  return *one;
}

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return "baseline";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "";
}

}  // namespace tinytorch::cpu
