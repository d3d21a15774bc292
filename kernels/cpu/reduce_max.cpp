// Maxima, by dtype; bool is read as 0 and 1.
#include "kernels/cpu/reduce_impl.h"

namespace tinytorch::TT_KERNEL_NS {

const ReduceLoops* reduce_loops_max(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return &ReduceLoopsOf<ExtremeOf<float, true>>::kTable;
    case Dtype::f64:
      return &ReduceLoopsOf<ExtremeOf<double, true>>::kTable;
    case Dtype::i64:
      return &ReduceLoopsOf<ExtremeOf<int64_t, true>>::kTable;
    case Dtype::i32:
      return &ReduceLoopsOf<ExtremeOf<int32_t, true>>::kTable;
    case Dtype::u8:
    case Dtype::bool_:
      return &ReduceLoopsOf<ExtremeOf<uint8_t, true>>::kTable;
    default:
      return nullptr;
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
