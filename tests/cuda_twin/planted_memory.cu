// Faults in indices and memory: tails, strides, overruns, alignment, shared memory that nobody set,
// launches beyond the limits of the device.
#include "kernels/cuda/device/device.cuh"
#include "tests/cuda_twin/planted.h"

namespace tinytorch::planted {

namespace {

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }
__device__ inline int place() { return static_cast<int>(cuda::thread_number()); }

// ---- global memory

template <bool kFault>
__global__ void tail_off_by_one_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = place();
  if (kFault ? i <= n : i < n) y[i] = i < n ? x[i] : 7.0f;
}

template <bool kFault>
__global__ void tail_unguarded_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = place();
  if (kFault || i < n) y[i] = x[i];
}

template <bool kFault>
__global__ void written_before_start_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = place();
  if (i < n) y[kFault ? i - 1 : i] = x[i];
  if (kFault && i == n - 1) y[i] = x[i];
}

template <bool kFault>
__global__ void tail_missing_kernel(const float* x, float* y, unsigned*, int n) {
  const int each = kFault ? n / 64 : (n + 63) / 64;
  for (int i = thread() * each; i < (thread() + 1) * each && i < n; ++i) y[i] = x[i];
}

template <bool kFault>
__global__ void stride_too_small_kernel(const float* x, float* y, unsigned*, int n) {
  const int stride = static_cast<int>(kFault ? blockDim.x : blockDim.x * gridDim.x);
  float s = 0;
  for (int i = place(); i < n; i += stride) s += x[i];
  y[place()] = s;
}
std::vector<float> sums_of_strides(const std::vector<float>& x) {
  std::vector<float> y(64);
  for (size_t i = 0; i < x.size(); ++i) y[i % 64] += x[i];
  return y;
}

template <bool kFault>
__global__ void stride_too_large_kernel(const float* x, float* y, unsigned*, int n) {
  const int stride = static_cast<int>(blockDim.x * gridDim.x) + (kFault ? 1 : 0);
  for (int i = place(); i < n; i += stride) y[i] = x[i];
}

// Whole packs, though the last one is cut.
template <bool kFault>
__global__ void cut_pack_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = 4 * place();
  if (kFault ? i < n : i + 4 <= n) {
    cuda::store_pack(y + i, cuda::load_pack(x + i));
  } else {
    for (int k = i; k < n; ++k) y[k] = x[k];
  }
}

template <bool kFault>
__global__ void misaligned_load_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = 4 * thread() + 1;
  if (i + 4 > n) return;
  cuda::Pack<float> v;
  if (kFault) {
    v = cuda::load_pack(x + i);
  } else {
    for (int k = 0; k < 4; ++k) v.at[k] = x[i + k];
  }
  for (int k = 0; k < 4; ++k) y[i + k] = v.at[k];
  if (thread() == 0) y[0] = x[0];
}

template <bool kFault>
__global__ void misaligned_store_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = 4 * thread() + (kFault ? 2 : 0);
  if (i + 4 <= n) cuda::store_pack(y + i, cuda::Pack<float>{{x[i], x[i + 1], x[i + 2], x[i + 3]}});
}

// ---- shared memory

template <bool kFault>
__global__ void shared_not_set_kernel(const float* x, float* y, unsigned*, int) {
  TT_SHARED(float, s, 64);
  if (!kFault) s[thread()] = 0;
  s[thread()] += x[thread()];
  y[thread()] = s[thread()];
}

template <bool kFault>
__global__ void shared_set_in_part_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  if (thread() < (kFault ? 32 : 64)) s[thread()] = x[thread()];
  __syncthreads();
  y[thread()] = s[n - 1 - thread()];
}

template <bool kFault>
__global__ void dynamic_shared_not_set_kernel(const float* x, float* y, unsigned*, int n) {
  TT_DYN_SHARED(float, s);
  for (int i = thread(); i < n; i += kFault ? 64 : 32) s[i] = x[i];
  __syncthreads();
  for (int i = thread(); i < n; i += 32) y[i] = s[n - 1 - i];
}

template <bool kFault>
__global__ void shared_overrun_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  float* const first = s + (kFault ? 1 : 0);
  first[thread()] = x[thread()];
  __syncthreads();
  y[thread()] = first[n - 1 - thread()];
}

template <bool kFault>
__global__ void shared_underrun_kernel(const float* x, float* y, unsigned*, int n) {
  TT_SHARED(float, s, 64);
  float* const first = s - (kFault ? 1 : 0);
  first[thread()] = x[thread()];
  __syncthreads();
  y[thread()] = first[n - 1 - thread()];
}

template <bool kFault>
__global__ void dynamic_shared_overrun_kernel(const float* x, float* y, unsigned*, int n) {
  TT_DYN_SHARED(float, s);
  s[thread()] = x[thread()];
  if (kFault && thread() == 0) s[n] = 1.0f;
  __syncthreads();
  y[thread()] = s[n - 1 - thread()];
}

// An array of floats is aligned to 4 bytes, one of packs to 16.
template <bool kFault>
__global__ void shared_alignment_kernel(const float* x, float* y, unsigned*, int) {
  TT_SHARED(float, floats, 128);
  TT_SHARED(uint4, packs, 32);
  float* const s = kFault ? floats : reinterpret_cast<float*>(packs);
  for (int k = 0; k < 4; ++k) s[4 * thread() + k] = x[4 * thread() + k];
  cuda::store_pack(y + 4 * thread(), cuda::load_pack(s + 4 * thread()));
}

template <bool kFault>
__global__ void shared_too_large_kernel(const float* x, float* y, unsigned*, int) {
  TT_SHARED(float, a, kFault ? 8192 : 64);
  TT_SHARED(double, b, kFault ? 2049 : 64);
  a[thread()] = x[thread()];
  b[thread()] = a[thread()];
  y[thread()] = static_cast<float>(b[thread()]);
}

