// The rows sgd_step and adam_step: one launch for all tensors of a group (71 a launch, if there are
// more), which come as an argument by value. Numbers that change between steps are read from
// `hyper` in device memory. They are computed in double and then rounded to the parameters' dtype.
// The counter of steps is written by a launch of its own where other blocks read it, and by the
// only block where the whole group fits one.
#include <cmath>
#include <initializer_list>

#include "kernels/cuda/kernels.h"
#include "kernels/cuda/device/device.cuh"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int kMostTensors = 71;     // of a launch: its arguments are at most 4 KB
constexpr int kStates = 4;           // parameter, gradient and up to two vectors of state
constexpr int64_t kAlone = 1024;     // elements of a group that one block works on
constexpr int64_t kLarge = 1 << 20;  // elements of a group whose blocks get larger chunks

// Tensors of one dtype, cut into chunks of kBlock packs, or a few times that.
struct TensorGroup {
  void* at[kStates][kMostTensors];
  int64_t numel[kMostTensors];
  uint32_t first_chunk[kMostTensors + 1];
  int count, packs;  // packs of a chunk, per thread
};

// f(tensor, begin, end) for the chunks of this block.
template <class T, class F>
__device__ void for_chunks(const TensorGroup& group, F f) {
  const int64_t elements = static_cast<int64_t>(group.packs) * kBlock * kPack<T>;
  for (uint32_t c = blockIdx.x; c < group.first_chunk[group.count]; c += gridDim.x) {
    int low = 0, high = group.count;  // the last tensor whose first chunk is not behind c
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (group.first_chunk[middle] <= c ? low : high) = middle;
    }
    const int64_t begin = (c - group.first_chunk[low]) * elements;
    const int64_t numel = group.numel[low];
    f(low, begin, numel - begin < elements ? numel : begin + elements);
  }
}

// Elements [begin, end) of N tensors, where the last of them are written if `kWrites` says so:
// update(values of one element). In packs where all of them are aligned.
template <int N, unsigned kWrites, class T, class F>
__device__ void update_elements(T* const (&data)[N], int64_t begin, int64_t end, F update) {
  uintptr_t address = 0;
  for (int a = 0; a < N; ++a) address |= reinterpret_cast<uintptr_t>(data[a]);
  const bool aligned = address % 16 == 0;
  const int64_t step = static_cast<int64_t>(blockDim.x) * kPack<T>;
  for (int64_t i = begin + threadIdx.x * kPack<T>; i < end; i += step) {
    Pack<T> packs[N];
    const bool whole = aligned && i + kPack<T> <= end;
#pragma unroll
    for (int a = 0; a < N; ++a) {
      if (whole) {
        packs[a] = load_pack(data[a] + i);
      } else {
#pragma unroll
        for (int e = 0; e < kPack<T>; ++e) packs[a].at[e] = i + e < end ? data[a][i + e] : T(0);
      }
    }
#pragma unroll
    for (int e = 0; e < kPack<T>; ++e) {
      T v[N];
      for (int a = 0; a < N; ++a) v[a] = packs[a].at[e];
      update(v);
      for (int a = 0; a < N; ++a) packs[a].at[e] = v[a];
    }
#pragma unroll
    for (int a = 0; a < N; ++a) {
      if ((kWrites >> a & 1u) == 0) continue;
      if (whole) {
        store_pack(data[a] + i, packs[a]);
      } else {
#pragma unroll
        for (int e = 0; e < kPack<T>; ++e) {
          if (i + e < end) data[a][i + e] = packs[a].at[e];
        }
      }
    }
  }
}

__global__ void step_count_kernel(double* hyper) {
  if (threadIdx.x == 0) hyper[kHyperStep] += 1;
}

// ---- SGD

