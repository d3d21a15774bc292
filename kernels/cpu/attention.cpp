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
  T* data = nullptr;
  int64_t step = 0;
  Rows() = default;
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
  int64_t block, blocks;  // queries at once

  Attention(KernelContext& c, const View& q, const View& k, int64_t values,
            const AttentionParams& p)
      : context(c), queries(q.shape[2]), keys(k.shape[2]), width(q.shape[3]), values(values), p(p) {
    const int64_t most = kWeightBytes / static_cast<int64_t>(sizeof(T)) / keys;
    block = smaller(queries, larger<int64_t>(8, smaller(kMostQueries, most)));
    blocks = ceil_div(queries, block);
  }

  // Keys that query i sees.
  TT_INLINE int64_t seen(int64_t i) const { return p.causal ? smaller(i + 1, keys) : keys; }
  // Elements of scratch: scaled queries, weights and their slopes, and that of the products.
  TT_INLINE int64_t scratch_elements() const {
    return block * width + 2 * block * keys + product_elements();
  }

  void forward(int64_t first, const Rows<T>& q, const Rows<T>& k, const Rows<T>& v,
               const Rows<T>& out, T* log_sum_exp, T* scratch) const;
  struct Gradients {
    T *q, *k, *v;  // dense matrices, or null
  };
  // v.data is null without gradients of q and k.
  void backward(const Rows<T>& g, const Rows<T>& q, const Rows<T>& k, const Rows<T>& v,
                const T* log_sum_exp, const Gradients& gradients, T* scratch) const;

 private:
  TT_INLINE int64_t product_elements() const {
    const int64_t side = larger(block, larger(keys, larger(width, values)));
    return larger(gemm_scratch<T>(block, side, larger(width, larger(values, keys))),
                  gemm_scratch<T>(keys, larger(width, values), block));
  }
  // C [m, n] (+)= A B; a transposed A or B is stored the other way round.
  TT_INLINE void multiply(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, bool ta,
                          const T* b, int64_t ldb, bool tb, T* c, int64_t ldc, bool accumulate,
                          T* scratch) const {
    Gemm<T> g{m, n, k, a, lda, b, ldb, c, ldc, ta, tb, accumulate};
    g.scratch = scratch + block * width + 2 * block * keys;
    gemm(context, g);
  }
  // scale q k^T of queries [i0, i1) and the first n keys, to `weights` [i1 - i0, n].
  TT_INLINE void agree(int64_t i0, int64_t i1, int64_t n, const Rows<T>& q, const Rows<T>& k,
                       T* weights, T* scratch) const {
    const T scale = static_cast<T>(p.scale);
    for (int64_t i = i0; i < i1; ++i) {
      T* const to = scratch + (i - i0) * width;
      for (int64_t j = 0; j < width; ++j) to[j] = q.row(i)[j] * scale;
    }
    multiply(i1 - i0, n, width, scratch, width, false, k.data, k.step, true, weights, n, false,
             scratch);
  }
};

template <class T>
void Attention<T>::forward(int64_t first, const Rows<T>& q, const Rows<T>& k, const Rows<T>& v,
                           const Rows<T>& out, T* log_sum_exp, T* scratch) const {
  T* const weights = scratch + block * width;
  const int64_t end = smaller(queries, first + block), n = seen(end - 1);
  agree(first, end, n, q, k, weights, scratch);
  for (int64_t i = first; i < end; ++i) {
    T* const w = weights + (i - first) * n;
    const int64_t m = seen(i);
    const T top = row_maximum(static_cast<const T*>(w), m);
    deep_loop(w, static_cast<const T*>(w), m, [top](T x) { return exp_of(x - top); });
    const double sum = row_sum<T>(w, m);
    const T share = static_cast<T>(1 / sum);
    for (int64_t j = 0; j < m; ++j) w[j] *= share;
    zero(w + m, n - m);
    log_sum_exp[i] = static_cast<T>(top + log_of(sum));
  }
  multiply(end - first, values, n, weights, n, false, v.data, v.step, false, out.row(first),
           out.step, false, scratch);
}

