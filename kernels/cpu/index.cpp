// The rows index_select, gather, index_add and scatter_add. An index out of range is reported by
// its position, and what it would have read or written is left out (0 in the output of a
// selection). Additions to one element happen in the order of the indices.
#include "kernels/common/dispatch.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/vec.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kTaskBytes = 128 << 10;

struct Shape3 {
  int64_t outer, n, inner;
  TT_INLINE explicit Shape3(const View& v) : outer(v.shape[0]), n(v.shape[1]), inner(v.shape[2]) {}
};

TT_INLINE bool in_range(int64_t index, int64_t limit) {
  return static_cast<uint64_t>(index) < static_cast<uint64_t>(limit);
}
void report_index(KernelContext& ctx, int64_t position, int64_t value, int64_t limit) {
  report_value_error(ctx, ValueErrorKind::index_out_of_range, position, value, limit);
}

// For calls that move nothing: the indices are checked all the same.
void check_list(KernelContext& ctx, const View& index, int64_t limit) {
  const int64_t* at = index.as<const int64_t>();
  for (int64_t j = 0; j < index.numel; ++j) {
    if (TT_UNLIKELY(!in_range(at[j], limit))) report_index(ctx, j, at[j], limit);
  }
}

template <class U>
void select_single(KernelContext& ctx, U* out, const U* x, const int64_t* index, int64_t first,
                   int64_t count, int64_t n) {
  for (int64_t j = 0; j < count; ++j) {
    const bool good = in_range(index[j], n);
    out[j] = good ? x[index[j]] : U(0);
    if (TT_UNLIKELY(!good)) report_index(ctx, first + j, index[j], n);
  }
}

// Columns [begin, end) of the inner dim of one outer index: out[n, inner] += src[m, inner] at
// index[m].
template <class T>
void add_rows(KernelContext& ctx, T* out, const int64_t* index, const T* src, int64_t m,
              const Shape3& to, int64_t begin, int64_t end) {
  constexpr int64_t kAhead = 4, kLine = 64 / static_cast<int64_t>(sizeof(T));
  for (int64_t j = 0; j < m; ++j) {
    if (TT_UNLIKELY(!in_range(index[j], to.n))) {
      report_index(ctx, j, index[j], to.n);
      continue;
    }
    if (j + kAhead < m && in_range(index[j + kAhead], to.n)) {
      for (int64_t i = begin; i < end; i += kLine) {
        __builtin_prefetch(out + index[j + kAhead] * to.inner + i, 1);
        __builtin_prefetch(src + (j + kAhead) * to.inner + i);
      }
    }
    T* o = out + index[j] * to.inner;
    const T* s = src + j * to.inner;
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) o[i] = add_of(o[i], s[i]);
  }
}

// Elements [first, first + count) of src to target[limit] at their indices.
template <class T>
[[gnu::noinline]] void scatter_row(KernelContext& ctx, T* target, const int64_t* index,
                                   const T* src, int64_t first, int64_t count, int64_t limit) {
  for (int64_t j = first; j < first + count; ++j) {
    const int64_t at = index[j];
    if (TT_UNLIKELY(!in_range(at, limit))) {
      report_index(ctx, j, at, limit);
    } else {
      target[at] = add_of(target[at], src[j]);
    }
  }
}

// Columns [begin, end) of one row of src, which begins at `row`, to target[n, inner].
template <class T>
[[gnu::noinline]] void scatter_columns(KernelContext& ctx, T* target, const int64_t* index,
                                       const T* src, int64_t row, int64_t begin, int64_t end,
                                       const Shape3& to) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t at = index[row + i];
    if (TT_UNLIKELY(!in_range(at, to.n))) {
      report_index(ctx, row + i, at, to.n);
      continue;
    }
    T& sum = target[at * to.inner + i];
    sum = add_of(sum, src[row + i]);
  }
}

template <class F>
void with_addable(Dtype d, F f) {
  if (d <= Dtype::f64) return with_float(d, f);
  if (d == Dtype::i64) return f(Tag<int64_t>{});
  if (d == Dtype::i32) return f(Tag<int32_t>{});
}

// Cuts outer x inner into tasks of whole columns, each with about `column_bytes` behind a column.
template <class F>
void for_columns(KernelContext& ctx, int64_t outer, int64_t inner, int64_t column_bytes, F f) {
  const int64_t width = smaller(inner, larger<int64_t>(64, kTaskBytes / (column_bytes + 1)));
  const int64_t strips = ceil_div(inner, width);
  const int64_t per_task = larger<int64_t>(1, kTaskBytes / (column_bytes * width + 1));
  parallel_for(ctx, ceil_div(outer * strips, per_task), [&](int64_t task) {
    for (int64_t t = task * per_task; t < smaller((task + 1) * per_task, outer * strips); ++t) {
      const int64_t begin = t % strips * width;
      f(t / strips, begin, smaller(begin + width, inner));
    }
  });
}

}  // namespace

