// Matrix products, each element one sum in the wide type.
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {

void matmul(KernelContext&, const View& out, const View& a, const View& b, const MatmulParams& p) {
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    for (int64_t batch = 0; batch < p.batch; ++batch) {
      const T* a_matrix = a.as<T>() + batch * p.stride_a;
      const T* b_matrix = b.as<T>() + batch * p.stride_b;
      T* out_matrix = out.as<T>() + batch * p.m * p.n;
      for (int64_t i = 0; i < p.m; ++i) {
        for (int64_t j = 0; j < p.n; ++j) {
          E sum = 0;
          for (int64_t k = 0; k < p.k; ++k) {
            const E x = a_matrix[p.ta ? k * p.m + i : i * p.k + k];
            const E y = b_matrix[p.tb ? j * p.k + k : k * p.n + j];
            sum += x * y;
          }
          out_matrix[i * p.n + j] = narrow<T>(sum);
        }
      }
    }
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