template <class T>
void Attention<T>::backward(const Rows<T>& g, const Rows<T>& q, const Rows<T>& k, const Rows<T>& v,
                            const T* log_sum_exp, const Gradients& gradients, T* scratch) const {
  T *const weights = scratch + block * width, *const slopes = weights + block * keys;
  const T scale = static_cast<T>(p.scale);
  const bool through_weights = gradients.q || gradients.k;
  if (gradients.k) zero(gradients.k, keys * width);
  if (gradients.v) zero(gradients.v, keys * values);
  for (int64_t i0 = 0; i0 < queries; i0 += block) {
    const int64_t i1 = smaller(queries, i0 + block), rows = i1 - i0, n = seen(i1 - 1);
    agree(i0, i1, n, q, k, weights, scratch);
    if (through_weights)
      multiply(rows, n, values, g.row(i0), g.step, false, v.data, v.step, true, slopes, n, false,
               scratch);
    for (int64_t i = i0; i < i1; ++i) {
      T *const w = weights + (i - i0) * n, *const s = slopes + (i - i0) * n;
      const int64_t m = seen(i);
      const T shift = log_sum_exp[i];
      deep_loop(w, static_cast<const T*>(w), m, [shift](T x) { return exp_of(x - shift); });
      zero(w + m, n - m);
      if (!through_weights) continue;
      const T mean = static_cast<T>(row_dot(static_cast<const T*>(w), static_cast<const T*>(s), m));
      for (int64_t j = 0; j < m; ++j) s[j] = w[j] * (s[j] - mean) * scale;
      zero(s + m, n - m);
    }
    if (gradients.v)
      multiply(n, values, rows, weights, n, true, g.row(i0), g.step, false, gradients.v, values,
               true, scratch);
    if (gradients.q)
      multiply(rows, width, n, slopes, n, false, k.data, k.step, false, gradients.q + i0 * width,
               width, false, scratch);
    if (gradients.k)
      multiply(n, width, rows, slopes, n, true, q.row(i0), q.step, false, gradients.k, width, true,
               scratch);
  }
}

// f(unit, scratch) for every unit of work, `elements` of scratch each.
template <class T, class F>
void for_units(KernelContext& context, int64_t units, double flops, int64_t elements, F f) {
  const FlopTasks cut(flops, smaller<int64_t>(units, 256));
  elements = (elements + 63) / 64 * 64;
  Workspace scratch(context, static_cast<size_t>(cut.slots * elements) * sizeof(T));
  parallel_for_units(context, units, cut,
                     [&](int64_t i, int slot) { f(i, scratch.as<T>() + slot * elements); });
}

TT_INLINE double product_flops(const View& q, const View& k, int64_t values) {
  return 2.0 * static_cast<double>(q.numel / q.shape[3]) *
         static_cast<double>(k.shape[2] * (k.shape[3] + values));
}

template <class T>
void attention_of(KernelContext& context, const View& out, const View& log_sum_exp, const View& q,
                  const View& k, const View& v, const AttentionParams& p) {
  const Attention<T> a(context, q, k, v.shape[3], p);
  for_units<T>(context, q.shape[0] * q.shape[1] * a.blocks, product_flops(q, k, a.values),
               a.scratch_elements(), [&](int64_t unit, T* scratch) {
                 const int64_t z = unit / a.blocks;
                 a.forward(unit % a.blocks * a.block, {q, z}, {k, z}, {v, z}, {out, z},
                           log_sum_exp.as<T>() + z * a.queries, scratch);
               });
}

template <class T>
void attention_grad_of(KernelContext& context, const View* gq, const View* gk, const View* gv,
                       const View& g, const View& q, const View& k, const View* v,
                       const View& log_sum_exp, const AttentionParams& p) {
  const Attention<T> a(context, q, k, g.shape[3], p);
  const auto matrix = [](const View* gradient, int64_t z) {
    return gradient ? gradient->as<T>() + z * gradient->shape[2] * gradient->shape[3] : nullptr;
  };
  for_units<T>(context, q.shape[0] * q.shape[1], 2.5 * product_flops(q, k, a.values),
               a.scratch_elements(), [&](int64_t z, T* scratch) {
                 a.backward({g, z}, {q, z}, {k, z}, v ? Rows<T>(*v, z) : Rows<T>{},
                            log_sum_exp.as<T>() + z * a.queries,
                            {matrix(gq, z), matrix(gk, z), matrix(gv, z)}, scratch);
               });
}

}  // namespace

void attention(KernelContext& context, const View& out, const View& log_sum_exp, const View& q,
               const View& k, const View& v, const AttentionParams& p) {
  out.dtype == Dtype::f32 ? attention_of<float>(context, out, log_sum_exp, q, k, v, p)
                          : attention_of<double>(context, out, log_sum_exp, q, k, v, p);
}

void attention_grad(KernelContext& context, const View* gq, const View* gk, const View* gv,
                    const View& g, const View& q, const View& k, const View* v,
                    const View& log_sum_exp, const AttentionParams& p) {
  g.dtype == Dtype::f32
      ? attention_grad_of<float>(context, gq, gk, gv, g, q, k, v, log_sum_exp, p)
      : attention_grad_of<double>(context, gq, gk, gv, g, q, k, v, log_sum_exp, p);
}

}  // namespace tinytorch::TT_KERNEL_NS
