// The gemm of one element type; included by gemm_f32.cpp and gemm_f64.cpp only.
#pragma once

#include "kernels/common/math.h"
#include "kernels/cpu/gemm_blas.h"
#include "kernels/cpu/gemm_own.h"
#include "kernels/cpu/gemm_small.h"

namespace tinytorch::TT_KERNEL_NS {

template <class T>
void apply_activation(Activation act, T* c, int64_t ldc, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, c += ldc) {
    if (act == Activation::tanh) {
      for (int64_t j = 0; j < cols; ++j) c[j] = tanh_of(c[j]);
    } else if (act == Activation::sigmoid) {
      for (int64_t j = 0; j < cols; ++j) c[j] = sigmoid_of(c[j]);
    } else if (act == Activation::relu) {
      for (int64_t j = 0; j < cols; ++j) c[j] = c[j] < 0 ? T{} : c[j];
    }
  }
}

template <class T>
void pack_rows(const Gemm<T>& g, const RowPanels& panels, int64_t first, int64_t last, T* out) {
  const int64_t kc = k_block(g.k), row = panels.begin(first);
  for (int64_t p0 = 0; p0 < g.k; p0 += kc) {
    const int64_t kb = smaller(kc, g.k - p0);
    pack_row_block(g, panels, first, last, p0, kb, out + panels.rows * p0 + row * kb);
  }
}

// A row or column stored as a matrix of one column or row is both.
template <class T>
TT_INLINE Gemm<T> normalized(Gemm<T> g) {
  if (g.m == 1 && g.ta && g.lda == 1) {
    g.ta = false;
    g.lda = g.k;
  }
  if (g.n == 1 && !g.tb && g.ldb == 1) {
    g.tb = true;
    g.ldb = g.k;
  }
  return g;
}

// One task, with the scratch of a slot.
template <class T>
TT_INLINE void run_own_task(const Gemm<T>& g, const OwnPlan<T>& plan, const RowPanels& rows,
                            const T* packed, T* slot_data, int64_t index) {
  const int64_t own = plan.a_elements(g.k);
  const OwnTask<T> task{g, plan, rows, packed, own ? slot_data : nullptr, slot_data + own};
  const int64_t c = index / plan.row_tasks, r = index % plan.row_tasks;
  task.run(task_begin(rows.count, r, plan.row_tasks), task_begin(rows.count, r + 1, plan.row_tasks),
           c * plan.block_cols, smaller(g.n, (c + 1) * plan.block_cols));
}

// On this thread alone.
template <class T>
void own_gemm_on(const Gemm<T>& g, const OwnPlan<T>& plan, T* scratch) {
  const RowPanels rows(g.m);
  const int64_t shared = plan.shared_elements(g);
  if (shared) pack_rows(g, rows, 0, rows.count, scratch);
  for (int64_t i = 0; i < plan.col_tasks * plan.row_tasks; ++i)
    run_own_task<T>(g, plan, rows, shared ? scratch : nullptr, scratch + shared, i);
}

