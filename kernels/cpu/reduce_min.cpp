// Minima, by dtype; bool is read as 0 and 1.
#include "kernels/cpu/reduce_impl.h"

namespace tinytorch::TT_KERNEL_NS {

const ReduceLoops* reduce_loops_min(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return &ReduceLoopsOf<ExtremeOf<float, false>>::kTable;
    case Dtype::f64:
      return &ReduceLoopsOf<ExtremeOf<double, false>>::kTable;
    case Dtype::i64:
      return &ReduceLoopsOf<ExtremeOf<int64_t, false>>::kTable;
    case Dtype::i32:
      return &ReduceLoopsOf<ExtremeOf<int32_t, false>>::kTable;
    case Dtype::u8:
    case Dtype::bool_:
      return &ReduceLoopsOf<ExtremeOf<uint8_t, false>>::kTable;
    default:
      return nullptr;
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
