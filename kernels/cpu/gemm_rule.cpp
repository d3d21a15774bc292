// Which engine runs a matrix product: the user's choice (TINYTORCH_GEMM) or a rule from dtype,
// shape and instruction set.
#include "kernels/cpu/gemm.h"

namespace tinytorch::TT_KERNEL_NS {

namespace {
// OpenBLAS takes 32-bit sizes; lengths of rows are at most the sizes multiplied here.
constexpr int64_t kMostBlas = INT32_MAX;

bool rule_says_blas(bool is_double, int64_t m, int64_t n, int64_t k) {
  (void)is_double, (void)m, (void)n, (void)k;
  return false;
}
}  // namespace

template <class T>
bool uses_blas(int64_t m, int64_t n, int64_t k) {
  if (k == 0 || m > kMostBlas || n > kMostBlas || k > kMostBlas) return false;
  switch (cpu::gemm_engine()) {
    case cpu::GemmEngine::own:
      return false;
    case cpu::GemmEngine::openblas:
      return cpu::blas() != nullptr;
    case cpu::GemmEngine::by_rule:
      break;
  }
  return rule_says_blas(sizeof(T) == 8, m, n, k) && cpu::blas() != nullptr;
}
template bool uses_blas<float>(int64_t, int64_t, int64_t);
template bool uses_blas<double>(int64_t, int64_t, int64_t);

}  // namespace tinytorch::TT_KERNEL_NS