template <class T>
void own_gemm(KernelContext& context, const Gemm<T>& g) {
  const OwnPlan<T> plan(g);
  const int64_t tasks = plan.col_tasks * plan.row_tasks, slot_elements = plan.slot_elements(g.k);
  if (g.scratch) return own_gemm_on(g, plan, g.scratch);
  if (plan.a == PackA::none && tasks == 1) {
    constexpr int64_t kOnStack = 4096 / static_cast<int64_t>(sizeof(T));
    if (slot_elements <= kOnStack) {
      alignas(kVecBytes) T b_block[kOnStack];
      return own_gemm_on(g, plan, b_block);
    }
    Workspace scratch(context, static_cast<size_t>(slot_elements) * sizeof(T));
    return own_gemm_on(g, plan, scratch.as<T>());
  }
  const RowPanels rows(g.m);
  const int slots = static_cast<int>(smaller<int64_t>(tasks, cpu::slot_count()));
  const int64_t shared = plan.shared_elements(g);
  Workspace scratch(context, static_cast<size_t>(shared + slots * slot_elements) * sizeof(T));
  T *const packed = shared ? scratch.as<T>() : nullptr, *const slot_data = scratch.as<T>() + shared;
  if (packed) {
    const int64_t pack_tasks =
        tasks_for(g.m * g.k * static_cast<int64_t>(sizeof(T)), kGrainBytes, rows.count);
    parallel_for(context, pack_tasks, [&](int64_t task) {
      pack_rows(g, rows, task_begin(rows.count, task, pack_tasks),
                task_begin(rows.count, task + 1, pack_tasks), packed);
    });
  }
  parallel_for_slots(context, tasks, slots, [&](int64_t index, int slot) {
    run_own_task<T>(g, plan, rows, packed, slot_data + slot * slot_elements, index);
  });
}

template <class T>
int64_t gemm_scratch(const Gemm<T>& given) {
  if (is_small(given)) return 0;
  const Gemm<T> g = normalized(given);
  if (is_dot(g)) return 0;
  const OwnPlan<T> plan(g);
  return (plan.shared_elements(g) + plan.slot_elements(g.k) + 63) / 64 * 64;
}

template <class T>
int64_t gemm_scratch(int64_t m, int64_t n, int64_t k) {
  const int64_t chain = smaller(k, kMaxChain);
  return smaller(m * k, kMostSharedBytes / static_cast<int64_t>(sizeof(T))) +
         kPanelsAtOnce * kTileRows * chain + (smaller(n, kBlockCols) + 2 * kTileCols<T>)*chain +
         128;
}

template <class T>
void own_engine(KernelContext& context, const Gemm<T>& given) {
  if (given.m > 1 && given.n > 1 && is_small(given)) return small_gemm(given);
  const Gemm<T> g = normalized(given);
  if (is_dot(g)) return dot_gemm(context, g);
  if (is_small(g)) return small_gemm(g);
  own_gemm(context, g);
}

template <class T>
TT_INLINE bool fits_blas(const Gemm<T>& g) {
  constexpr int64_t kMost = INT32_MAX;
  return g.k > 0 && g.m <= kMost && g.n <= kMost && g.k <= kMost && g.lda <= kMost &&
         g.ldb <= kMost && g.ldc <= kMost;
}

template <class T>
void gemm(KernelContext& context, const Gemm<T>& g) {
  if (g.m == 0 || g.n == 0) return;
  if (TT_UNLIKELY(cpu::gemm_engine() == cpu::GemmEngine::openblas) && fits_blas(g)) {
    blas_gemm(context, g);
  } else {
    own_engine(context, g);
  }
}

template <class T>
void gemm_batch(KernelContext& context, const Gemm<T>& g, int64_t batch, int64_t stride_a,
                int64_t stride_b, int64_t stride_c) {
  const double flops =
      2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
  const auto one = [&](int64_t i, T* scratch) {
    Gemm<T> part = g;
    part.scratch = scratch;
    part.a += i * stride_a;
    part.b += i * stride_b;
    part.c += i * stride_c;
    gemm(context, part);
  };
  if (batch == 1 ||
      flops >= 8.0 * static_cast<double>(kTaskFlops)) {  // each has work enough for all threads
    for (int64_t i = 0; i < batch; ++i) one(i, nullptr);
    return;
  }
  const FlopTasks cut(flops * static_cast<double>(batch), smaller<int64_t>(batch, 64));
  const int64_t elements = gemm_scratch(g);
  Workspace scratch(context, static_cast<size_t>(cut.slots * elements) * sizeof(T));
  parallel_for_units(context, batch, cut,
                     [&](int64_t i, int slot) { one(i, scratch.as<T>() + slot * elements); });
}

}  // namespace tinytorch::TT_KERNEL_NS
