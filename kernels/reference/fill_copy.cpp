// fill, copy and ramp.
#include "kernels/reference/elements.h"
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {

void fill(KernelContext&, const View& out, ScalarValue value) {
  with_any(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    T element;
    if constexpr (std::is_same_v<T, bool>) {
      element = value.f != 0 || value.i != 0;
    } else if constexpr (std::is_integral_v<T>) {
      element = store_exact<T>(static_cast<WideInt>(value.i));
    } else {
      element = store_exact<T>(static_cast<long double>(value.f));
    }
    for_each_element<1>({&out},
                        [&](int64_t, const int64_t(&at)[1]) { out.as<T>()[at[0]] = element; });
  });
}

void copy(KernelContext&, const View& out, const View& in) {
  with_any(out.dtype, [&](auto out_tag) {
    with_any(in.dtype, [&](auto in_tag) {
      using To = typename decltype(out_tag)::Type;
      using From = typename decltype(in_tag)::Type;
      for_each_element<2>({&out, &in}, [&](int64_t, const int64_t(&at)[2]) {
        const From x = in.as<From>()[at[1]];
        if constexpr (std::is_same_v<To, From>) {
          out.as<To>()[at[0]] = x;  // keeps the bits of a NaN
        } else {
          out.as<To>()[at[0]] = store_exact<To>(load_exact(x));
        }
      });
    });
  });
}

void ramp(KernelContext&, const View& out, const RampParams& p) {
  with_numeric(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    const int64_t n = out.numel;
    for (int64_t i = 0; i < n; ++i) {
      E x;
      if constexpr (!std::is_floating_point_v<T>) {
        x = E{p.start.i} + E{i} * p.step.i;
      } else if (p.to_end && i >= n / 2) {
        x = static_cast<E>(p.end) - static_cast<E>(n - 1 - i) * static_cast<E>(p.step.f);
      } else {
        x = static_cast<E>(p.start.f) + static_cast<E>(i) * static_cast<E>(p.step.f);
      }
      out.as<T>()[i] = narrow<T>(x);
    }
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
