// The one gemm interface of the CPU kernels: C (+)= op(A) op(B), with biases and an activation in
// the write-out. Behind it stand two engines: the own packed kernel (gemm_own.h) and OpenBLAS on
// tiles that come from the shape (gemm_blas.h).
#pragma once

#include "backends/cpu/rt.h"
#include "kernels/cpu/gemm_tile.h"

namespace tinytorch::TT_KERNEL_NS {

// All matrices are row-major; ld* is the distance between rows as stored.
template <class T>
struct Gemm {
  int64_t m, n, k;
  const T* a;  // [m, k], with ta [k, m]
  int64_t lda;
  const T* b;  // [k, n], with tb [n, k]
  int64_t ldb;
  T* c;  // [m, n]
  int64_t ldc;
  bool ta = false, tb = false;
  bool accumulate = false;
  Activation act = Activation::none;
  const T* row_bias = nullptr;  // [m]
  const T* col_bias = nullptr;  // [n]
  T* scratch = nullptr;         // gemm_scratch elements: the product runs on the calling thread
};

// Elements that any product of at most this size needs to run on one thread: for kernels that call
// gemm inside a parallel region.
template <class T>
int64_t gemm_scratch(int64_t m, int64_t n, int64_t k);

// Threads cut m and n only. The bits depend on m, n, k, the transpositions, the instruction set and
// the engine.
template <class T>
void gemm(KernelContext& context, const Gemm<T>& g);

// `batch` products with these distances between matrices; 0 repeats one.
template <class T>
void gemm_batch(KernelContext& context, const Gemm<T>& g, int64_t batch, int64_t stride_a,
                int64_t stride_b, int64_t stride_c);

// ---- parts of the own engine that convolution builds on

// k is summed in blocks of equal size: the longer a chain, the larger its rounding error. They
// depend on k alone.
constexpr int64_t kMaxChain = 256;
TT_INLINE int64_t k_block(int64_t k) {
  if (k <= kMaxChain) return k < 1 ? 1 : k;
  return (ceil_div(k, ceil_div(k, kMaxChain)) + 3) / 4 * 4;
}

// Rows cut evenly into panels of at most kTileRows.
struct RowPanels {
  int64_t rows, count;
  TT_INLINE explicit RowPanels(int64_t m) : rows(m), count(ceil_div(m, kTileRows)) {}
  TT_INLINE int64_t begin(int64_t i) const { return i * rows / count; }
};

// Packs panels [first, last) of op(A) for all k: block after block of k, in each panel after panel.
// All panels need m k elements.
template <class T>
void pack_rows(const Gemm<T>& g, const RowPanels& panels, int64_t first, int64_t last, T* out);

// tanh or sigmoid over a block of C that is still in cache; relu happens in the tile.
template <class T>
void apply_activation(Activation act, T* c, int64_t ldc, int64_t rows, int64_t cols);

}  // namespace tinytorch::TT_KERNEL_NS
