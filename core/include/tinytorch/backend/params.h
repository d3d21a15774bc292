// Enums made from elementwise.def, and the plain parameter structs of the kernel rows.
#pragma once

#include <cstdint>

#include <tinytorch/export.h>

namespace tinytorch {

enum class UnaryOp : uint8_t {
#define TT_UNARY(name, dtypes) name,
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
  count
};
enum class BinaryOp : uint8_t {
#define TT_BINARY(name, dtypes) name,
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY
  count
};
enum class ReduceOp : uint8_t {
#define TT_REDUCE(name) name,
#include <tinytorch/backend/elementwise.def>
#undef TT_REDUCE
  count
};
enum class RandomOp : uint8_t {
#define TT_RANDOM(name) name,
#include <tinytorch/backend/elementwise.def>
#undef TT_RANDOM
  count
};

enum class Activation : uint8_t { none, relu, tanh, sigmoid };
enum class Reduction : uint8_t { none, mean, sum };

// A constant in both forms, so that 64-bit integers stay exact.
struct ScalarValue {
  double f;
  int64_t i;
};
struct UnaryParams {
  ScalarValue a{}, b{};
};
struct ReduceParams {
  double scale = 1;  // of a floating sum, applied at the end: a mean has scale 1/n
};
// C[m, n] = op(A)[m, k] op(B)[k, n] for each of `batch`. ta: A is stored [k, m]; tb: B is stored
// [n, k]. Matrices are dense; batch strides count elements, 0 repeats the matrix.
struct MatmulParams {
  int64_t batch, m, n, k, stride_a, stride_b;
  bool ta, tb;
};
struct Conv2dParams {
  int64_t stride[2], padding[2], dilation[2], groups;
};
struct Pool2dParams {
  int64_t kernel[2], stride[2], padding[2], dilation[2];
  bool count_include_pad;  // average pooling: divide by the full window, padding included
};
struct RampParams {  // out[i] = start + i step; with `to_end` the upper half counts back from end:
                     // end - (n - 1 - i) step
  ScalarValue start, step;
  double end;
  bool to_end;
};
struct RandomParams {
  double a, b;
  int64_t lo, hi;
};
struct LossParams {
  Reduction reduction;
};
struct BatchNormParams {
  double eps;
};
struct LayerNormParams {
  double eps;
};
struct AttentionParams {
  double scale;
  bool causal;  // query i sees keys 0 to i only
};
struct SgdParams {
  double momentum, dampening, weight_decay;
  bool nesterov, maximize;
};
struct AdamParams {
  double beta1, beta2, eps, weight_decay;
  bool decoupled;  // AdamW: p -= lr weight_decay p, instead of g += weight_decay p
  bool maximize;
};

// Places of the f64 vector `hyper` through which an optimizer's changing scalars reach its kernel,
// in the backend's memory.
enum HyperSlot : int {
  kHyperLearningRate = 0,
  kHyperStep = 1,
  kHyperGradScale = 2,
  kHyperCount = 3
};

}  // namespace tinytorch
