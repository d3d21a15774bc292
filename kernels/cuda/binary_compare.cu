// The comparisons of the row `binary`, and its words over bool (which is read as u8): one kernel a
// dtype.
#include "kernels/cuda/binary.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

template <class T>
struct BinaryPredicate : Elements<1, bool, T, T> {
  static constexpr bool kChooses = true;
  BinaryOp op;
  explicit BinaryPredicate(BinaryOp word) : op(word) {}
  template <class G>
  __device__ void choose(const G& g) const {
    switch (op) {
#define TT_WORDS_N(name)
#define TT_WORDS_F(name)
#define TT_WORDS_C(name) \
  case BinaryOp::name:   \
    return g(BinaryCall<binary_##name, T>());
#define TT_WORDS_B(name) TT_WORDS_C(name)
#define TT_BINARY(name, dtypes) TT_WORDS_##dtypes(name)
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY
      default:
        return;
    }
  }
};

}  // namespace

void binary_compare(KernelContext& context, BinaryOp op, const View& out, const View& a,
                    const View& b) {
  with_compute(a.dtype, [&](auto tag) {
    using T = Stored<typename decltype(tag)::Type>;
    run_elementwise(context, BinaryPredicate<T>(op), out, a, b);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
