// The rows softmax and softmax_grad over [outer, n, inner]. Along dense rows (inner 1) an element
// is read once and stays in cache for the passes after; otherwise strips of some columns are worked
// on together. Short rows share one call of the exponential.
#include "kernels/common/dispatch.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/rows.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kStrip = 64;  // columns worked on together when inner > 1

// `next` is the row to come, or this one again.
template <class T>
[[gnu::noinline]] void softmax_row(T* out, const T* x, const T* next, int64_t n) {
  const T top = row_maximum(x, n);
  typename SumOf<T>::Acc acc;
  for (int64_t i = 0; i < n; i += kRowBuffer) {
    const int64_t count = smaller(kRowBuffer, n - i);
    prefetch_row(next + i, count);
    deep_loop(out + i, x + i, count, [top](T v) { return exp_of(v - top); });
    accumulate<SumOf<T>>(acc, out + i, count);
  }
  const T scale = static_cast<T>(1 / total<T>(acc));
  for (int64_t i = 0; i < n; ++i) out[i] *= scale;
}

template <class T>
[[gnu::noinline]] void log_softmax_row(T* out, const T* x, const T* next, int64_t n) {
  const T top = row_maximum(x, n);
  const T shift = static_cast<T>(log_of(sum_of_exp(x, n, top, next)));
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - top) - shift;
}

// `rows` rows that fit into the buffer together.
template <class T>
[[gnu::noinline]] void softmax_short_rows(T* out, const T* x, int64_t rows, int64_t n, bool log) {
  T e[kRowBuffer], tops[kRowBuffer];
  for (int64_t r = 0; r < rows; ++r) {
    tops[r] = row_maximum(x + r * n, n);
    for (int64_t i = r * n; i < (r + 1) * n; ++i) e[i] = x[i] - tops[r];
  }
  deep_loop(e, static_cast<const T*>(e), rows * n, [](T v) { return exp_of(v); });
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t i = r * n; i < (r + 1) * n; ++i) sum += e[i];
    if (log) {
      const T shift = static_cast<T>(log_of(sum));
      for (int64_t i = r * n; i < (r + 1) * n; ++i) out[i] = (x[i] - tops[r]) - shift;
    } else {
      const T scale = static_cast<T>(1 / sum);
      for (int64_t i = r * n; i < (r + 1) * n; ++i) out[i] = e[i] * scale;
    }
  }
}

// Columns [0, width) of one outer index; rows are `inner` apart.
template <class T>
[[gnu::noinline]] void softmax_strip(T* out, const T* x, int64_t n, int64_t inner, int64_t width,
                                     bool log) {
  T top[kStrip], shift[kStrip];
  double parts[kStrip * 2];
  for (int64_t c = 0; c < width; ++c) top[c] = x[c];
  for (int64_t c = 0; c < kStrip * 2; ++c) parts[c] = 0;
  for (int64_t k = 1; k < n; ++k) {
    prefetch_below(x + k * inner, inner, n - k, width);
    for (int64_t c = 0; c < width; ++c)
      top[c] = x[k * inner + c] > top[c] ? x[k * inner + c] : top[c];
  }
  for (int64_t k = 0; k < n; ++k) {
    T* e = log ? shift : out + k * inner;
    deep_loop(e, x + k * inner, static_cast<const T*>(top), width,
              [](T v, T t) { return exp_of(v - t); });
    absorb_row(parts, kStrip, static_cast<const T*>(e), width);
  }
  for (int64_t c = 0; c < width; ++c) {
    const double sum = SumOf<T>::finish_double(parts + c, kStrip);
    shift[c] = static_cast<T>(log ? log_of(sum) : 1 / sum);
  }
  for (int64_t k = 0; k < n; ++k) {
    T* o = out + k * inner;
    const T* v = x + k * inner;
    if (log) {
      for (int64_t c = 0; c < width; ++c) o[c] = (v[c] - top[c]) - shift[c];
    } else {
      for (int64_t c = 0; c < width; ++c) o[c] *= shift[c];
    }
  }
}

template <class T>
[[gnu::noinline]] void softmax_grad_row(T* out, const T* g, const T* y, int64_t n, bool log) {
  if (log) {
    const T sum = static_cast<T>(row_sum<T>(g, n));
    deep_loop(out, g, y, n, [sum](T a, T b) { return a - exp_of(b) * sum; });
    return;
  }
  const T dot = static_cast<T>(row_dot(g, y, n));
  for (int64_t i = 0; i < n; ++i) out[i] = y[i] * (g[i] - dot);
}