// `counts`: this launch leaves the number of steps increased, which it may if it has one block or
// nobody reads it.
template <class T, bool kMomentum>
__global__ void __launch_bounds__(kBlock)
    sgd_step_kernel(TensorGroup group, double* hyper, SgdParams p, bool counts) {
  const double sign = p.maximize ? -1 : 1;
  const T rate = static_cast<T>(hyper[kHyperLearningRate]),
          scale = static_cast<T>(sign * hyper[kHyperGradScale]),
          decay = static_cast<T>(p.weight_decay), momentum = static_cast<T>(p.momentum);
  const bool is_first = kMomentum && hyper[kHyperStep] == 0;
  if (counts) {
    __syncthreads();  // all have read it
    if (blockIdx.x == 0 && threadIdx.x == 0) hyper[kHyperStep] += 1;
  }
  const T new_part = is_first ? T(1) : static_cast<T>(1 - p.dampening);
  for_chunks<T>(group, [&](int t, int64_t begin, int64_t end) {
    T *const x = static_cast<T*>(group.at[0][t]), *const g = static_cast<T*>(group.at[1][t]);
    if constexpr (kMomentum) {
      T* const data[3] = {x, g, static_cast<T*>(group.at[2][t])};
      update_elements<3, 0b101>(data, begin, end, [&](T(&v)[3]) {
        const T gradient = v[1] * scale + decay * v[0];
        const T old = is_first ? T(0) : momentum * v[2];  // before the first step: anything
        v[2] = old + new_part * gradient;
        v[0] -= rate * (p.nesterov ? gradient + momentum * v[2] : v[2]);
      });
    } else {
      T* const data[2] = {x, g};
      update_elements<2, 0b01>(data, begin, end,
                               [&](T(&v)[2]) { v[0] -= rate * (v[1] * scale + decay * v[0]); });
    }
  });
}

// ---- Adam

// What is the same for all elements.
struct AdamFactors {
  double step, gradient_scale, keep, step_size, inverse_correction2;
};

__device__ AdamFactors adam_factors(const double* hyper, const AdamParams& p) {
  const double step = hyper[kHyperStep] + 1, rate = hyper[kHyperLearningRate];
  const double scale = hyper[kHyperGradScale];
  return {step, p.maximize ? -scale : scale, p.decoupled ? 1 - rate * p.weight_decay : 1,
          rate / (1 - pow(p.beta1, step)), 1 / sqrt_of(1 - pow(p.beta2, step))};
}

__global__ void adam_factors_kernel(double* hyper, AdamFactors* factors, AdamParams p) {
  if (threadIdx.x != 0) return;
  *factors = adam_factors(hyper, p);
  hyper[kHyperStep] = factors->step;
}

