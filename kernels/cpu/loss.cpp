// The rows cross_entropy and mse and their gradients. Cross entropy needs one pass over the logits
// that are not in cache; sums over rows or elements are made block by block in double, blocks being
// cut by shape, and blocks are added in order.
#include "kernels/common/dispatch.h"
#include "kernels/cpu/rows.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// So many that threads find enough of them, and so few that their sums stand on the stack.
constexpr int64_t kMostTasks = 64;

double sum_of(const double* sums, int64_t tasks) {
  double s = 0, e = 0;
  for (int64_t t = 0; t < tasks; ++t) two_sum(s, e, sums[t]);
  return settled(s, e);
}

double reduced(double sum, int64_t n, const LossParams& p) {
  return p.reduction == Reduction::mean ? sum / static_cast<double>(n) : sum;
}

// Of one row: the sum of exponentials relative to `top`.
template <class T>
struct RowSum {
  T top;
  double sum;
};

// For a long row, behind which stands `next` (see next_row), or `rows` short ones that fit into the
// buffer together.
template <class T>
[[gnu::noinline]] void sums_of_rows(RowSum<T>* result, const T* x, const T* next, int64_t rows,
                                    int64_t n) {
  if (n >= kShortRow) {
    const T top = row_maximum(x, n);
    result[0] = {top, sum_of_exp(x, n, top, next)};
    return;
  }
  T e[kRowBuffer];
  for (int64_t r = 0; r < rows; ++r) {
    result[r].top = row_maximum(x + r * n, n);
    for (int64_t i = r * n; i < (r + 1) * n; ++i) e[i] = x[i] - result[r].top;
  }
  deep_loop(e, static_cast<const T*>(e), rows * n, [](T v) { return exp_of(v); });
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t i = r * n; i < (r + 1) * n; ++i) sum += e[i];
    result[r].sum = sum;
  }
}

template <class T>
struct CrossEntropy {
  KernelContext& ctx;
  T *out, *log_sum_exp;  // out is null if losses are summed
  const T* logits;
  const int64_t* target;
  int64_t all_rows, n;

  // Rows [row, row + rows); returns the sum of their losses.
  double run(int64_t row, int64_t rows) const {
    RowSum<T> sums[kRowBuffer];
    const T* x = logits + row * n;
    sums_of_rows(sums, x, next_row(x, row, all_rows, n), rows, n);
    double total = 0;
    for (int64_t r = row; r < row + rows; ++r) {
      const RowSum<T>& s = sums[r - row];
      const double log_sum = log_of(s.sum);
      log_sum_exp[r] = static_cast<T>(static_cast<double>(s.top) + log_sum);
      double loss = 0;
      if (TT_LIKELY(static_cast<uint64_t>(target[r]) < static_cast<uint64_t>(n))) {
        loss =
            (static_cast<double>(s.top) - static_cast<double>(logits[r * n + target[r]])) + log_sum;
      } else {
        report_value_error(ctx, ValueErrorKind::index_out_of_range, r, target[r], n);
      }
      if (out) out[r] = static_cast<T>(loss);
      total += loss;
    }
    return total;
  }
};

// Groups of rows (see for_row_groups) that a task takes.
struct RowTasks {
  int64_t rows, group, per_task, tasks;
  RowTasks(int64_t rows_, int64_t n) : rows(rows_) {
    group = n < kShortRow ? kRowBuffer / larger<int64_t>(n, 1) : 1;
    const int64_t groups = ceil_div(rows, group);
    per_task = larger<int64_t>(1, kRowTask / (group * larger<int64_t>(n, 1)));
    per_task = larger(per_task, ceil_div(groups, kMostTasks));
    tasks = ceil_div(groups, per_task);
  }
  template <class F>
  TT_INLINE void for_groups(int64_t task, F f) const {
    const int64_t end = smaller((task + 1) * per_task * group, rows);
    for (int64_t row = task * per_task * group; row < end; row += group)
      f(row, smaller(group, end - row));
  }
};

template <class T>
void cross_entropy_of(KernelContext& ctx, const View& out, const View& log_sum_exp,
                      const View& logits, const View& target, const LossParams& p) {
  const int64_t rows = logits.shape[0], n = logits.shape[1];
  const bool none = p.reduction == Reduction::none;
  const CrossEntropy<T> row_losses = {ctx,
                                      none ? out.as<T>() : nullptr,
                                      log_sum_exp.as<T>(),
                                      logits.as<const T>(),
                                      target.as<const int64_t>(),
                                      rows,
                                      n};
  const RowTasks tasks(rows, n);
  double sums[kMostTasks];
  parallel_for(ctx, tasks.tasks, [&](int64_t task) {
    double sum = 0;
    tasks.for_groups(task, [&](int64_t row, int64_t count) { sum += row_losses.run(row, count); });
    sums[task] = sum;
  });
  if (!none) *out.as<T>() = static_cast<T>(reduced(sum_of(sums, tasks.tasks), rows, p));
}

