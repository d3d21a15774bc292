// The rows attention and attention_grad. A block of queries meets all keys that it may see at once:
// its weights stay in cache between the two products, and the backward pass computes them again
// from the sums of the forward pass instead of reading them (Dao et al., "FlashAttention", 2022,
// section 3.1, without the blocks of keys).
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/rows.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kMostQueries = 64;         // in a block
constexpr int64_t kWeightBytes = 512 << 10;  // of the weights of a block, unless the keys are many

// One matrix of a [B, H, rows, columns] view whose rows are dense.
template <class T>
struct Rows {
  T* data;
  int64_t step;
  TT_INLINE Rows(const View& v, int64_t z)
      : data(v.as<T>() + z / v.shape[1] * v.strides[0] + z % v.shape[1] * v.strides[1]),
        step(v.strides[2]) {}
  TT_INLINE T* row(int64_t i) const { return data + i * step; }
};

template <class T>
TT_INLINE void zero(T* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = T{};
}

template <class T>
struct Attention {
  KernelContext& context;
  int64_t queries, keys, width, values;
  AttentionParams p;
  int64_t block;  // queries at once

  Attention(KernelContext& c, const View& q, const View& k, const View& v, const AttentionParams& p)
      : context(c),
        queries(q.shape[2]),
        keys(k.shape[2]),
        width(q.shape[3]),
        values(v.shape[3]),
        p(p),
        block(larger<int64_t>(
            8, smaller(kMostQueries, kWeightBytes / static_cast<int64_t>(sizeof(T)) / keys))) {}

  // Keys that query i sees.
  TT_INLINE int64_t seen(int64_t i) const { return p.causal ? smaller(i + 1, keys) : keys; }

  // C [m, n] (+)= A B; transposed operands are stored the other way round.
  TT_INLINE void multiply(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, bool ta,
                          const T* b, int64_t ldb, bool tb, T* c, int64_t ldc,
                          bool accumulate) const {
    gemm(context, Gemm<T>{m, n, k, a, lda, b, ldb, c, ldc, ta, tb, accumulate});
  }

  void forward(const Rows<T>& q, const Rows<T>& k, const Rows<T>& v, const Rows<T>& out,
               T* log_sum_exp, T* weights) const;
  struct Gradients {
    T *q, *k, *v;  // dense matrices, or null
  };
  void backward(const Rows<T>& g, const Rows<T>& q, const Rows<T>& k, const Rows<T>& v,
                const T* log_sum_exp, const Gradients& gradients, T* weights, T* slopes) const;
};

template <class T>
void Attention<T>::forward(const Rows<T>& q, const Rows<T>& k, const Rows<T>& v, const Rows<T>& out,
                           T* log_sum_exp, T* weights) const {
  const T scale = static_cast<T>(p.scale);
  for (int64_t i0 = 0; i0 < queries; i0 += block) {
    const int64_t i1 = smaller(queries, i0 + block), n = seen(i1 - 1);
    multiply(i1 - i0, n, width, q.row(i0), q.step, false, k.data, k.step, true, weights, n, false);
    for (int64_t i = i0; i < i1; ++i) {
      T* const w = weights + (i - i0) * n;
      const int64_t m = seen(i);
      for (int64_t j = 0; j < m; ++j) w[j] *= scale;
      const T top = row_maximum(static_cast<const T*>(w), m);
      deep_loop(w, static_cast<const T*>(w), m, [top](T x) { return exp_of(x - top); });
      const double sum = row_sum<T>(w, m);
      const T share = static_cast<T>(1 / sum);
      for (int64_t j = 0; j < m; ++j) w[j] *= share;
      for (int64_t j = m; j < n; ++j) w[j] = T{};
      log_sum_exp[i] = static_cast<T>(top + log_of(sum));
    }
    multiply(i1 - i0, values, n, weights, n, false, v.data, v.step, false, out.row(i0), out.step,
             false);
  }
}