template <class T>
[[gnu::noinline]] void softmax_grad_strip(T* out, const T* g, const T* y, int64_t n, int64_t inner,
                                          int64_t width, bool log) {
  T product[kStrip], sum[kStrip];
  double parts[kStrip * 2];
  for (int64_t c = 0; c < kStrip * 2; ++c) parts[c] = 0;
  for (int64_t k = 0; k < n; ++k) {
    const T *a = g + k * inner, *b = y + k * inner;
    for (int64_t c = 0; c < width; ++c) product[c] = log ? a[c] : a[c] * b[c];
    absorb_row(parts, kStrip, static_cast<const T*>(product), width);
  }
  for (int64_t c = 0; c < width; ++c)
    sum[c] = static_cast<T>(SumOf<T>::finish_double(parts + c, kStrip));
  for (int64_t k = 0; k < n; ++k) {
    const T *a = g + k * inner, *b = y + k * inner;
    T* o = out + k * inner;
    if (log) {
      deep_loop(product, b, static_cast<const T*>(sum), width,
                [](T v, T s) { return exp_of(v) * s; });
      for (int64_t c = 0; c < width; ++c) o[c] = a[c] - product[c];
    } else {
      for (int64_t c = 0; c < width; ++c) o[c] = b[c] * (a[c] - sum[c]);
    }
  }
}

// f(outer offset of the strip in elements, width) for every strip.
template <class F>
void for_strips(KernelContext& ctx, const View& v, F f) {
  const int64_t outer = v.shape[0], n = v.shape[1], inner = v.shape[2],
                strips = ceil_div(inner, kStrip);
  const int64_t per_task = larger<int64_t>(1, kRowTask / (n * smaller(inner, kStrip)));
  parallel_for(ctx, ceil_div(outer * strips, per_task), [&](int64_t task) {
    for (int64_t t = task * per_task; t < smaller((task + 1) * per_task, outer * strips); ++t) {
      const int64_t column = t % strips * kStrip;
      f(t / strips * n * inner + column, smaller(kStrip, inner - column));
    }
  });
}

template <class T>
void softmax_of(KernelContext& ctx, const View& out, const View& in, bool log) {
  const int64_t n = in.shape[1], inner = in.shape[2];
  T* o = out.as<T>();
  const T* x = in.as<const T>();
  if (inner > 1) {
    return for_strips(ctx, in, [&](int64_t at, int64_t width) {
      softmax_strip(o + at, x + at, n, inner, width, log);
    });
  }
  for_row_groups(ctx, in.shape[0], n, [&](int64_t row, int64_t rows) {
    const T* from = x + row * n;
    if (n < kShortRow) return softmax_short_rows(o + row * n, from, rows, n, log);
    const T* next = next_row(from, row, in.shape[0], n);
    log ? log_softmax_row(o + row * n, from, next, n) : softmax_row(o + row * n, from, next, n);
  });
}

template <class T>
void softmax_grad_of(KernelContext& ctx, const View& out, const View& g, const View& y, bool log) {
  const int64_t n = y.shape[1], inner = y.shape[2];
  T* o = out.as<T>();
  const T *a = g.as<const T>(), *b = y.as<const T>();
  if (inner > 1) {
    return for_strips(ctx, y, [&](int64_t at, int64_t width) {
      softmax_grad_strip(o + at, a + at, b + at, n, inner, width, log);
    });
  }
  for_row_groups(ctx, y.shape[0], n, [&](int64_t row, int64_t rows) {
    for (int64_t r = row; r < row + rows; ++r)
      softmax_grad_row(o + r * n, a + r * n, b + r * n, n, log);
  });
}

}  // namespace

void softmax(KernelContext& ctx, const View& out, const View& in, bool log) {
  if (out.numel == 0) return;
  with_float(out.dtype,
             [&](auto tag) { softmax_of<typename decltype(tag)::Type>(ctx, out, in, log); });
}

void softmax_grad(KernelContext& ctx, const View& out, const View& g, const View& y, bool log) {
  if (out.numel == 0) return;
  with_float(out.dtype,
             [&](auto tag) { softmax_grad_of<typename decltype(tag)::Type>(ctx, out, g, y, log); });
}

}  // namespace tinytorch::TT_KERNEL_NS
