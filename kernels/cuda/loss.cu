// The rows cross_entropy and mse and their gradients. Cross entropy reads the logits once; a small
// batch is done, its mean included, by one block. Classes are looked up only after they were
// checked.
#include "kernels/cuda/device/lines.cuh"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/softmax.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// By what a sum over n is divided.
double mean_divisor(const LossParams& p, int64_t n) {
  return p.reduction == Reduction::mean ? static_cast<double>(n) : 1.0;
}

// The sum of many numbers of type T into one of type Out.
template <class T, class Out>
struct TotalOp : OneInput<T, Sum<T>> {
  Out* out;
  double divisor;
  __device__ void finish(const Place&, const Nothing&, const Sum<T>& p) const {
    *out = static_cast<Out>(p.value() / divisor);
  }
};

// ---- cross entropy

template <class T>
struct CrossEntropy {
  T* log_sum_exp;
  const T* logits;
  const int64_t* target;
  int64_t classes;
  ErrorSink sink;

  // Of a row whose sum of exponentials is known; 0 for a class out of range.
  __device__ double loss(int64_t row, const ExpSum<T>& s) const {
    const double log_sum = log_of(s.total());
    log_sum_exp[row] = static_cast<T>(s.top + log_sum);
    const int64_t at = target[row];
    if (static_cast<uint64_t>(at) < static_cast<uint64_t>(classes))
      return (s.top - static_cast<double>(logits[row * classes + at])) + log_sum;
    report_value_error(sink, ValueErrorKind::index_out_of_range, row, at, classes);
    return 0;
  }
};

template <class T>
struct RowLossOp : OneInput<T, ExpSum<T>> {
  CrossEntropy<T> c;
  T* each;       // the result, or null:
  double* wide;  // losses to be summed
  __device__ void finish(const Place& at, const Nothing&, const ExpSum<T>& p) const {
    const double loss = c.loss(at.out, p);
    if (each) {
      each[at.out] = static_cast<T>(loss);
    } else {
      wide[at.out] = loss;
    }
  }
};

// One block for all rows, `lanes` of a warp for each at a time.
template <class T>
__global__ void __launch_bounds__(kBlock)
    cross_entropy_block_kernel(const CrossEntropy<T> c, T* out, double divisor, int64_t rows,
                               int lanes) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % lanes;
  const int64_t together = blockDim.x / lanes;
  double losses = 0;
  for (int64_t first = 0; first < rows; first += together) {
    const int64_t own = first + thread / lanes, row = own < rows ? own : rows - 1;
    ExpSum<T> sum = ExpSum<T>::nothing();
    for (int64_t i = lane; i < c.classes; i += lanes) {
      const T x[1] = {c.logits[row * c.classes + i]};
      add_all(sum, x);
    }
    join_lanes<RowLossOp<T>>(sum, lanes);
    if (lane == 0 && own < rows) losses += c.loss(row, sum);
  }
  const double sum = block_reduce<SumOf>(losses, 0.0);
  if (thread == 0) *out = static_cast<T>(sum / divisor);
}

constexpr int64_t kSmallRows = 1024, kSmallLogits = 8192;

template <class T>
void cross_entropy_of(KernelContext& ctx, const View& out, const CrossEntropy<T>& c, int64_t rows,
                      const LossParams& p) {
  const bool none = p.reduction == Reduction::none;
  if (!none && rows > 0 && rows <= kSmallRows && rows * c.classes <= kSmallLogits) {
    const int lanes = power_of_two((c.classes + 3) / 4, kWarp);
    return launch(cross_entropy_block_kernel<T>, {1}, {threads_for(rows * lanes)}, 0, ctx, c,
                  out.as<T>(), mean_divisor(p, rows), rows, lanes);
  }
  const ReducePlan plan = plan_lines(rows, c.classes, 1);
  if (none) return run_reduction(ctx, RowLossOp<T>{{{c.logits}}, c, out.as<T>(), nullptr}, plan);
  const Workspace memory(ctx, static_cast<size_t>(rows) * sizeof(double));
  double* losses = memory.as<double>();
  run_reduction(ctx, RowLossOp<T>{{{c.logits}}, c, nullptr, losses}, plan);
  run_reduction(ctx, TotalOp<double, T>{{{losses}}, out.as<T>(), mean_divisor(p, rows)},
                plan_lines(1, rows, 1));
}

