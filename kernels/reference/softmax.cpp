// softmax and log_softmax along the middle dim of [outer, n, inner], and their gradients from the
// output.
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// f(first, step, n): the positions first + j step, j < n, of each row along the middle dim.
template <class F>
void for_each_line(const View& v, F f) {
  const int64_t outer = v.shape[0], n = v.shape[1], inner = v.shape[2];
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) f(o * n * inner + i, inner, n);
  }
}

}  // namespace

void softmax(KernelContext&, const View& out, const View& in, bool log) {
  with_float(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    const T* x = in.as<T>();
    for_each_line(in, [&](int64_t first, int64_t step, int64_t n) {
      E largest = -std::numeric_limits<E>::infinity(), sum = 0;
      for (int64_t j = 0; j < n; ++j) {
        if (x[first + j * step] > largest) largest = x[first + j * step];
      }
      for (int64_t j = 0; j < n; ++j) sum += std::exp(x[first + j * step] - largest);
      for (int64_t j = 0; j < n; ++j) {
        const E shifted = x[first + j * step] - largest;
        out.as<T>()[first + j * step] =
            narrow<T>(log ? shifted - std::log(sum) : std::exp(shifted) / sum);
      }
    });
  });
}

void softmax_grad(KernelContext&, const View& out, const View& g, const View& y, bool log) {
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    for_each_line(out, [&](int64_t first, int64_t step, int64_t n) {
      E sum = 0;
      for (int64_t j = 0; j < n; ++j) {
        const E gradient = g.as<T>()[first + j * step], value = y.as<T>()[first + j * step];
        sum += log ? gradient : gradient * value;
      }
      for (int64_t j = 0; j < n; ++j) {
        const E gradient = g.as<T>()[first + j * step], value = y.as<T>()[first + j * step];
        out.as<T>()[first + j * step] =
            narrow<T>(log ? gradient - std::exp(value) * sum : value * (gradient - sum));
      }
    });
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
