// The one kernel of all elementwise rows: out[i] = f(i, a[i], b[i], c[i]) over views of one shape.
// Contiguous, unaligned and strided views differ in how they are read and written only, so that
// alignment changes no bits. An output may be exactly one of the inputs: a thread reads before it
// writes. Cheap words share a kernel and are chosen in it, for reading and writing is most of its
// code.
#pragma once

#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/kernels.h"

namespace tinytorch::TT_KERNEL_NS {

struct None {};  // an input that the functor does not have

// Base of functors. Each has Out operator()(int64_t at, A, B, C), where `at` is the row-major
// position, or chooses a functor that has. A thread takes `runs` runs of adjacent elements. Members
// leave no gaps between them: the CPU twin looks for addresses in all words of an argument.
template <int runs, class Out_, class A_ = None, class B_ = None, class C_ = None>
struct Elements {
  using Out = Out_;
  using A = A_;
  using B = B_;
  using C = C_;
  static constexpr int kViews = 1 + !kSame<A, None> + !kSame<B, None> + !kSame<C, None>;
  static constexpr int kWidest = [] {
    const int sizes[] = {sizeof(Out), sizeof(A), sizeof(B), sizeof(C)};
    int widest = 1;
    for (int s : sizes) widest = s > widest ? s : widest;
    return widest;
  }();
  static constexpr int kRun = kWidest == 1 ? 8 : 16 / kWidest;  // at most 16 bytes of any view
  static constexpr int kRuns = kWidest <= 2 ? 1 : runs;
  static constexpr bool kChooses = false;  // true: choose(g) calls g with the functor to use
};
inline constexpr int kMaxViews = 4;

// How a computing dtype is read from memory.
template <class T>
using Stored = std::conditional_t<kSame<T, bool>, uint8_t, T>;

// ---- positions

// Division of numbers below 2^31 by a constant of the launch (Granlund and Montgomery, "Division
// by invariant integers using multiplication", PLDI 1994).
struct Divisor {
  uint32_t value, multiplier, shift;
  TT_HD uint32_t divide(uint32_t x) const {
    const uint32_t high = static_cast<uint32_t>(static_cast<uint64_t>(x) * multiplier >> 32);
    return (high + x) >> shift;
  }
};
// How a part of the views is walked. With `runs`, rows of the innermost dim are cut into runs of
// kRun elements that lie in one aligned piece of memory, or repeat one element (stride 0).
struct Layout {
  uint32_t count;
  uint16_t rank;  // at least 1
  uint16_t runs;  // a flag
  Divisor sizes[kMaxRank];
  int64_t strides[kMaxViews][kMaxRank];
};

__device__ inline void offsets_in(const Layout& s, uint32_t at, int64_t (&offsets)[kMaxViews]) {
  for (int v = 0; v < kMaxViews; ++v) offsets[v] = 0;
  for (int d = s.rank - 1; d > 0; --d) {
    const uint32_t rest = s.sizes[d].divide(at), digit = at - rest * s.sizes[d].value;
    for (int v = 0; v < kMaxViews; ++v) offsets[v] += static_cast<int64_t>(digit) * s.strides[v][d];
    at = rest;
  }
  for (int v = 0; v < kMaxViews; ++v) offsets[v] += static_cast<int64_t>(at) * s.strides[v][0];
}

// ---- access to runs

template <class T, int run>
struct alignas(run * sizeof(T)) Run {
  T at[run];
};
template <int bytes>
struct RunBits;
template <>
struct RunBits<2> {
  using Type = uint16_t;
};
template <>
struct RunBits<4> {
  using Type = uint32_t;
};
template <>
struct RunBits<8> {
  using Type = uint64_t;
};

template <int run, class T>
__device__ inline void load_run(T* to, const T* from, bool repeat) {
  if (repeat) {
    const T x = *from;
    for (int k = 0; k < run; ++k) to[k] = x;
  } else if constexpr (run * sizeof(T) == 16) {
    const Pack<T> pack = load_pack(from);
    for (int k = 0; k < run; ++k) to[k] = pack.at[k];
  } else {
    using Bits = typename RunBits<run * sizeof(T)>::Type;
    const auto all = bits_as<Run<T, run>>(*reinterpret_cast<const Bits*>(from));
    for (int k = 0; k < run; ++k) to[k] = all.at[k];
  }
}
template <int run, class T>
__device__ inline void store_run(T* to, const T* from) {
  if constexpr (run * sizeof(T) == 16) {
    Pack<T> pack;
    for (int k = 0; k < run; ++k) pack.at[k] = from[k];
    store_pack(to, pack);
  } else {
    using Bits = typename RunBits<run * sizeof(T)>::Type;
    Run<T, run> all;
    for (int k = 0; k < run; ++k) all.at[k] = from[k];
    *reinterpret_cast<Bits*>(to) = bits_as<Bits>(all);
  }
}

// ---- the kernel

template <class F>
struct Operands {
  int64_t first;  // row-major position of element 0
  typename F::Out* out;
  const typename F::A* a;
  const typename F::B* b;
  const typename F::C* c;
};

// The inputs of a thread's elements. Those behind the end are 1: nothing to report.
template <class T, int slots>
struct Inputs {
  T at[slots];
  template <int run>
  __device__ void load(int slot, const T* from, const Layout& s, int view, int64_t offset) {
    load_run<run>(at + slot, from + offset, s.strides[view][s.rank - 1] == 0);
  }
  __device__ void load_one(int slot, const T* from, int64_t offset) { at[slot] = from[offset]; }
  __device__ void set_one(int slot) { at[slot] = T(1); }
  __device__ T operator[](int slot) const { return at[slot]; }
};
template <int slots>
struct Inputs<None, slots> {
  template <int run>
  __device__ void load(int, const None*, const Layout&, int, int64_t) {}
  __device__ void load_one(int, const None*, int64_t) {}
  __device__ void set_one(int) {}
  __device__ None operator[](int) const { return {}; }
};

// Element k of a thread's run that begins at `at`: adjacent, or a block's width apart.
__device__ inline uint32_t position_in(const Layout& s, uint32_t at, int k) {
  return at + static_cast<uint32_t>(k) * (s.runs ? 1 : blockDim.x);
}

template <class F>
__global__ void __launch_bounds__(kBlock)
    elementwise_kernel(const Layout s, const Operands<F> p, const F f) {
  constexpr int kRun = F::kRun, kSlots = kRun * F::kRuns;
  const uint32_t first = blockIdx.x * blockDim.x * kSlots + threadIdx.x * (s.runs ? kRun : 1);
  const auto start = [&](int i) { return first + static_cast<uint32_t>(i) * blockDim.x; };
  Inputs<typename F::A, kSlots> a;
  Inputs<typename F::B, kSlots> b;
  Inputs<typename F::C, kSlots> c;
  int64_t to[kSlots] = {}, offsets[kMaxViews];
  TT_UNROLL
  for (int i = 0; i < kSlots; i += kRun) {
    if (s.runs && start(i) + kRun <= s.count) {
      offsets_in(s, start(i), offsets);
      to[i] = offsets[0];
      a.template load<kRun>(i, p.a, s, 1, offsets[1]);
      b.template load<kRun>(i, p.b, s, 2, offsets[2]);
      c.template load<kRun>(i, p.c, s, 3, offsets[3]);
      continue;
    }
    TT_UNROLL
    for (int k = i; k < i + kRun; ++k) {
      const uint32_t at = position_in(s, start(i), k - i);
      if (at >= s.count) {
        a.set_one(k), b.set_one(k), c.set_one(k);
        continue;
      }
      offsets_in(s, at, offsets);
      to[k] = offsets[0];
      a.load_one(k, p.a, offsets[1]);
      b.load_one(k, p.b, offsets[2]);
      c.load_one(k, p.c, offsets[3]);
    }
  }

  typename F::Out r[kSlots] = {};
  const auto apply = [&](const auto& word) {
    TT_UNROLL
    for (int i = 0; i < kSlots; ++i) {
      const uint32_t at = position_in(s, start(i / kRun * kRun), i % kRun);
      r[i] = word(p.first + at, a[i], b[i], c[i]);
    }
  };
  if constexpr (F::kChooses) {
    f.choose(apply);
  } else {
    apply(f);
  }

  TT_UNROLL
  for (int i = 0; i < kSlots; i += kRun) {
    if (s.runs && start(i) + kRun <= s.count) {
      store_run<kRun>(p.out + to[i], r + i);
      continue;
    }
    TT_UNROLL
    for (int k = i; k < i + kRun; ++k) {
      if (position_in(s, start(i), k - i) < s.count) p.out[to[k]] = r[k];
    }
  }
}

// ---- launching it

// What the host needs to know of a functor.
struct Form {
  int views, run, slots;  // slots: elements of a thread
  int sizes[kMaxViews];   // bytes of an element of each view
};
// A range of the row-major positions, small enough for a launch.
struct Part {
  Layout layout;
  int64_t first;                // its first position
  const void* data[kMaxViews];  // of its first element
  uint32_t blocks, threads;
};
using LaunchPart = void (*)(KernelContext& context, const void* f, const Part& part);
void launch_parts(KernelContext& context, const Form& form, const View* const* views,
                  LaunchPart launch_part, const void* f);

// views: the output, then as many inputs as F has.
template <class F, class... V>
void run_elementwise(KernelContext& context, const F& f, const V&... views) {
  static_assert(sizeof...(V) == F::kViews);
  static constexpr Form kForm = {F::kViews,
                                 F::kRun,
                                 F::kRun * F::kRuns,
                                 {sizeof(typename F::Out), sizeof(typename F::A),
                                  sizeof(typename F::B), sizeof(typename F::C)}};
  const View* const all[] = {&views...};
  const LaunchPart launch_part = [](KernelContext& c, const void* functor, const Part& part) {
    const Operands<F> operands = {part.first,
                                  static_cast<typename F::Out*>(const_cast<void*>(part.data[0])),
                                  static_cast<const typename F::A*>(part.data[1]),
                                  static_cast<const typename F::B*>(part.data[2]),
                                  static_cast<const typename F::C*>(part.data[3])};
    launch(elementwise_kernel<F>, {part.blocks}, {part.threads}, 0, c, part.layout, operands,
           *static_cast<const F*>(functor));
  };
  launch_parts(context, kForm, all, launch_part, &f);
}

}  // namespace tinytorch::TT_KERNEL_NS
