// The sum of exponentials of a line in one pass, relative to the largest element seen so far, for
// softmax of long lines and cross entropy (Milakov and Gimelshein, "Online normalizer calculation
// for softmax", 2018). Also plain data for the passes that follow.
#pragma once

#include "kernels/cuda/device/reduction.cuh"

namespace tinytorch::TT_KERNEL_NS {

// sum of e^(x - top). Of nothing, or of -infinity alone: top is -infinity and the sum 0.
template <class T>
struct ExpSum {
  Sum<T> sum;
  double top;

  __device__ static ExpSum nothing() { return {{}, -kInfinity<double>}; }
  // Brings the sum to another top, not below the own.
  __device__ void lift(double to) {
    if (top == to) return;
    const double factor = exp_of(top - to), scaled = sum.value() * factor;
    sum = {};
    sum.add(scaled);
    top = to;
  }
  __device__ void join(ExpSum b) {
    const double higher = MaxOf::of(top, b.top);
    lift(higher);
    b.lift(higher);
    sum.join(b.sum);
  }
  // NaN for a line of -infinity, as (-infinity) - (-infinity) is.
  __device__ double total() const { return top == -kInfinity<double> ? kNaN<double> : sum.value(); }
};

template <class T, int kN>
__device__ void add_all(ExpSum<T>& p, const T (&x)[kN]) {
  T most = x[0];
  for (int i = 1; i < kN; ++i) most = MaxOf::of(most, x[i]);
  const double wide = static_cast<double>(most);
  if (!(wide <= p.top)) p.lift(wide);
  if (p.top == -kInfinity<double>) return;
  const T near = static_cast<T>(p.top);
  T e[kN];
  for (int i = 0; i < kN; ++i) e[i] = exp_of(x[i] - near);
  add_all(p.sum, e);
}

}  // namespace tinytorch::TT_KERNEL_NS
