// The rows sgd_step and adam_step: one pass over parameter, gradient and state of all tensors of a
// group. What is the same for all elements is computed once in double and then rounded to the
// parameter's dtype.
#include <cmath>

#include "kernels/common/dispatch.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/vec.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kBlock = 16 << 10;  // elements of a task at most; a task is inside one tensor

// f(tensor, first element, count) for blocks of all tensors. Groups of many small tensors stay on
// one thread.
template <class F>
TT_INLINE void for_blocks(KernelContext& ctx, const ViewList& params, F f) {
  int64_t blocks = 0, numel = 0;
  for (int t = 0; t < params.count; ++t) {
    blocks += ceil_div(params[t].numel, kBlock);
    numel += params[t].numel;
  }
  if (numel <= 2 * kBlock) {
    for (int t = 0; t < params.count; ++t) f(t, static_cast<int64_t>(0), params[t].numel);
    return;
  }
  parallel_for(ctx, blocks, [&](int64_t block) {
    int t = 0;
    for (; block >= ceil_div(params[t].numel, kBlock); ++t)
      block -= ceil_div(params[t].numel, kBlock);
    f(t, block * kBlock, smaller(kBlock, params[t].numel - block * kBlock));
  });
}

template <class T>
struct SgdFactors {
  T rate, gradient_scale, weight_decay, momentum, new_part;
  bool first, nesterov;
};

template <class T>
[[gnu::noinline]] void sgd_plain(T* p, const T* g, int64_t n, const SgdFactors<T>& f) {
  const T rate = f.rate, scale = f.gradient_scale, decay = f.weight_decay;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) p[i] -= rate * (g[i] * scale + decay * p[i]);
}

template <class T>
[[gnu::noinline]] void sgd_momentum(T* p, const T* g, T* m, int64_t n, const SgdFactors<T>& f) {
  const T rate = f.rate, scale = f.gradient_scale, decay = f.weight_decay;
  const T momentum = f.momentum, new_part = f.first ? T(1) : f.new_part,
          old_part = f.first ? T(0) : momentum;
  const bool nesterov = f.nesterov;
  if (f.first) {
    for (int64_t i = 0; i < n; ++i) m[i] = T(0);  // may hold anything
  }
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T gradient = g[i] * scale + decay * p[i];
    const T v = old_part * m[i] + new_part * gradient;
    m[i] = v;
    p[i] -= rate * (nesterov ? gradient + momentum * v : v);
  }
}

template <class T>
struct AdamFactors {
  T gradient_scale, weight_decay, keep, beta1, new1, beta2, new2, step_size, inverse_correction2,
      eps;
};

template <class T>
[[gnu::noinline]] void adam_block(T* p, const T* g, T* first, T* second, int64_t n,
                                  const AdamFactors<T>& f) {
  const AdamFactors<T> c = f;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T x = p[i] * c.keep;
    const T gradient = g[i] * c.gradient_scale + c.weight_decay * p[i];
    const T m = c.beta1 * first[i] + c.new1 * gradient;
    const T v = c.beta2 * second[i] + c.new2 * (gradient * gradient);
    first[i] = m;
    second[i] = v;
    p[i] = x - c.step_size * (m / (sqrt_of(v) * c.inverse_correction2 + c.eps));
  }
}
}  // namespace

void sgd_step(KernelContext& ctx, const ViewList& params, const ViewList& grads,
              const ViewList& momenta, const View& hyper, const SgdParams& p) {
  double* h = hyper.as<double>();
  const double scale = p.maximize ? -h[kHyperGradScale] : h[kHyperGradScale];
  const bool momentum = momenta.count > 0;
  for_blocks(ctx, params, [&](int t, int64_t begin, int64_t count) {
    with_float(params[t].dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      const SgdFactors<T> factors = {static_cast<T>(h[kHyperLearningRate]),
                                     static_cast<T>(scale),
                                     static_cast<T>(p.weight_decay),
                                     static_cast<T>(p.momentum),
                                     static_cast<T>(1 - p.dampening),
                                     h[kHyperStep] == 0,
                                     p.nesterov};
      T* x = params[t].as<T>() + begin;
      const T* g = grads[t].as<const T>() + begin;
      momentum ? sgd_momentum(x, g, momenta[t].as<T>() + begin, count, factors)
               : sgd_plain(x, g, count, factors);
    });
  });
  h[kHyperStep] += 1;
}

void adam_step(KernelContext& ctx, const ViewList& params, const ViewList& grads,
               const ViewList& first, const ViewList& second, const View& hyper,
               const AdamParams& p) {
  double* h = hyper.as<double>();
  const double step = h[kHyperStep] += 1, rate = h[kHyperLearningRate];
  const double step_size = rate / (1 - std::pow(p.beta1, step)),
               correction2 = std::sqrt(1 - std::pow(p.beta2, step));
  const double scale = p.maximize ? -h[kHyperGradScale] : h[kHyperGradScale];
  for_blocks(ctx, params, [&](int t, int64_t begin, int64_t count) {
    with_float(params[t].dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      const AdamFactors<T> factors = {static_cast<T>(scale),
                                      static_cast<T>(p.decoupled ? 0 : p.weight_decay),
                                      static_cast<T>(p.decoupled ? 1 - rate * p.weight_decay : 1),
                                      static_cast<T>(p.beta1),
                                      static_cast<T>(1 - p.beta1),
                                      static_cast<T>(p.beta2),
                                      static_cast<T>(1 - p.beta2),
                                      static_cast<T>(step_size),
                                      static_cast<T>(1 / correction2),
                                      static_cast<T>(p.eps)};
      adam_block(params[t].as<T>() + begin, grads[t].as<const T>() + begin,
                 first[t].as<T>() + begin, second[t].as<T>() + begin, count, factors);
    });
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
