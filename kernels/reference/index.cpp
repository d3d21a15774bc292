// Rows that follow indices (i64). x is [outer, n, inner]. An index outside [0, n) is reported with
// its place in the index tensor, nothing is read or written for it, and the output there is 0.
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

bool valid(KernelContext& context, const View& index, int64_t position, int64_t limit) {
  const int64_t value = index.as<int64_t>()[position];
  if (value >= 0 && value < limit) return true;
  report_value_error(context, ValueErrorKind::index_out_of_range, position, value, limit);
  return false;
}

// Position in a row-major [outer, n, inner].
int64_t at(const View& v, int64_t o, int64_t j, int64_t i) {
  return (o * v.shape[1] + j) * v.shape[2] + i;
}

// f(o, j, i) for every element of a [outer, m, inner].
template <class F>
void for_each(const View& v, F f) {
  for (int64_t o = 0; o < v.shape[0]; ++o) {
    for (int64_t j = 0; j < v.shape[1]; ++j) {
      for (int64_t i = 0; i < v.shape[2]; ++i) f(o, j, i);
    }
  }
}

// out[o, row(o, j, i), i] += src[o, j, i] where row gives a valid row or -1. Sums are kept in the
// wide type until all is added.
template <class Row>
void add_rows(KernelContext& context, const View& out, const View& src, Row row) {
  with_numeric(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    using E = Wide<T>;
    const Workspace sums(context, static_cast<size_t>(out.numel) * sizeof(E));
    for (int64_t k = 0; k < out.numel; ++k) sums.as<E>()[k] = out.as<T>()[k];
    for_each(src, [&](int64_t o, int64_t j, int64_t i) {
      const int64_t r = row(o, j, i);
      if (r >= 0) sums.as<E>()[at(out, o, r, i)] += src.as<T>()[at(src, o, j, i)];
    });
    for (int64_t k = 0; k < out.numel; ++k) out.as<T>()[k] = narrow<T>(sums.as<E>()[k]);
  });
}

}  // namespace

void index_select(KernelContext& context, const View& out, const View& x, const View& index) {
  for (int64_t j = 0; j < index.numel; ++j) valid(context, index, j, x.shape[1]);
  with_size(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for_each(out, [&](int64_t o, int64_t j, int64_t i) {
      const int64_t r = index.as<int64_t>()[j];
      out.as<T>()[at(out, o, j, i)] = r >= 0 && r < x.shape[1] ? x.as<T>()[at(x, o, r, i)] : T(0);
    });
  });
}

void index_add(KernelContext& context, const View& out, const View& index, const View& src) {
  for (int64_t j = 0; j < index.numel; ++j) valid(context, index, j, out.shape[1]);
  add_rows(context, out, src, [&](int64_t, int64_t j, int64_t) {
    const int64_t r = index.as<int64_t>()[j];
    return r < out.shape[1] ? r : -1;
  });
}

void gather(KernelContext& context, const View& out, const View& x, const View& index) {
  with_size(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for_each(out, [&](int64_t o, int64_t j, int64_t i) {
      const int64_t here = at(out, o, j, i);
      const bool good = valid(context, index, here, x.shape[1]);
      out.as<T>()[here] = good ? x.as<T>()[at(x, o, index.as<int64_t>()[here], i)] : T(0);
    });
  });
}

void scatter_add(KernelContext& context, const View& out, const View& index, const View& src) {
  add_rows(context, out, src, [&](int64_t o, int64_t j, int64_t i) {
    const int64_t here = at(src, o, j, i);
    return valid(context, index, here, out.shape[1]) ? index.as<int64_t>()[here] : -1;
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
