// What a kernel learns about a tensor: plain data. Only the first `rank` entries of Dims are ever
// written or read.
#pragma once

#include <cstdint>

#include <tinytorch/dtype.h>
#include <tinytorch/export.h>

namespace tinytorch {

inline constexpr int kMaxRank = 8;

struct Dims {
  int64_t d[kMaxRank];
  TT_INLINE int64_t& operator[](int i) { return d[i]; }
  TT_INLINE const int64_t& operator[](int i) const { return d[i]; }
  TT_INLINE void assign(int n, const int64_t* from) {
    for (int i = 0; i < n; ++i) d[i] = from[i];
  }
};

// Strides count elements; stride 0 repeats. `contiguous`: row-major without gaps, so elements are
// data[0 .. numel).
struct View {
  void* data;
  int64_t numel;
  uint8_t rank;
  Dtype dtype;
  bool contiguous;
  Dims shape, strides;

  template <class T>
  TT_INLINE T* as() const {
    return static_cast<T*>(data);
  }
};

struct ViewList {
  int count;
  const View* const* views;
  TT_INLINE const View& operator[](int i) const { return *views[i]; }
};

TT_INLINE int64_t bytes_of(const View& v) {
  return v.numel * static_cast<int64_t>(size_of(v.dtype));
}
TT_INLINE int64_t bytes_of(const View* v) { return v ? bytes_of(*v) : 0; }
TT_INLINE int64_t bytes_of(const ViewList& list) {
  int64_t n = 0;
  for (int i = 0; i < list.count; ++i) n += bytes_of(list[i]);
  return n;
}

}  // namespace tinytorch
