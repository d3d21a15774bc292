// What `reduce` does to numbers, apart from where they stand: sums, maxima and minima of vectors,
// of columns and of partial results. A float sum adds at most nine terms in float and goes on in
// double; a double sum goes on in two doubles (Knuth's TwoSum, The Art of Computer Programming,
// vol. 2, 4.2.2). So the error is below 16 half-ulps of sum |x| whatever the count is.
#pragma once

#include <limits>

#include "kernels/cpu/vec.h"

namespace tinytorch::TT_KERNEL_NS {

// s + e == a + b exactly, if all is finite.
template <class V>
TT_INLINE void two_sum(V& s, V& e, const V& b) {
  const V a = s;
  s = a + b;
  const V t = s - a;
  e += (a - (s - t)) + (b - t);
}
TT_INLINE double settled(double s, double e) {
  const bool finite = s - s == 0;  // beyond that e is NaN, but s is right
  return finite ? s + e : s;
}

// Each policy has: Part, the number type of partial results, of which a result has kParts; Acc, a
// vector of running results; absorb, which puts a vector of elements into columns of parts; merge
// and finish for one result. Parts of one result are `stride` apart.
template <class T>
struct SumOf {  // integers, passed as their unsigned type: they wrap
  using Element = T;
  using Part = T;
  static constexpr int kParts = 1;
  static constexpr bool kScaled = false;
  struct Acc {
    Vec<T> sum{};
    TT_INLINE void add(const Vec<T>& v) { sum += v; }
    TT_INLINE void collapse(Part* part) const {
      part[0] = across<T>(sum, [](T a, T b) { return static_cast<T>(a + b); });
    }
  };
  TT_INLINE static Vec<T> identity() { return Vec<T>{}; }
  TT_INLINE static Vec<T> combine(const Vec<T>& a, const Vec<T>& b) { return a + b; }
  TT_INLINE static Element combine_one(Element a, Element b) { return static_cast<Element>(a + b); }
  TT_INLINE static Part initial() { return 0; }
  TT_INLINE static void absorb(Part* p, int64_t, const Vec<T>& v) {
    store(p, static_cast<Vec<T>>(load(p) + v));
  }
  TT_INLINE static void merge(Part* p, const Part* q, int64_t) {
    p[0] = static_cast<T>(p[0] + q[0]);
  }
  TT_INLINE static T finish(const Part* p, int64_t, double) { return p[0]; }
};

template <>
struct SumOf<float> {
  using Element = float;
  using Part = double;
  static constexpr int kParts = 1;
  static constexpr bool kScaled = true;
  struct Acc {
    Vec<double> low{}, high{};
    TT_INLINE void add(const Vec<float>& v) {
      Vec<double> a, b;
      widen<double, float>(v, a, b);
      low += a;
      high += b;
    }
    TT_INLINE void collapse(Part* part) const {
      part[0] = across<double>(low + high, [](double a, double b) { return a + b; });
    }
  };
  TT_INLINE static Vec<float> identity() { return Vec<float>{}; }
  TT_INLINE static Vec<float> combine(const Vec<float>& a, const Vec<float>& b) { return a + b; }
  TT_INLINE static Element combine_one(Element a, Element b) { return static_cast<Element>(a + b); }
  TT_INLINE static Part initial() { return 0; }
  TT_INLINE static void absorb(Part* p, int64_t, const Vec<float>& v) {
    Vec<double> a, b;
    widen<double, float>(v, a, b);
    store(p, static_cast<Vec<double>>(load(p) + a));
    store(p + kLanes<double>, static_cast<Vec<double>>(load(p + kLanes<double>) + b));
  }
  TT_INLINE static void merge(Part* p, const Part* q, int64_t) { p[0] += q[0]; }
  TT_INLINE static float finish(const Part* p, int64_t, double scale) {
    return static_cast<float>(p[0] * scale);
  }
  TT_INLINE static double finish_double(const Part* p, int64_t) { return p[0]; }
};

template <>
struct SumOf<double> {
  using Element = double;
  using Part = double;
  static constexpr int kParts = 2;
  static constexpr bool kScaled = true;
  struct Acc {
    Vec<double> sum{}, error{};
    TT_INLINE void add(const Vec<double>& v) { two_sum(sum, error, v); }
    TT_INLINE void collapse(Part* part) const {
      double s = 0, e = 0;
      for (int i = 0; i < kLanes<double>; ++i) {
        two_sum(s, e, static_cast<double>(sum[i]));
        e += error[i];
      }
      part[0] = s;
      part[1] = e;
    }
  };
  TT_INLINE static Vec<double> identity() { return Vec<double>{}; }
  TT_INLINE static Vec<double> combine(const Vec<double>& a, const Vec<double>& b) { return a + b; }
  TT_INLINE static Element combine_one(Element a, Element b) { return static_cast<Element>(a + b); }
  TT_INLINE static Part initial() { return 0; }
  TT_INLINE static void absorb(Part* p, int64_t stride, const Vec<double>& v) {
    Vec<double> s = load(p), e = load(p + stride);
    two_sum(s, e, v);
    store(p, s);
    store(p + stride, e);
  }
  TT_INLINE static void merge(Part* p, const Part* q, int64_t stride) {
    two_sum(p[0], p[stride], q[0]);
    p[stride] += q[stride];
  }
  TT_INLINE static double finish(const Part* p, int64_t stride, double scale) {
    return finish_double(p, stride) * scale;
  }
  TT_INLINE static double finish_double(const Part* p, int64_t stride) {
    return settled(p[0], p[stride]);
  }
};

// kMax: the maximum, else the minimum. NaN wins.
template <class T, bool kMax>
struct ExtremeOf {
  using Element = T;
  using Part = T;
  static constexpr int kParts = 1;
  static constexpr bool kScaled = false;
  static constexpr bool kFloat = T(0.5) != T(0);
  struct Acc {
    Vec<T> best = identity();
    TT_INLINE void add(const Vec<T>& v) { best = combine(best, v); }
    TT_INLINE void collapse(Part* part) const {
      part[0] = across<T>(best, [](T a, T b) { return pick(a, b); });
    }
  };
  TT_INLINE static T combine_one(T a, T b) { return pick(a, b); }
  TT_INLINE static T pick(T a, T b) { return (kMax ? a > b : a < b) || a != a ? a : b; }
  TT_INLINE static Part initial() {
    if constexpr (kFloat) return kMax ? -__builtin_inf() : __builtin_inf();
    return kMax ? kLowest : kHighest;
  }
  TT_INLINE static Vec<T> identity() { return splat<T>(initial()); }
  TT_INLINE static Vec<T> combine(const Vec<T>& a, const Vec<T>& b) {
    if constexpr (kFloat) return (kMax ? a > b : a < b) | (a != a) ? a : b;
    return (kMax ? a > b : a < b) ? a : b;
  }
  TT_INLINE static void absorb(Part* p, int64_t, const Vec<T>& v) { store(p, combine(load(p), v)); }
  TT_INLINE static void merge(Part* p, const Part* q, int64_t) { p[0] = pick(p[0], q[0]); }
  TT_INLINE static T finish(const Part* p, int64_t, double) { return p[0]; }

