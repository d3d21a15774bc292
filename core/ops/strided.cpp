// See strided.h.
#include "core/ops/strided.h"

#include <algorithm>
#include <cstdlib>

namespace tinytorch {

View broadcast_view(const View& v, const Shape& shape) {
  View o;
  o.data = v.data;
  o.dtype = v.dtype;
  o.rank = static_cast<uint8_t>(shape.rank());
  o.numel = shape.numel();
  const int lead = shape.rank() - v.rank;
  for (int i = 0; i < shape.rank(); ++i) {
    o.shape[i] = shape[i];
    o.strides[i] = i < lead || v.shape[i - lead] != shape[i] ? 0 : v.strides[i - lead];
  }
  o.contiguous = is_row_major(o);
  return o;
}

namespace {

void move_dim(View& v, int from, int to) {
  v.shape[to] = v.shape[from];
  v.strides[to] = v.strides[from];
}

void drop_ones(View* views, int count) {
  int rank = 0;
  for (int i = 0; i < views[0].rank; ++i) {
    if (views[0].shape[i] == 1) continue;
    for (int k = 0; k < count; ++k) move_dim(views[k], i, rank);
    ++rank;
  }
  for (int k = 0; k < count; ++k) views[k].rank = static_cast<uint8_t>(rank);
}

// Insertion sort: few dims, mostly in order already.
void sort_dims(View* views, int count) {
  auto goes_before = [&](int a, int b) {
    for (int k = 0; k < count; ++k) {
      const int64_t x = std::abs(views[k].strides[a]), y = std::abs(views[k].strides[b]);
      if (x != y && x != 0 && y != 0) return x > y;
      if (k == 0 && x != y) return x > y;
    }
    return false;
  };
  for (int i = 1; i < views[0].rank; ++i) {
    for (int j = i; j > 0 && goes_before(j, j - 1); --j) {
      for (int k = 0; k < count; ++k) {
        std::swap(views[k].shape[j], views[k].shape[j - 1]);
        std::swap(views[k].strides[j], views[k].strides[j - 1]);
      }
    }
  }
}

void merge_neighbours(View* views, int count) {
  int last = 0;
  for (int i = 1; i < views[0].rank; ++i) {
    bool mergeable = true;
    for (int k = 0; k < count && mergeable; ++k)
      mergeable = views[k].strides[last] == views[k].strides[i] * views[k].shape[i];
    if (!mergeable) ++last;
    for (int k = 0; k < count; ++k) {
      const int64_t size = mergeable ? views[k].shape[last] * views[k].shape[i] : views[k].shape[i];
      views[k].strides[last] = views[k].strides[i];
      views[k].shape[last] = size;
    }
  }
  for (int k = 0; k < count; ++k) views[k].rank = static_cast<uint8_t>(last + 1);
}

}  // namespace

void merge_dims(View* views, int count) {
  drop_ones(views, count);
  if (views[0].rank > 1 && views[0].numel > 0) {
    sort_dims(views, count);
    merge_neighbours(views, count);
  }
  for (int k = 0; k < count; ++k) views[k].contiguous = is_row_major(views[k]);
}

}  // namespace tinytorch