template <class T>
__device__ void adam_group(const TensorGroup& group, const AdamFactors& f, const AdamParams& p) {
  const T scale = static_cast<T>(f.gradient_scale),
          decay = static_cast<T>(p.decoupled ? 0 : p.weight_decay), keep = static_cast<T>(f.keep),
          beta1 = static_cast<T>(p.beta1), new1 = static_cast<T>(1 - p.beta1),
          beta2 = static_cast<T>(p.beta2), new2 = static_cast<T>(1 - p.beta2),
          step_size = static_cast<T>(f.step_size),
          correction2 = static_cast<T>(f.inverse_correction2), eps = static_cast<T>(p.eps);
  for_chunks<T>(group, [&](int t, int64_t begin, int64_t end) {
    T* const data[4] = {static_cast<T*>(group.at[0][t]), static_cast<T*>(group.at[1][t]),
                        static_cast<T*>(group.at[2][t]), static_cast<T*>(group.at[3][t])};
    update_elements<4, 0b1101>(data, begin, end, [&](T(&v)[4]) {
      const T x = v[0] * keep;
      const T gradient = v[1] * scale + decay * v[0];
      v[2] = beta1 * v[2] + new1 * gradient;
      v[3] = beta2 * v[3] + new2 * (gradient * gradient);
      v[0] = x - step_size * (v[2] / (sqrt_of(v[3]) * correction2 + eps));
    });
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    adam_step_kernel(TensorGroup group, const AdamFactors* factors, AdamParams p) {
  adam_group<T>(group, *factors, p);
}

// For one block.
template <class T>
__global__ void __launch_bounds__(kBlock)
    adam_step_alone_kernel(TensorGroup group, double* hyper, AdamParams p) {
  const AdamFactors factors = adam_factors(hyper, p);
  __syncthreads();  // all have read the number of steps
  if (threadIdx.x == 0) hyper[kHyperStep] = factors.step;
  adam_group<T>(group, factors, p);
}

// ---- groups

int64_t numel_of(const ViewList& list) {
  int64_t n = 0;
  for (int t = 0; t < list.count; ++t) n += list[t].numel;
  return n;
}

// Do all tensors fit one launch of one block?
bool fits_alone(const ViewList& params) {
  if (params.count > kMostTensors || numel_of(params) > kAlone) return false;
  for (int t = 0; t < params.count; ++t) {
    if (params[t].dtype != params[0].dtype) return false;
  }
  return params.count > 0;
}

// f(group, blocks) for groups of the tensors of type T that are not empty. lists[0] holds the
// parameters.
template <class T, class F>
void for_groups(std::initializer_list<const ViewList*> lists, F f) {
  const ViewList& params = **lists.begin();
  TensorGroup group{};
  group.packs = numel_of(params) < kLarge ? 1 : 4;
  const int64_t elements = static_cast<int64_t>(group.packs) * kBlock * kPack<T>;
  const auto flush = [&] {
    if (group.count > 0) f(group, group.first_chunk[group.count]);
    group.count = 0;
  };
  for (int t = 0; t < params.count; ++t) {
    const View& x = params[t];
    if (x.numel == 0 || size_of(x.dtype) != sizeof(T)) continue;
    const int c = group.count;
    int state = 0;
    for (const ViewList* list : lists) group.at[state++][c] = (*list)[t].data;
    group.numel[c] = x.numel;
    group.first_chunk[c + 1] = group.first_chunk[c] + blocks_for(x.numel, elements);
    if (++group.count == kMostTensors) flush();
  }
  flush();
}

}  // namespace

void sgd_step(KernelContext& context, const ViewList& params, const ViewList& grads,
              const ViewList& momenta, const View& hyper, const SgdParams& p) {
  const bool alone = fits_alone(params), momentum = momenta.count > 0;
  double* const h = hyper.as<double>();
  bool counts = alone || !momentum;  // the first launch counts the step
  bool counted = false;
  const auto run = [&](auto tag, auto kernel, std::initializer_list<const ViewList*> lists) {
    using T = typename decltype(tag)::Type;
    for_groups<T>(lists, [&](const TensorGroup& group, uint32_t blocks) {
      launch(kernel, {alone ? 1 : blocks}, {alone ? threads_for(numel_of(params)) : kBlock}, 0,
             context, group, h, p, counts);
      counted = counted || counts;
      counts = false;
    });
  };
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    with_float(dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      momentum ? run(tag, sgd_step_kernel<T, true>, {&params, &grads, &momenta})
               : run(tag, sgd_step_kernel<T, false>, {&params, &grads});
    });
  }
  if (!counted) launch(step_count_kernel, {1}, {kWarp}, 0, context, h);
}

void adam_step(KernelContext& context, const ViewList& params, const ViewList& grads,
               const ViewList& first, const ViewList& second, const View& hyper,
               const AdamParams& p) {
  double* const h = hyper.as<double>();
  if (fits_alone(params) && numel_of(params) > 0) {
    with_float(params[0].dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      for_groups<T>({&params, &grads, &first, &second}, [&](const TensorGroup& group, uint32_t) {
        launch(adam_step_alone_kernel<T>, {1}, {threads_for(numel_of(params))}, 0, context, group,
               h, p);
      });
    });
    return;
  }
  const Workspace memory(context, sizeof(AdamFactors));
  AdamFactors* const factors = memory.as<AdamFactors>();
  launch(adam_factors_kernel, {1}, {kWarp}, 0, context, h, factors, p);
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    with_float(dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      for_groups<T>(
          {&params, &grads, &first, &second}, [&](const TensorGroup& group, uint32_t blocks) {
            launch(adam_step_kernel<T>, {blocks}, {kBlock}, 0, context, group, factors, p);
          });
    });
  }
}

}  // namespace tinytorch::TT_KERNEL_NS
