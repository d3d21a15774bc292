// The OpenBLAS engine: single-threaded calls on tiles of C that come from the shape, so that the
// number of threads changes no bit (its own threads would). Bias and activation follow per tile,
// while it is in cache.
#pragma once

#include "kernels/cpu/gemm.h"

namespace tinytorch::TT_KERNEL_NS {

constexpr int64_t kBlasRows = 512, kBlasCols = 512;  // of a tile, at most

TT_INLINE void call_blas(const cpu::Blas& blas, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                         const float* a, int64_t lda, const float* b, int64_t ldb, bool accumulate,
                         float* c, int64_t ldc) {
  blas.sgemm(101, ta ? 112 : 111, tb ? 112 : 111, static_cast<int>(m), static_cast<int>(n),
             static_cast<int>(k), 1.0f, a, static_cast<int>(lda), b, static_cast<int>(ldb),
             accumulate ? 1.0f : 0.0f, c, static_cast<int>(ldc));
}
TT_INLINE void call_blas(const cpu::Blas& blas, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                         const double* a, int64_t lda, const double* b, int64_t ldb,
                         bool accumulate, double* c, int64_t ldc) {
  blas.dgemm(101, ta ? 112 : 111, tb ? 112 : 111, static_cast<int>(m), static_cast<int>(n),
             static_cast<int>(k), 1.0, a, static_cast<int>(lda), b, static_cast<int>(ldb),
             accumulate ? 1.0 : 0.0, c, static_cast<int>(ldc));
}

template <class T>
TT_INLINE void finish_block(const Gemm<T>& g, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
  for (int64_t i = r0; i < r1 && (g.row_bias || g.col_bias); ++i) {
    T* c = g.c + i * g.ldc;
    const T row = g.row_bias ? g.row_bias[i] : T{};
    if (g.col_bias) {
      for (int64_t j = c0; j < c1; ++j) c[j] += g.col_bias[j] + row;
    } else {
      for (int64_t j = c0; j < c1; ++j) c[j] += row;
    }
  }
  if (g.act != Activation::none)
    apply_activation(g.act, g.c + r0 * g.ldc + c0, g.ldc, r1 - r0, c1 - c0);
}

// The tiles of C: as few as their largest size allows, more if that leaves threads without work.
struct BlasTiles {
  int64_t row_tasks, col_tasks;
  TT_INLINE BlasTiles(int64_t m, int64_t n, int64_t k)
      : row_tasks(ceil_div(m, kBlasRows)), col_tasks(ceil_div(n, kBlasCols)) {
    const double flops =
        2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    const int64_t wanted = static_cast<int64_t>(smaller(flops / (16.0 * kGrainFlops), 16.0));
    if (row_tasks * col_tasks >= wanted) return;
    if (n >= m) {
      col_tasks = larger(col_tasks, smaller(ceil_div(wanted, row_tasks), n / 64));
    } else {
      row_tasks = larger(row_tasks, smaller(ceil_div(wanted, col_tasks), m / 64));
    }
  }
};

template <class T>
void blas_gemm(KernelContext& context, const Gemm<T>& g) {
  const cpu::Blas& blas = *cpu::blas();
  const BlasTiles tiles(g.m, g.n, g.k);
  parallel_for(context, tiles.row_tasks * tiles.col_tasks, [&](int64_t task) {
    const int64_t r = task % tiles.row_tasks, c = task / tiles.row_tasks;
    const int64_t r0 = task_begin(g.m, r, tiles.row_tasks),
                  r1 = task_begin(g.m, r + 1, tiles.row_tasks);
    const int64_t c0 = task_begin(g.n, c, tiles.col_tasks),
                  c1 = task_begin(g.n, c + 1, tiles.col_tasks);
    call_blas(blas, g.ta, g.tb, r1 - r0, c1 - c0, g.k, g.ta ? g.a + r0 : g.a + r0 * g.lda, g.lda,
              g.tb ? g.b + c0 * g.ldb : g.b + c0, g.ldb, g.accumulate, g.c + r0 * g.ldc + c0,
              g.ldc);
    finish_block(g, r0, r1, c0, c1);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
