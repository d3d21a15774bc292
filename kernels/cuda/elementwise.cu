// What the elementwise rows decide on the host: how views of one shape are walked, whether their
// elements can be read in aligned runs, and how many threads do it. Positions inside a launch are
// 32-bit numbers: larger views are cut along their outer dims.
#include "kernels/cuda/elementwise.cuh"

namespace tinytorch::TT_KERNEL_NS {

namespace {

constexpr int64_t kMostElements = int64_t{1} << 30;  // of a part

// Views of one shape, or a contiguous range of their positions.
struct Nest {
  int rank;  // at least 1
  int64_t first, sizes[kMaxRank], strides[kMaxViews][kMaxRank], offsets[kMaxViews];
};

Nest nest_of(const View* const* views, int count) {
  Nest nest{};
  bool flat = true;
  for (int v = 0; v < count; ++v) flat = flat && views[v]->contiguous;
  if (flat || views[0]->rank == 0) {
    nest.rank = 1;
    nest.sizes[0] = views[0]->numel;
    for (int v = 0; v < count; ++v) nest.strides[v][0] = 1;
    return nest;
  }
  nest.rank = views[0]->rank;
  for (int d = 0; d < nest.rank; ++d) {
    nest.sizes[d] = views[0]->shape[d];
    for (int v = 0; v < count; ++v) nest.strides[v][d] = views[v]->strides[d];
  }
  return nest;
}

// A row of the outermost dim, or several, as a nest of its own.
Nest rows_of(const Nest& nest, int64_t begin, int64_t count, int64_t row_elements) {
  Nest rows = nest;
  rows.first += begin * row_elements;
  for (int v = 0; v < kMaxViews; ++v) rows.offsets[v] += begin * nest.strides[v][0];
  rows.sizes[0] = count;
  if (count > 1 || nest.rank == 1) return rows;
  --rows.rank;
  for (int d = 0; d < rows.rank; ++d) {
    rows.sizes[d] = nest.sizes[d + 1];
    for (int v = 0; v < kMaxViews; ++v) rows.strides[v][d] = nest.strides[v][d + 1];
  }
  return rows;
}

template <class G>
void for_each_part(const Nest& nest, const G& g) {
  int64_t row = 1;
  for (int d = 1; d < nest.rank; ++d) row *= nest.sizes[d];
  if (row * nest.sizes[0] <= kMostElements) return g(nest);
  const int64_t step = row <= kMostElements ? kMostElements / row : 1;
  for (int64_t i = 0; i < nest.sizes[0]; i += step) {
    const int64_t left = nest.sizes[0] - i;
    for_each_part(rows_of(nest, i, left < step ? left : step, row), g);
  }
}

// Every run of every view lies in one aligned piece of memory, or repeats an element that is read.
bool takes_runs(const Nest& nest, const Form& form, const void* const* data) {
  const int last = nest.rank - 1;
  if (last > 0 && nest.sizes[last] % form.run != 0) return false;
  for (int v = 0; v < form.views; ++v) {
    if (nest.strides[v][last] == 0 && v > 0) continue;
    if (nest.strides[v][last] != 1) return false;
    if (reinterpret_cast<uintptr_t>(data[v]) % static_cast<uintptr_t>(form.run * form.sizes[v]))
      return false;
    for (int d = 0; d < last; ++d) {
      if (nest.strides[v][d] % form.run != 0) return false;
    }
  }
  return true;
}

Divisor divisor_of(int64_t value) {
  uint32_t shift = 0;
  while (int64_t{1} << shift < value) ++shift;
  const uint64_t rest = (uint64_t{1} << shift) - static_cast<uint64_t>(value);
  return {static_cast<uint32_t>(value),
          static_cast<uint32_t>((rest << 32) / static_cast<uint64_t>(value) + 1), shift};
}

Layout layout_of(const Nest& nest, int64_t count, bool runs) {
  Layout layout{};
  layout.count = static_cast<uint32_t>(count);
  layout.rank = static_cast<uint16_t>(nest.rank);
  layout.runs = runs;
  for (int d = 0; d < nest.rank; ++d) {
    layout.sizes[d] = divisor_of(nest.sizes[d]);
    for (int v = 0; v < kMaxViews; ++v) layout.strides[v][d] = nest.strides[v][d];
  }
  return layout;
}

}  // namespace

void launch_parts(KernelContext& context, const Form& form, const View* const* views,
                  LaunchPart launch_part, const void* f) {
  if (views[0]->numel == 0) return;
  for_each_part(nest_of(views, form.views), [&](const Nest& nest) {
    int64_t count = 1;
    for (int d = 0; d < nest.rank; ++d) count *= nest.sizes[d];
    Part part{};
    part.first = nest.first;
    for (int v = 0; v < form.views; ++v)
      part.data[v] = static_cast<const char*>(views[v]->data) + nest.offsets[v] * form.sizes[v];
    part.layout = layout_of(nest, count, takes_runs(nest, form, part.data));
    part.threads = threads_for(blocks_for(count, form.slots));
    part.blocks = blocks_for(count, int64_t{part.threads} * form.slots);
    launch_part(context, f, part);
  });
}

}  // namespace tinytorch::TT_KERNEL_NS
