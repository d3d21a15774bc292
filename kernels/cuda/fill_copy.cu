// The rows `fill`, `copy` and `ramp`. Copies within a dtype move elements by their size: dense ones
// in the widest units that both addresses allow, transposed ones by tiles (transpose.cu).
#include "kernels/cuda/copy.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

template <class U>
struct Constant : Elements<2, U> {
  U value;
  explicit Constant(U v) : value(v) {}
  __device__ U operator()(int64_t, None, None, None) const { return value; }
};

template <class U>
struct Moved : Elements<2, U, U> {
  __device__ U operator()(int64_t, U x, None, None) const { return x; }
};

template <class T>
struct Ramp : Elements<1, T> {
  ScalarValue start, step;
  double end;
  int64_t last, upper;  // from `upper` on counted back from the end
  Ramp(const RampParams& p, int64_t n)
      : start(p.start), step(p.step), end(p.end), last(n - 1), upper(p.to_end ? n / 2 : n) {}
  __device__ T operator()(int64_t i, None, None, None) const {
    if constexpr (kIsFloat<T>) {
      return convert<T>(i < upper ? start.f + static_cast<double>(i) * step.f
                                  : end - static_cast<double>(last - i) * step.f);
    } else {
      return convert<T>(add_of(start.i, mul_of(i, step.i)));
    }
  }
};

// The value as it would be cast: integers from the exact form, floating dtypes from the double.
template <class T>
T cast_scalar(ScalarValue value) {
  if constexpr (kIsFloat<T> || kIsHalf<T>) {
    return convert<T>(value.f);
  } else if constexpr (kSame<T, bool>) {
    return value.f != 0 || value.i != 0;
  } else {
    return convert<T>(value.i);
  }
}

// Dense bytes as one row of elements of U.
template <class U>
View units_of(const View& v) {
  View units = v;
  units.numel = bytes_of(v) / static_cast<int64_t>(sizeof(U));
  return units;
}
void copy_dense(KernelContext& context, const View& out, const View& in) {
  const uintptr_t bits = reinterpret_cast<uintptr_t>(out.data) |
                         reinterpret_cast<uintptr_t>(in.data) |
                         static_cast<uintptr_t>(bytes_of(out));
  if (bits % 8 == 0)
    return run_elementwise(context, Moved<uint64_t>(), units_of<uint64_t>(out), in);
  if (bits % 4 == 0)
    return run_elementwise(context, Moved<uint32_t>(), units_of<uint32_t>(out), in);
  if (bits % 2 == 0)
    return run_elementwise(context, Moved<uint16_t>(), units_of<uint16_t>(out), in);
  run_elementwise(context, Moved<uint8_t>(), units_of<uint8_t>(out), in);
}

}  // namespace

void fill(KernelContext& context, const View& out, ScalarValue value) {
  uint64_t bits = 0;
  with_any(out.dtype, [&](auto tag) {
    const auto x = cast_scalar<typename decltype(tag)::Type>(value);
    __builtin_memcpy(&bits, &x, sizeof x);  // little-endian: the low bytes
  });
  with_size(out.dtype, [&](auto tag) {
    using U = typename decltype(tag)::Type;
    run_elementwise(context, Constant<U>(static_cast<U>(bits)), out);
  });
}

void copy(KernelContext& context, const View& out, const View& in) {
  if (out.numel == 0) return;
  if (out.dtype != in.dtype) return copy_cast(context, out, in);
  if (out.contiguous && in.contiguous) return copy_dense(context, out, in);
  if (copy_transposed(context, out, in)) return;
  with_size(out.dtype, [&](auto tag) {
    run_elementwise(context, Moved<typename decltype(tag)::Type>(), out, in);
  });
}

void ramp(KernelContext& context, const View& out, const RampParams& p) {
  with_numeric(out.dtype, [&](auto tag) {
    run_elementwise(context, Ramp<typename decltype(tag)::Type>(p, out.numel), out);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
