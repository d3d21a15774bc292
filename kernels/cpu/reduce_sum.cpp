// Sums, by dtype; integers wrap.
#include "kernels/cpu/reduce_impl.h"

namespace tinytorch::TT_KERNEL_NS {

const ReduceLoops* reduce_loops_sum(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return &ReduceLoopsOf<SumOf<float>>::kTable;
    case Dtype::f64:
      return &ReduceLoopsOf<SumOf<double>>::kTable;
    case Dtype::i64:
      return &ReduceLoopsOf<SumOf<uint64_t>>::kTable;
    case Dtype::i32:
      return &ReduceLoopsOf<SumOf<uint32_t>>::kTable;
    case Dtype::u8:
      return &ReduceLoopsOf<SumOf<uint8_t>>::kTable;
    default:
      return nullptr;
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
