// Loops over the functors and over philox.h, compiled once per instruction set as the kernels are,
// so that the tests see the vectorised code. A null entry: the word does not take the dtype.
#pragma once

#include <cstdint>

#include <tinytorch/backend/params.h>
#include <tinytorch/dtype.h>

namespace tinytorch {

struct FunctorLoops {
  using Unary = void (*)(void* out, const void* x, int64_t n, const UnaryParams&);
  using Binary = void (*)(void* out, const void* a, const void* b, int64_t n);
  using Convert = void (*)(void* out, const void* x, int64_t n);

  Unary unary[static_cast<int>(UnaryOp::count)][kDtypeCount];
  Binary binary[static_cast<int>(BinaryOp::count)][kDtypeCount];
  Convert convert[kDtypeCount][kDtypeCount];  // [to][from]
};

struct PhiloxLoops {
  // The words of `blocks` blocks from block `first`.
  void (*words)(uint32_t* out, uint64_t seed, uint64_t first, int64_t blocks);
  // Elements from their words, as in the row `random`.
  void (*uniform_f32)(float* out, const uint32_t* words, int64_t n, double a, double b);
  void (*uniform_f64)(double* out, const uint32_t* words, int64_t n, double a, double b);
  void (*normal_f32)(float* out, const uint32_t* words, int64_t n, double a, double b);
  void (*normal_f64)(double* out, const uint32_t* words, int64_t n, double a, double b);
};

// One instruction set; `supported` says whether this processor runs it.
struct KernelIsa {
  const char* name;
  bool (*supported)();
  const FunctorLoops& (*functors)();
  const PhiloxLoops& (*philox)();
};

// All that were compiled, the baseline first.
extern const KernelIsa kKernelIsas[];
extern const int kKernelIsaCount;

}  // namespace tinytorch
