// Compiled once per instruction set with the options of kernels/cpu/random.cpp.
#include "kernels/common/philox.h"

#include "tests/kernels/functor_loops.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

void words(uint32_t* out, uint64_t seed, uint64_t first, int64_t blocks) {
  for (int64_t i = 0; i < blocks; ++i) {
    const PhiloxBlock block = philox_block(seed, first + static_cast<uint64_t>(i));
    for (int k = 0; k < 4; ++k) out[4 * i + k] = block.w[k];
  }
}
template <class T>
void uniform(T* out, const uint32_t* words, int64_t n, double a, double b) {
  constexpr int kWords = sizeof(T) / 4;
  for (int64_t i = 0; i < n; ++i) out[i] = uniform_element<T>(words + kWords * i, a, b);
}
template <class T>
void normal(T* out, const uint32_t* words, int64_t n, double a, double b) {
  constexpr int kWords = sizeof(T) / 2;
  for (int64_t i = 0; i < n; ++i) out[i] = normal_element<T>(words + kWords * i, a, b);
}

constexpr PhiloxLoops kLoops = {words, uniform<float>, uniform<double>, normal<float>,
                                normal<double>};

}  // namespace

const PhiloxLoops& philox_loops() { return kLoops; }

}  // namespace tinytorch::TT_KERNEL_NS