template <class T>
void Attention<T>::backward(const Rows<T>& g, const Rows<T>& q, const Rows<T>& k, const Rows<T>& v,
                            const T* log_sum_exp, const Gradients& gradients, T* weights,
                            T* slopes) const {
  const T scale = static_cast<T>(p.scale);
  const bool through_weights = gradients.q || gradients.k;
  if (gradients.k) zero(gradients.k, keys * width);
  if (gradients.v) zero(gradients.v, keys * values);
  for (int64_t i0 = 0; i0 < queries; i0 += block) {
    const int64_t i1 = smaller(queries, i0 + block), rows = i1 - i0, n = seen(i1 - 1);
    multiply(rows, n, width, q.row(i0), q.step, false, k.data, k.step, true, weights, n, false);
    if (through_weights)
      multiply(rows, n, values, g.row(i0), g.step, false, v.data, v.step, true, slopes, n, false);
    for (int64_t i = i0; i < i1; ++i) {
      T *const w = weights + (i - i0) * n, *const s = slopes + (i - i0) * n;
      const int64_t m = seen(i);
      const T shift = log_sum_exp[i];
      deep_loop(w, static_cast<const T*>(w), m,
                [scale, shift](T x) { return exp_of(x * scale - shift); });
      for (int64_t j = m; j < n; ++j) w[j] = T{};
      if (!through_weights) continue;
      const T mean = static_cast<T>(row_dot(static_cast<const T*>(w), static_cast<const T*>(s), m));
      for (int64_t j = 0; j < m; ++j) s[j] = w[j] * (s[j] - mean) * scale;
      for (int64_t j = m; j < n; ++j) s[j] = T{};
    }
    if (gradients.v)
      multiply(n, values, rows, weights, n, true, g.row(i0), g.step, false, gradients.v, values,
               true);
    if (gradients.q)
      multiply(rows, width, n, slopes, n, false, k.data, k.step, false, gradients.q + i0 * width,
               width, false);
    if (gradients.k)
      multiply(n, width, rows, slopes, n, true, q.row(i0), q.step, false, gradients.k, width, true);
  }
}

// f(z, scratch) for every matrix z of the batch, `elements` of scratch each.
template <class T, class F>
void for_matrices(KernelContext& context, int64_t matrices, double flops, int64_t elements, F f) {
  const int64_t tasks = tasks_for(static_cast<int64_t>(smaller(flops, 1e15)), 2 * kGrainFlops,
                                  smaller<int64_t>(matrices, 256));
  const int slots = static_cast<int>(smaller<int64_t>(tasks, cpu::slot_count()));
  Workspace scratch(context, static_cast<size_t>(slots * elements) * sizeof(T));
  parallel_for_slots(context, tasks, slots, [&](int64_t task, int slot) {
    const int64_t end = task_begin(matrices, task + 1, tasks);
    for (int64_t z = task_begin(matrices, task, tasks); z < end; ++z)
      f(z, scratch.as<T>() + slot * elements);
  });
}

TT_INLINE double product_flops(const View& q, const View& k, const View& v) {
  return 2.0 * static_cast<double>(q.numel / q.shape[3]) *
         static_cast<double>(k.shape[2] * (k.shape[3] + v.shape[3]));
}

template <class T>
void attention_of(KernelContext& context, const View& out, const View& log_sum_exp, const View& q,
                  const View& k, const View& v, const AttentionParams& p) {
  const Attention<T> a(context, q, k, v, p);
  for_matrices<T>(
      context, q.shape[0] * q.shape[1], product_flops(q, k, v), a.block * a.keys,
      [&](int64_t z, T* scratch) {
        a.forward({q, z}, {k, z}, {v, z}, {out, z}, log_sum_exp.as<T>() + z * a.queries, scratch);
      });
}

template <class T>
void attention_grad_of(KernelContext& context, const View* gq, const View* gk, const View* gv,
                       const View& g, const View& q, const View& k, const View& v,
                       const View& log_sum_exp, const AttentionParams& p) {
  const Attention<T> a(context, q, k, v, p);
  const auto matrix = [](const View* gradient, int64_t z) {
    return gradient ? gradient->as<T>() + z * gradient->shape[2] * gradient->shape[3] : nullptr;
  };
  for_matrices<T>(context, q.shape[0] * q.shape[1], 2.5 * product_flops(q, k, v),
                  2 * a.block * a.keys, [&](int64_t z, T* scratch) {
                    a.backward({g, z}, {q, z}, {k, z}, {v, z}, log_sum_exp.as<T>() + z * a.queries,
                               {matrix(gq, z), matrix(gk, z), matrix(gv, z)}, scratch,
                               scratch + a.block * a.keys);
                  });
}

}  // namespace

void attention(KernelContext& context, const View& out, const View& log_sum_exp, const View& q,
               const View& k, const View& v, const AttentionParams& p) {
  out.dtype == Dtype::f32 ? attention_of<float>(context, out, log_sum_exp, q, k, v, p)
                          : attention_of<double>(context, out, log_sum_exp, q, k, v, p);
}

void attention_grad(KernelContext& context, const View* gq, const View* gk, const View* gv,
                    const View& g, const View& q, const View& k, const View& v,
                    const View& log_sum_exp, const AttentionParams& p) {
  g.dtype == Dtype::f32
      ? attention_grad_of<float>(context, gq, gk, gv, g, q, k, v, log_sum_exp, p)
      : attention_grad_of<double>(context, gq, gk, gv, g, q, k, v, log_sum_exp, p);
}

}  // namespace tinytorch::TT_KERNEL_NS
