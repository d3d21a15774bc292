// The CPU kernels of every instruction set that was built and that this processor runs, for tests
// that call them without core.
#pragma once

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <vector>

#include <tinytorch/backend/backend.h>

#include "tests/kernels/test_stream.h"

namespace tinytorch {

// A product as kernels/cpu/gemm.h takes it.
template <class T>
struct GemmCall {
  int64_t m, n, k;
  bool ta, tb;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T* c;
  int64_t ldc;
  bool accumulate;
  Activation act;
  const T *row_bias, *col_bias;
};

struct CpuLevel {
  const char* name;
  const KernelTable& (*table)();  // only the rows that these tests call are filled
  void (*gemm_f32)(KernelContext&, const GemmCall<float>&, bool blas);
  void (*gemm_f64)(KernelContext&, const GemmCall<double>&, bool blas);

  void gemm(KernelContext& c, const GemmCall<float>& g, bool blas) const { gemm_f32(c, g, blas); }
  void gemm(KernelContext& c, const GemmCall<double>& g, bool blas) const { gemm_f64(c, g, blas); }
};
std::vector<CpuLevel> cpu_levels();

template <class T>
std::vector<T> random_values(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<T> uniform(-1, 1);
  std::vector<T> values(n);
  for (T& v : values) v = uniform(generator);
  return values;
}

template <class T>
View dense_view(const std::vector<T>& values, std::initializer_list<int64_t> shape) {
  View v{};
  v.data = const_cast<T*>(values.data());
  v.numel = static_cast<int64_t>(values.size());
  v.dtype = dtype_of<T>;
  v.contiguous = true;
  for (int64_t n : shape) v.shape[v.rank++] = n;
  for (int64_t step = 1, i = v.rank; i-- > 0; step *= v.shape[static_cast<int>(i)])
    v.strides[static_cast<int>(i)] = step;
  return v;
}

// A sum in double, and the sum of the magnitudes of its terms.
struct Sum {
  double value = 0, magnitude = 0;
  void add(double x) {
    value += x;
    magnitude += std::fabs(x);
  }
};
// The largest |error| in units of eps sum |terms|; the library promises 8 (DESIGN: numbers).
template <class T>
double worst_error(const std::vector<T>& got, const std::vector<Sum>& want) {
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double unit = want[i].magnitude * static_cast<double>(std::numeric_limits<T>::epsilon());
    const double error = std::fabs(static_cast<double>(got[i]) - want[i].value);
    const double ratio = error == 0 ? 0 : error / unit;
    if (!(ratio <= worst)) worst = ratio;
  }
  return worst;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace tinytorch
