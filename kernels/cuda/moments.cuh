// Mean and variance in one pass: sums of d = x - shift and of d^2, where shift is one of the
// elements. The variance times n is at least (mean - shift)^2, so at most log2 n bits of the sums
// cancel, and they have 29 (f32) or 53 (f64) to spare.
#pragma once

#include "kernels/cuda/device/reduction.cuh"

namespace tinytorch::TT_KERNEL_NS {

// Of n numbers; squares: the sum of squared distances from the mean.
struct Spread {
  double mean, squares;
};

// Plain data; of nothing: Moments<T>{}.
template <class T>
struct Moments {
  Sum<T> sum, squares;

  TT_HD void add(T x, T shift) {
    if constexpr (kSame<T, float>) {
      const double d = static_cast<double>(x) - static_cast<double>(shift);
      sum.add(d);
      squares.add_product(d, d);
    } else {
      const Pair<double> d = sum_exact(x, -shift), p = product_exact(d.high, d.high);
      sum.add(d.high, d.low);
      squares.add(p.high, p.low + 2 * d.high * d.low);
    }
  }
  TT_HD static void join(Moments& a, const Moments& b) {
    a.sum.join(b.sum);
    a.squares.join(b.squares);
  }
  TT_HD Spread of(T shift, double n) const {
    double rest = 0;
    if constexpr (kSame<T, float>) {
      rest = squares.value() - sum.value() / n * sum.value();
    } else {
      const Pair<double> p = product_exact(sum.high, sum.high);
      const double low = p.low + 2 * sum.high * sum.low, quotient = p.high / n;
      const double more = (fma_exact(-quotient, n, p.high) + low) / n;
      rest = (squares.high - quotient) + (squares.low - more);
    }
    return {static_cast<double>(shift) + sum.value() / n, rest < 0 ? 0 : rest};
  }
};

// An infinite shift would spoil the mean.
template <class T>
TT_HD T shift_of(T x) {
  return x - x == T(0) ? x : T(0);
}

// y = (x - centre) scale + offset. What rounding took from the mean is put into the offset.
template <class T>
struct Affine {
  T centre, scale, offset;
};
template <class T>
TT_HD Affine<T> affine_of(const Spread& spread, double inverse, double weight, double bias) {
  const T centre = static_cast<T>(spread.mean);
  const double scale = inverse * weight;
  return {centre, static_cast<T>(scale),
          static_cast<T>(bias + (static_cast<double>(centre) - spread.mean) * scale)};
}

// Either variances, or what the normalisations make of mean and variance.
template <class T>
struct MomentsOp {
  using Element = T;
  using Part = Moments<T>;
  using Local = T;  // the shift
  static constexpr int kInputs = 1;
  const T* in[1];
  double count;
  T* variance;  // null: the others are wanted
  double scale;
  T *mean, *inverse_std;
  Affine<T>* affine;
  const T *weight, *bias;  // may be null
  double eps;

  __device__ Local local(const Place& at) const { return count > 0 ? shift_of(in[0][at.in]) : 0; }
  __device__ static Part start() { return {}; }
  template <int kN>
  __device__ void add(Part& p, const Local& shift, const Values<T, 1, kN>& v, int64_t) const {
    for (int i = 0; i < kN; ++i) p.add(v.at[0][i], shift);
  }
  __device__ static void join(Part& a, const Part& b) { Part::join(a, b); }
  __device__ void finish(const Place& at, const Local& shift, const Part& p) const {
    const Spread spread = p.of(shift, count);
    if (variance) {
      variance[at.out] = static_cast<T>(spread.squares * scale);
      return;
    }
    const double inverse = 1 / sqrt_of(spread.squares / count + eps);
    mean[at.out] = static_cast<T>(spread.mean);
    inverse_std[at.out] = static_cast<T>(inverse);
    affine[at.out] =
        affine_of<T>(spread, inverse, weight ? static_cast<double>(weight[at.out]) : 1.0,
                     bias ? static_cast<double>(bias[at.out]) : 0.0);
  }
};

// variance.cu, so that its kernels are compiled once.
void reduce_moments(KernelContext&, const MomentsOp<float>&, const ReducePlan&);
void reduce_moments(KernelContext&, const MomentsOp<double>&, const ReducePlan&);

}  // namespace tinytorch::TT_KERNEL_NS