template <bool kFault>
__global__ void stack_too_large_kernel(const float* x, float* y, unsigned*, int n) {
  constexpr int kSize = kFault ? 10000 : 100;
  float local[kSize];
  for (int i = 0; i < kSize; ++i) local[i] = x[(i + thread()) % n];
  float s = 0;
  for (int i = 0; i < kSize; ++i) s += local[(i * 7) % kSize];
  y[thread()] = s == -1.0f ? s : x[thread()];
}

__global__ void copy_kernel(const float* x, float* y, unsigned*, int n) {
  const int i = place();
  if (i < n) y[i] = x[i];
}

#define TT_BOTH(name) name##_kernel<true>, name##_kernel<false>

const std::vector<Plant>& in_global_memory() {
  constexpr Shape kTwoBlocks = {{2}, {32}}, kTwoWarps = {{1}, {64}};
  constexpr Caught kZone = Caught::red_zone, kWrong = Caught::wrong;
  static const std::vector<Plant> plants = {
      {"tail off by one", kZone, "", TT_BOTH(tail_off_by_one), kTwoBlocks, kTwoBlocks, 63, same,
       false, true},
      {"tail unguarded", kZone, "", TT_BOTH(tail_unguarded), kTwoBlocks, kTwoBlocks, 50, same,
       false, true},
      {"written before the start", kZone, "", TT_BOTH(written_before_start), kTwoBlocks, kTwoBlocks,
       64, same, false, true},
      {"tail missing", kWrong, "", TT_BOTH(tail_missing), kTwoWarps, kTwoWarps, 70, same},
      {"stride too small", kWrong, "", TT_BOTH(stride_too_small), kTwoBlocks, kTwoBlocks, 200,
       sums_of_strides},
      {"stride too large", kWrong, "", TT_BOTH(stride_too_large), kTwoBlocks, kTwoBlocks, 200,
       same},
      {"pack over the end",
       kZone,
       "",
       TT_BOTH(cut_pack),
       {{1}, {32}},
       {{1}, {32}},
       63,
       same,
       false,
       true},
      {"misaligned load",
       Caught::fault,
       "misaligned",
       TT_BOTH(misaligned_load),
       {{1}, {32}},
       {{1}, {32}},
       65,
       same},
      {"misaligned store",
       Caught::fault,
       "misaligned",
       TT_BOTH(misaligned_store),
       {{1}, {32}},
       {{1}, {32}},
       64,
       same},
  };
  return plants;
}

const std::vector<Plant>& in_shared_memory() {
  constexpr Shape kTwoWarps = {{1}, {64}}, kOneWarp = {{1}, {32}};
  constexpr Caught kFault = Caught::fault;
  constexpr size_t kBytes = 64 * sizeof(float), kLimit = size_t{227} << 10;
  static const std::vector<Plant> plants = {
      {"shared memory not set", Caught::poison, "", TT_BOTH(shared_not_set), kTwoWarps, kTwoWarps,
       64, same},
      {"shared memory set in part", Caught::poison, "", TT_BOTH(shared_set_in_part), kTwoWarps,
       kTwoWarps, 64, reversed},
      {"dynamic shared memory not set",
       Caught::poison,
       "",
       TT_BOTH(dynamic_shared_not_set),
       {{1}, {32}, kBytes},
       {{1}, {32}, kBytes},
       64,
       reversed},
      {"shared overrun", kFault, "outside of shared array 's'", TT_BOTH(shared_overrun), kTwoWarps,
       kTwoWarps, 64, reversed, false, true},
      {"shared underrun", kFault, "outside of shared array 's'", TT_BOTH(shared_underrun),
       kTwoWarps, kTwoWarps, 64, reversed},
      {"dynamic shared overrun",
       kFault,
       "outside of dynamic shared memory",
       TT_BOTH(dynamic_shared_overrun),
       {{1}, {64}, kBytes},
       {{1}, {64}, kBytes},
       64,
       reversed,
       false,
       true},
      {"alignment of shared memory", kFault, "misaligned", TT_BOTH(shared_alignment), kOneWarp,
       kOneWarp, 128, same},
      {"too much static shared memory", kFault, "the limit is 49152", TT_BOTH(shared_too_large),
       kTwoWarps, kTwoWarps, 64, same},
      {"too much dynamic shared memory",
       kFault,
       "the limit is 232448",
       copy_kernel,
       copy_kernel,
       {{1}, {64}, kLimit + 1},
       {{1}, {64}, kLimit},
       64,
       same},
      {"too many threads",
       kFault,
       "at most 1024 threads",
       copy_kernel,
       copy_kernel,
       {{1}, {1056}},
       {{1}, {1024}},
       900,
       same},
      {"too many blocks in y",
       kFault,
       "65535",
       copy_kernel,
       copy_kernel,
       {{1, 65536}, {1}},
       {{32, 1}, {32}},
       64,
       same},
      {"empty grid",
       kFault,
       "a size is 0",
       copy_kernel,
       copy_kernel,
       {{0}, {32}},
       {{2}, {32}},
       64,
       same},
      {"too much stack", kFault, "stack", TT_BOTH(stack_too_large), kTwoWarps, kTwoWarps, 64, same},
  };
  return plants;
}

}  // namespace

const std::vector<Plant>& memory() {
  static const std::vector<Plant> plants = [] {
    std::vector<Plant> all = in_global_memory();
    all.insert(all.end(), in_shared_memory().begin(), in_shared_memory().end());
    return all;
  }();
  return plants;
}

}  // namespace tinytorch::planted
