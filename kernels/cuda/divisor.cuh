// Division of indices by numbers that one launch, or one block, uses many times: a multiplication
// and a correction instead of the device's long division. Exact for every dividend from 0 on.
#pragma once

#include "kernels/cuda/device/device.cuh"

namespace tinytorch::TT_KERNEL_NS {

struct Divisor {
  uint64_t magic, by;
};
TT_HD Divisor divisor_of(int64_t by) {
  const uint64_t d = static_cast<uint64_t>(by);
  return {~uint64_t{0} / d, d};
}

struct Quotient {
  int64_t quotient, rest;
};
// The high half of magic times n is the quotient or one less (Granlund and Montgomery 1994).
TT_HD Quotient divide(int64_t n, const Divisor& d) {
  const uint64_t u = static_cast<uint64_t>(n);
  uint64_t q = multiply_high(u, d.magic), r = u - q * d.by;
  if (r >= d.by) {
    ++q;
    r -= d.by;
  }
  return {static_cast<int64_t>(q), static_cast<int64_t>(r)};
}

}  // namespace tinytorch::TT_KERNEL_NS