 private:
  static constexpr T kLowest = std::numeric_limits<T>::lowest(),
                     kHighest = std::numeric_limits<T>::max();
};

// Puts n elements into acc; the order depends on n alone. at(i) is the vector of elements i, i + 1,
// ...; part(i, count) has Op's identity beyond `count` elements.
template <class Op, class At, class Part>
TT_INLINE void accumulate_from(typename Op::Acc& acc, int64_t n, At at, Part part) {
  using T = typename Op::Element;
  constexpr int kW = kLanes<T>, kChain = 8;
  int64_t i = 0;
  for (; n - i >= 4 * kChain * kW; i += 4 * kChain * kW) {
    Vec<T> a = at(i), b = at(i + kW), c = at(i + 2 * kW), d = at(i + 3 * kW);
    for (int k = 4; k < 4 * kChain; k += 4) {
      a = Op::combine(a, at(i + k * kW));
      b = Op::combine(b, at(i + (k + 1) * kW));
      c = Op::combine(c, at(i + (k + 2) * kW));
      d = Op::combine(d, at(i + (k + 3) * kW));
    }
    acc.add(Op::combine(Op::combine(a, b), Op::combine(c, d)));
  }
  while (n - i >= kW) {
    const int64_t end = i + smaller<int64_t>((n - i) / kW, kChain) * kW;
    Vec<T> a = at(i);
    for (i += kW; i < end; i += kW) a = Op::combine(a, at(i));
    acc.add(a);
  }
  if (i < n) acc.add(part(i, n - i));
}

template <class Op, class T>
TT_INLINE void accumulate(typename Op::Acc& acc, const T* p, int64_t n) {
  accumulate_from<Op>(
      acc, n, [p](int64_t i) { return load(p + i); },
      [p](int64_t i, int64_t count) { return load_part(p + i, count, Op::identity()); });
}

// The sum, as a double.
template <class T>
TT_INLINE double total(const typename SumOf<T>::Acc& acc) {
  double part[2] = {0, 0};
  acc.collapse(part);
  return sizeof(T) == 8 ? settled(part[0], part[1]) : part[0];
}

}  // namespace tinytorch::TT_KERNEL_NS