void index_select(KernelContext& ctx, const View& out, const View& x, const View& index) {
  const Shape3 from(x);
  const int64_t m = index.numel, size = static_cast<int64_t>(size_of(x.dtype)),
                row = from.inner * size;
  if (out.numel == 0) return check_list(ctx, index, from.n);
  const int64_t* at = index.as<const int64_t>();
  const int64_t rows = from.outer * m, per_task = larger<int64_t>(1, kTaskBytes / row);
  parallel_for(ctx, ceil_div(rows, per_task), [&](int64_t task) {
    const int64_t end = smaller((task + 1) * per_task, rows);
    for (int64_t r = task * per_task; r < end;) {  // pieces of one outer index
      const int64_t o = r / m, j = r % m, count = smaller(m - j, end - r);
      char* to = out.as<char>() + r * row;
      const char* source = x.as<const char>() + o * from.n * row;
      r += count;
      if (from.inner == 1) {
        with_size(x.dtype, [&](auto tag) {
          using U = typename decltype(tag)::Type;
          select_single(ctx, reinterpret_cast<U*>(to), reinterpret_cast<const U*>(source), at + j,
                        j, count, from.n);
        });
        continue;
      }
      for (int64_t k = j; k < j + count; ++k, to += row) {
        if (TT_LIKELY(in_range(at[k], from.n))) {
          __builtin_memcpy(to, source + at[k] * row, static_cast<size_t>(row));
        } else {
          __builtin_memset(to, 0, static_cast<size_t>(row));
          report_index(ctx, k, at[k], from.n);
        }
      }
    }
  });
}

void gather(KernelContext& ctx, const View& out, const View& x, const View& index) {
  const Shape3 from(x), to(out);
  if (out.numel == 0) return;
  with_size(x.dtype, [&](auto tag) {
    using U = typename decltype(tag)::Type;
    for_columns(ctx, to.outer, to.inner, to.n * static_cast<int64_t>(sizeof(int64_t)),
                [&](int64_t o, int64_t begin, int64_t end) {
                  const U* source = x.as<const U>() + o * from.n * from.inner;
                  for (int64_t j = 0; j < to.n; ++j) {
                    const int64_t row = (o * to.n + j) * to.inner;
                    const int64_t* at = index.as<const int64_t>() + row;
                    U* result = out.as<U>() + row;
                    for (int64_t i = begin; i < end; ++i) {
                      const bool good = in_range(at[i], from.n);
                      result[i] = good ? source[at[i] * from.inner + i] : U(0);
                      if (TT_UNLIKELY(!good)) report_index(ctx, row + i, at[i], from.n);
                    }
                  }
                });
  });
}

void index_add(KernelContext& ctx, const View& out, const View& index, const View& src) {
  const Shape3 to(out);
  const int64_t m = index.numel;
  if (src.numel == 0) return check_list(ctx, index, to.n);
  with_addable(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for_columns(ctx, to.outer, to.inner, m * static_cast<int64_t>(2 * sizeof(T)),
                [&](int64_t o, int64_t begin, int64_t end) {
                  add_rows(ctx, out.as<T>() + o * to.n * to.inner, index.as<const int64_t>(),
                           src.as<const T>() + o * m * to.inner, m, to, begin, end);
                });
  });
}

void scatter_add(KernelContext& ctx, const View& out, const View& index, const View& src) {
  const Shape3 to(out), from(src);
  if (src.numel == 0) return;
  with_addable(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for_columns(ctx, from.outer, from.inner,
                from.n * static_cast<int64_t>(sizeof(int64_t) + 2 * sizeof(T)),
                [&](int64_t o, int64_t begin, int64_t end) {
                  T* target = out.as<T>() + o * to.n * to.inner;
                  const int64_t row = o * from.n * from.inner;
                  if (from.inner == 1)
                    return scatter_row(ctx, target, index.as<const int64_t>(), src.as<const T>(),
                                       row, from.n, to.n);
                  for (int64_t j = 0; j < from.n; ++j)
                    scatter_columns(ctx, target, index.as<const int64_t>(), src.as<const T>(),
                                    row + j * from.inner, begin, end, to);
                });
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