// out = (softmax - one hot) scale, for a long row or short rows together.
template <class T>
[[gnu::noinline]] void cross_entropy_grad_rows(T* out, const T* x, const T* log_sum_exp,
                                               const T* scale, int64_t scale_step, int64_t rows,
                                               int64_t n) {
  if (n >= kShortRow) {
    for (int64_t r = 0; r < rows; ++r) {
      const T shift = log_sum_exp[r], factor = scale[r * scale_step];
      deep_loop(out + r * n, x + r * n, n, [=](T v) { return exp_of(v - shift) * factor; });
    }
    return;
  }
  T e[kRowBuffer];
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = r * n; i < (r + 1) * n; ++i) e[i] = x[i] - log_sum_exp[r];
  }
  deep_loop(e, static_cast<const T*>(e), rows * n, [](T v) { return exp_of(v); });
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = r * n; i < (r + 1) * n; ++i) out[i] = e[i] * scale[r * scale_step];
  }
}

template <class T>
void cross_entropy_grad_of(KernelContext& ctx, const View& out, const View& g, const View& logits,
                           const View& log_sum_exp, const View& target, const LossParams& p) {
  const int64_t rows = logits.shape[0], n = logits.shape[1];
  const bool none = p.reduction == Reduction::none;
  const T common = none ? T(0) : static_cast<T>(reduced(static_cast<double>(*g.as<T>()), rows, p));
  const T* scale = none ? g.as<const T>() : &common;
  const int64_t step = none ? 1 : 0;
  const int64_t* at = target.as<const int64_t>();
  const RowTasks tasks(rows, n);
  parallel_for(ctx, tasks.tasks, [&](int64_t task) {
    tasks.for_groups(task, [&](int64_t row, int64_t count) {
      T* o = out.as<T>() + row * n;
      cross_entropy_grad_rows(o, logits.as<const T>() + row * n, log_sum_exp.as<const T>() + row,
                              scale + row * step, step, count, n);
      for (int64_t r = row; r < row + count; ++r, o += n) {
        if (TT_LIKELY(static_cast<uint64_t>(at[r]) < static_cast<uint64_t>(n))) {
          o[at[r]] -= scale[r * step];
        } else {
          report_value_error(ctx, ValueErrorKind::index_out_of_range, r, at[r], n);
        }
      }
    });
  });
}

template <class T>
[[gnu::noinline]] double sum_of_squares(const T* x, const T* y, int64_t n) {
  typename SumOf<T>::Acc acc;
  const auto square = [](const Vec<T>& d) { return d * d; };
  accumulate_from<SumOf<T>>(
      acc, n, [=](int64_t i) { return square(load(x + i) - load(y + i)); },
      [=](int64_t i, int64_t count) {
        return square(load_part(x + i, count, Vec<T>{}) - load_part(y + i, count, Vec<T>{}));
      });
  return total<T>(acc);
}

template <class T>
void mse_of(KernelContext& ctx, const View& out, const View& pred, const View& target,
            const LossParams& p) {
  const int64_t n = pred.numel, block = larger(kTileElements, ceil_div(n, kMostTasks)),
                tasks = ceil_div(n, block);
  const T *x = pred.as<const T>(), *y = target.as<const T>();
  double sums[kMostTasks];
  parallel_for(ctx, tasks, [&](int64_t task) {
    sums[task] =
        sum_of_squares(x + task * block, y + task * block, smaller(block, n - task * block));
  });
  *out.as<T>() = static_cast<T>(reduced(sum_of(sums, tasks), n, p));
}

template <class T>
int64_t mse_grad_loop(void* out, const void* pred, const void* target, const void*, int64_t n,
                      const void* scale) {
  const T factor = *static_cast<const T*>(scale);
  const T* x = static_cast<const T*>(pred);
  const T* y = static_cast<const T*>(target);
  T* o = static_cast<T*>(out);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) o[i] = factor * (x[i] - y[i]);
  return -1;
}

}  // namespace

void cross_entropy(KernelContext& ctx, const View& out, const View& log_sum_exp, const View& logits,
                   const View& target, const LossParams& p) {
  with_float(logits.dtype, [&](auto tag) {
    cross_entropy_of<typename decltype(tag)::Type>(ctx, out, log_sum_exp, logits, target, p);
  });
}

void cross_entropy_grad(KernelContext& ctx, const View& out, const View& g, const View& logits,
                        const View& log_sum_exp, const View& target, const LossParams& p) {
  with_float(logits.dtype, [&](auto tag) {
    cross_entropy_grad_of<typename decltype(tag)::Type>(ctx, out, g, logits, log_sum_exp, target,
                                                        p);
  });
}

void mse(KernelContext& ctx, const View& out, const View& pred, const View& target,
         const LossParams& p) {
  with_float(pred.dtype,
             [&](auto tag) { mse_of<typename decltype(tag)::Type>(ctx, out, pred, target, p); });
}

void mse_grad(KernelContext& ctx, const View& out, const View& g, const View& pred,
              const View& target, const LossParams& p) {
  with_float(pred.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const T factor = static_cast<T>(reduced(2 * static_cast<double>(*g.as<T>()), pred.numel, p));
    run_loop(ctx, mse_grad_loop<T>, &factor, out, pred, target);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
