// Faults planted in kernels, each beside the same kernel without it, and by what means the twin
// must catch it. All kernels have one signature: n inputs x, outputs y, 64 counters that start at
// 0.
#pragma once

#include <cstdint>
#include <ostream>
#include <vector>

#include "backends/cuda/rt.h"

namespace tinytorch::planted {

enum class Caught : uint8_t {
  fault,     // a KernelFault that says `words`
  poison,    // NaN in the result: what nobody wrote was read
  wrong,     // the result differs from the oracle's under some order of threads and blocks
  order,     // the bits of the result differ between two orders
  red_zone,  // memory before or behind y was written
  race,      // by ThreadSanitizer only: in the twin each thread runs alone and the result is right
};

struct Shape {
  cuda::Dim3 grid, block;
  size_t shared_bytes = 0;
};

using Kernel = void (*)(const float* x, float* y, unsigned* counters, int n);
using Oracle = std::vector<float> (*)(const std::vector<float>& x);

struct Plant {
  const char* name;
  Caught caught;
  const char* words;
  Kernel faulty, correct;
  Shape faulty_shape, correct_shape;
  int n;  // of x
  Oracle oracle;
  // ThreadSanitizer (AddressSanitizer) must report the faulty kernel, too.
  bool tsan = false, asan = false;
};

// planted_meetings.cu, planted_memory.cu, planted_order.cu
const std::vector<Plant>& meetings();
const std::vector<Plant>& memory();
const std::vector<Plant>& order();
inline void PrintTo(const Plant& plant, std::ostream* out) { *out << plant.name; }

// ---- oracles

inline std::vector<float> same(const std::vector<float>& x) { return x; }
inline std::vector<float> reversed(const std::vector<float>& x) { return {x.rbegin(), x.rend()}; }
inline std::vector<float> doubled(const std::vector<float>& x) {
  std::vector<float> y = x;
  for (float& v : y) v *= 2;
  return y;
}
inline std::vector<float> sum(const std::vector<float>& x) {
  float s = 0;
  for (float v : x) s += v;  // x are small integers: exact in any order
  return {s};
}
inline std::vector<float> ones(const std::vector<float>& x) {
  return std::vector<float>(x.size(), 1.0f);
}

}  // namespace tinytorch::planted