// (softmax - one hot) times the row's gradient.
template <class T>
struct CrossEntropyGradMap {
  using Element = T;
  struct Row {
    T shift, scale;
    int64_t target;  // the element, or -1
  };
  static constexpr int kInputs = 1;
  const T* in[1];
  T* out;
  const T *g, *log_sum_exp;
  const int64_t* target;
  int64_t classes;
  bool none;
  double divisor;
  ErrorSink sink;

  __device__ Row row(int64_t line, int64_t element) const {
    const T scale = none ? g[line] : static_cast<T>(static_cast<double>(g[0]) / divisor);
    const int64_t at = target[line];
    const bool good = static_cast<uint64_t>(at) < static_cast<uint64_t>(classes);
    if (!good && element == line * classes)
      report_value_error(sink, ValueErrorKind::index_out_of_range, line, at, classes);
    return {log_sum_exp[line], scale, good ? line * classes + at : -1};
  }
  __device__ T value(const Row& row, const T (&x)[1], int64_t element, int64_t) const {
    const T e = exp_of(x[0] - row.shift) * row.scale;
    return element == row.target ? e - row.scale : e;
  }
};

// ---- mean squared error

template <class T>
struct SquareOp {
  using Element = T;
  using Part = Sum<T>;
  using Local = Nothing;
  static constexpr int kInputs = 2;
  const T* in[2];
  T* out;
  double divisor;

  __device__ Local local(const Place&) const { return {}; }
  __device__ static Part start() { return {}; }
  template <int kN>
  __device__ void add(Part& p, const Local&, const Values<T, 2, kN>& v, int64_t) const {
    for (int i = 0; i < kN; ++i) {
      const double d = static_cast<double>(v.at[0][i] - v.at[1][i]);
      p.add_product(d, d);
    }
  }
  __device__ static void join(Part& a, const Part& b) { a.join(b); }
  __device__ void finish(const Place&, const Local&, const Part& p) const {
    *out = static_cast<T>(p.value() / divisor);
  }
};

template <class T>
struct MseGradMap {
  using Element = T;
  using Row = T;  // the factor of every difference
  static constexpr int kInputs = 2;
  const T* in[2];
  T* out;
  const T* g;
  double divisor;

  __device__ Row row(int64_t, int64_t) const {
    return static_cast<T>(2 * static_cast<double>(g[0]) / divisor);
  }
  __device__ T value(const Row& factor, const T (&x)[2], int64_t, int64_t) const {
    return factor * (x[0] - x[1]);
  }
};

}  // namespace

void cross_entropy(KernelContext& ctx, const View& out, const View& log_sum_exp, const View& logits,
                   const View& target, const LossParams& p) {
  with_float(logits.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const CrossEntropy<T> c{log_sum_exp.as<T>(), logits.as<const T>(), target.as<const int64_t>(),
                            logits.shape[1], error_sink(ctx)};
    cross_entropy_of(ctx, out, c, logits.shape[0], p);
  });
}

void cross_entropy_grad(KernelContext& ctx, const View& out, const View& g, const View& logits,
                        const View& log_sum_exp, const View& target, const LossParams& p) {
  if (logits.numel == 0) return;
  with_float(logits.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const int64_t rows = logits.shape[0], classes = logits.shape[1];
    const CrossEntropyGradMap<T> f{{logits.as<const T>()},
                                   out.as<T>(),
                                   g.as<const T>(),
                                   log_sum_exp.as<const T>(),
                                   target.as<const int64_t>(),
                                   classes,
                                   p.reduction == Reduction::none,
                                   mean_divisor(p, rows),
                                   error_sink(ctx)};
    map_lines(ctx, f, lines_along(rows, classes, 1));
  });
}

void mse(KernelContext& ctx, const View& out, const View& pred, const View& target,
         const LossParams& p) {
  with_float(pred.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    run_reduction(
        ctx,
        SquareOp<T>{
            {pred.as<const T>(), target.as<const T>()}, out.as<T>(), mean_divisor(p, pred.numel)},
        plan_lines(1, pred.numel, 1));
  });
}

void mse_grad(KernelContext& ctx, const View& out, const View& g, const View& pred,
              const View& target, const LossParams& p) {
  if (pred.numel == 0) return;
  with_float(pred.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const MseGradMap<T> f{{pred.as<const T>(), target.as<const T>()},
                          out.as<T>(),
                          g.as<const T>(),
                          mean_divisor(p, pred.numel)};
    map_lines(ctx, f, lines_along(1, pred.numel, 1));
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
