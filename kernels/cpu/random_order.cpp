// The row randperm: indices in the order of 64-bit random keys, by a radix sort from the low byte
// up, which is stable. One thread: at most eight passes over 16 bytes an element, less than drawing
// a data set's batches takes. Also ramp and masked_scale.
#include "kernels/common/dispatch.h"
#include "kernels/common/philox.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/nest.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

struct Keyed {
  uint64_t key;
  int64_t index;
};

constexpr int kDigits = 8, kValues = 256;

// Stable by key. `from` and `to` have room for n; returns the one that holds the result.
Keyed* radix_sort(Keyed* from, Keyed* to, int64_t n) {
  int64_t counts[kDigits][kValues] = {};
  for (int64_t i = 0; i < n; ++i) {
    for (int d = 0; d < kDigits; ++d) ++counts[d][from[i].key >> (8 * d) & 0xff];
  }
  for (int d = 0; d < kDigits; ++d) {
    int64_t* place = counts[d];
    int64_t before = 0;
    bool single = false;  // all keys share this digit
    for (int v = 0; v < kValues; ++v) {
      const int64_t count = place[v];
      single = single || count == n;
      place[v] = before;
      before += count;
    }
    if (single) continue;
    for (int64_t i = 0; i < n; ++i) to[place[from[i].key >> (8 * d) & 0xff]++] = from[i];
    Keyed* const other = from;
    from = to;
    to = other;
  }
  return from;
}

// Small sets: no counters to set up.
void insertion_sort(Keyed* items, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const Keyed item = items[i];
    int64_t j = i;
    for (; j > 0 && items[j - 1].key > item.key; --j) items[j] = items[j - 1];
    items[j] = item;
  }
}

}  // namespace

void randperm(KernelContext& ctx, const View& out, const View& state) {
  int64_t* s = static_cast<int64_t*>(state.data);
  int64_t* order = static_cast<int64_t*>(out.data);
  const uint64_t seed = static_cast<uint64_t>(s[0]), offset = static_cast<uint64_t>(s[1]);
  const int64_t n = out.numel;
  Workspace memory(ctx, static_cast<size_t>(2 * n) * sizeof(Keyed));
  Keyed* items = static_cast<Keyed*>(memory.data());
  for (int64_t i = 0; i < n; i += 2) {
    const PhiloxBlock block = philox_block(seed, offset + static_cast<uint64_t>(i) / 2);
    items[i] = {join_words(block.w[0], block.w[1]), i};
    if (i + 1 < n) items[i + 1] = {join_words(block.w[2], block.w[3]), i + 1};
  }
  if (n <= 64) {
    insertion_sort(items, n);
  } else {
    items = radix_sort(items, items + n, n);
  }
  for (int64_t i = 0; i < n; ++i) order[i] = items[i].index;
  s[1] = static_cast<int64_t>(offset + static_cast<uint64_t>(blocks_used(n, 2)));
}

void ramp(KernelContext& ctx, const View& out, const RampParams& p) {
  const int64_t n = out.numel;
  with_numeric(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    T* o = static_cast<T*>(out.data);
    parallel_for(ctx, ceil_div(n, kSerialElements), [&](int64_t task) {
      const int64_t begin = task * kSerialElements, end = smaller(begin + kSerialElements, n);
      if constexpr (kIsFloat<T>) {
        const int64_t half = p.to_end ? smaller(larger(n / 2, begin), end) : end;
        for (int64_t i = begin; i < half; ++i)
          o[i] = convert<T>(p.start.f + static_cast<double>(i) * p.step.f);
        for (int64_t i = half; i < end; ++i)
          o[i] = convert<T>(p.end - static_cast<double>(n - 1 - i) * p.step.f);
      } else {
        for (int64_t i = begin; i < end; ++i) {
          o[i] = convert<T>(add_of(p.start.i, mul_of(i, p.step.i)));
        }
      }
    });
  });
}

void masked_scale(KernelContext& ctx, const View& out, const View& x, const View& mask,
                  double scale) {
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    const Loop loop = [](void* to, const void* from, const void* keep, const void*, int64_t n,
                         const void* by) -> int64_t {
      const T factor = *static_cast<const T*>(by);
      const T* v = static_cast<const T*>(from);
      const uint8_t* k = static_cast<const uint8_t*>(keep);
      T* o = static_cast<T*>(to);
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) {
        const T scaled = v[i] * factor;
        o[i] = k[i] ? scaled : T(0);
      }
      return -1;
    };
    const T factor = static_cast<T>(scale);
    run_loop(ctx, loop, &factor, out, x, mask);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
