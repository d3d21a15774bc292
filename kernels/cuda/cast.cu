// Casts between any two of the eight dtypes: one kernel for each pair of element sizes, which
// chooses the dtypes inside, since reading and writing is most of a cast.
#include "kernels/cuda/copy.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

template <class To, class From>
struct CastBits {
  using Out = std::conditional_t<
      sizeof(To) == 8, uint64_t,
      std::conditional_t<sizeof(To) == 4, uint32_t,
                         std::conditional_t<sizeof(To) == 2, uint16_t, uint8_t>>>;
  template <class In>
  __device__ Out operator()(int64_t, In x, None, None) const {
    return bits_as<Out>(convert<To>(bits_as<From>(x)));
  }
};

// In and Out are unsigned integers of the sizes of the two dtypes.
template <class Out, class In>
struct Cast : Elements<1, Out, In> {
  static constexpr bool kChooses = true;
  Dtype to, from;
  Cast(Dtype out, Dtype in) : to(out), from(in) {}
  template <class G>
  __device__ void choose(const G& g) const {
    if constexpr (sizeof(In) == 1) {
      choose_to<uint8_t>(g);  // a bool is 0 or 1
    } else if constexpr (sizeof(In) == 2) {
      from == Dtype::bf16 ? choose_to<BFloat16>(g) : choose_to<Float16>(g);
    } else if constexpr (sizeof(In) == 4) {
      from == Dtype::f32 ? choose_to<float>(g) : choose_to<int32_t>(g);
    } else {
      from == Dtype::f64 ? choose_to<double>(g) : choose_to<int64_t>(g);
    }
  }
  template <class From, class G>
  __device__ void choose_to(const G& g) const {
    if constexpr (sizeof(Out) == 1) {
      to == Dtype::bool_ ? g(CastBits<bool, From>()) : g(CastBits<uint8_t, From>());
    } else if constexpr (sizeof(Out) == 2) {
      to == Dtype::bf16 ? g(CastBits<BFloat16, From>()) : g(CastBits<Float16, From>());
    } else if constexpr (sizeof(Out) == 4) {
      to == Dtype::f32 ? g(CastBits<float, From>()) : g(CastBits<int32_t, From>());
    } else {
      to == Dtype::f64 ? g(CastBits<double, From>()) : g(CastBits<int64_t, From>());
    }
  }
};

}  // namespace

void copy_cast(KernelContext& context, const View& out, const View& in) {
  with_size(out.dtype, [&](auto to) {
    with_size(in.dtype, [&](auto from) {
      run_elementwise(
          context,
          Cast<typename decltype(to)::Type, typename decltype(from)::Type>(out.dtype, in.dtype),
          out, in);
    });
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
