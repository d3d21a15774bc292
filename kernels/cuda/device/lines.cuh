// Elementwise passes whose function depends on the line an element lies on: a row, a channel, a
// line along a middle dim. A Map is plain data and has: Element, kInputs, in[kInputs], out; Row,
// what row(line, element) reads for the element or the pack that begins there; value(row, x,
// element, line), where x is one element of each input.
#pragma once

#include "kernels/cuda/divisor.cuh"

namespace tinytorch::TT_KERNEL_NS {

// line = element / below % lines * inner + element % inner
struct LineMap {
  Divisor below, lines, inner;
  int64_t numel;
  bool packed;  // the elements of a pack share their line and are aligned
};

__device__ inline int64_t line_of(const LineMap& m, int64_t element) {
  int64_t line = divide(element, m.below).quotient;
  if (m.lines.by > 1) line = divide(line, m.lines).rest;
  return m.inner.by > 1 ? line * static_cast<int64_t>(m.inner.by) + divide(element, m.inner).rest
                        : line;
}

template <class Map>
__device__ inline typename Map::Element mapped_at(const Map& f, const LineMap& m, int64_t element) {
  typename Map::Element x[Map::kInputs];
  for (int i = 0; i < Map::kInputs; ++i) x[i] = f.in[i][element];
  const int64_t line = line_of(m, element);
  return f.value(f.row(line, element), x, element, line);
}

template <class Map>
__global__ void __launch_bounds__(kBlock) map_lines_kernel(const Map f, const LineMap m) {
  using T = typename Map::Element;
  constexpr int kN = kPack<T>;
  if (m.packed) {
    const int64_t element = thread_number() * kN;
    if (element >= m.numel) return;
    Pack<T> in[Map::kInputs], out;
    for (int i = 0; i < Map::kInputs; ++i) in[i] = load_pack(f.in[i] + element);
    const int64_t line = line_of(m, element);
    const typename Map::Row row = f.row(line, element);
    for (int k = 0; k < kN; ++k) {
      T x[Map::kInputs];
      for (int i = 0; i < Map::kInputs; ++i) x[i] = in[i].at[k];
      out.at[k] = f.value(row, x, element + k, line);
    }
    store_pack(f.out + element, out);
    return;
  }
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x * kN + threadIdx.x;
  for (int k = 0; k < kN; ++k) {
    const int64_t element = first + k * static_cast<int64_t>(blockDim.x);
    if (element < m.numel) f.out[element] = mapped_at(f, m, element);
  }
}

template <class Map>
void map_lines(KernelContext& ctx, const Map& f, LineMap m) {
  using T = typename Map::Element;
  constexpr int64_t kN = kPack<T>;
  if (m.numel == 0) return;
  m.packed = m.inner.by == 1 && m.below.by % kN == 0 && aligned16(f.out);
  for (const T* p : f.in) m.packed = m.packed && aligned16(p);
  const int64_t threads = (m.numel + kN - 1) / kN;
  launch(map_lines_kernel<Map>, {blocks_for(threads, kBlock)}, {threads_for(threads)}, 0, ctx, f,
         m);
}

// Lines along n of [outer, n, inner], numbered [outer, inner]. No size is 0.
inline LineMap lines_along(int64_t outer, int64_t n, int64_t inner) {
  return {divisor_of(n * inner), divisor_of(1), divisor_of(inner), outer * n * inner, false};
}
// The channels of [N, C, S]. No size is 0.
inline LineMap lines_of_channels(int64_t batch, int64_t channels, int64_t size) {
  // One channel: every element lies on line 0.
  const int64_t below = channels > 1 ? size : batch * size;
  return {divisor_of(below), divisor_of(channels), divisor_of(1), batch * channels * size, false};
}

}  // namespace tinytorch::TT_KERNEL_NS
