// Handle, description, bytes: Tensor -> TensorImpl (contains the View that kernels get) -> Storage.
// Hot paths are inline here.
#pragma once

#include <functional>

#include <tinytorch/tensor.h>

#include "core/runtime/device_state.h"
#include "core/runtime/refs.h"

namespace tinytorch {

// Foreign memory: not from an allocator.
struct ForeignMemory {
  std::function<void()> deleter;
  ForeignMemory* next = nullptr;
};

// Who is told when a storage dies: its device's list, the capture or the dry run in which it was
// made.
inline constexpr uint8_t kListed = 1, kRecorded = 2, kDry = 4;

struct Storage {
  Refs refs;
  uint32_t version = 0;  // bumped by every change in place
  uint8_t category = 0;
  bool inference = false;  // made in InferenceMode: cannot be saved for a gradient
  uint8_t known = 0;       // kListed | kRecorded | kDry
  DeviceState* device = nullptr;
  Stream* stream = nullptr;  // the one it was allocated for; null if dry, so that use() looks twice
  MemoryBlock block;         // dry: no memory, `data` is the DryMemory that counts it
  ForeignMemory* foreign = nullptr;
  Storage *previous = nullptr, *next = nullptr;  // in the device's list, if listed
};

Storage* new_storage(DeviceState* d, size_t bytes);
void destroy(Storage* s) noexcept;
TT_INLINE void release(Storage* s) noexcept {
  if (s->refs.release()) destroy(s);
}
// ValueError if the storage was made in a dry run: there is nothing to read.
TT_COLD void refuse_dry(const char* op, const Storage* s);
// Moves the bytes to another category (a randn becomes a parameter).
void retag(Storage* s, Category category) noexcept;
// Live bytes of the device by category and its largest tensors, for an out of memory.
std::string memory_report(DeviceState* d);

struct Node;
void release_node(Node* n) noexcept;  // autograd/node.cpp

struct TensorImpl {
  Refs refs;
  uint32_t output = 0;  // which output of `link` this is
  Storage* storage = nullptr;
  Node* link = nullptr;  // autograd: null where no gradient is wanted
  View view;
};

void destroy(TensorImpl* p) noexcept;

namespace detail {
inline TensorImpl* allocate_impl() {
  auto* p = static_cast<TensorImpl*>(pool_get(sizeof(TensorImpl)));
  new (&p->refs) Refs;
  p->output = 0;
  p->storage = nullptr;
  p->link = nullptr;
  return p;
}
}  // namespace detail

inline constexpr int64_t kMostElements = INT64_MAX >> 4;  // their bytes are an int64, too
[[noreturn]] TT_COLD void throw_too_large(const char* op, const Shape& shape);
[[noreturn]] TT_COLD void throw_impossible(Dtype dtype, const Shape& shape);

// Row-major description; the storage is set by the caller.
inline TensorImpl* new_impl(Dtype dtype, int rank, const int64_t* shape) {
  TensorImpl* p = detail::allocate_impl();
  View& v = p->view;
  v.rank = static_cast<uint8_t>(rank);
  v.dtype = dtype;
  v.contiguous = true;
  int64_t n = 1;
  bool overflow = false;
  for (int i = rank - 1; i >= 0; --i) {
    v.shape[i] = shape[i];
    v.strides[i] = n;
    overflow |= __builtin_mul_overflow(n, shape[i], &n);
  }
  v.numel = n;
  if (TT_UNLIKELY(overflow || n > kMostElements || static_cast<int>(dtype) >= kDtypeCount)) {
    pool_put(p, sizeof(TensorImpl));
    throw_impossible(dtype, Shape(rank, shape));
  }
  return p;
}

// A new tensor with uninitialised elements. Sizes must not be negative (public factories check).
inline Tensor make(DeviceState* d, Dtype dtype, int rank, const int64_t* shape) {
  TensorImpl* p = new_impl(dtype, rank, shape);
  try {
    p->storage = new_storage(d, static_cast<size_t>(p->view.numel) * size_of(dtype));
  } catch (...) {
    pool_put(p, sizeof(TensorImpl));
    throw;
  }
  p->view.data = p->storage->block.data;
  return Tensor(p);
}
inline Tensor make(DeviceState* d, Dtype dtype, const Shape& shape) {
  return make(d, dtype, shape.rank(), shape.data());
}

inline const View& view_of(const Tensor& t) { return t.impl()->view; }
inline DeviceState* device_of(const Tensor& t) { return t.impl()->storage->device; }
inline Shape shape_of(const Tensor& t) { return Shape(view_of(t).rank, view_of(t).shape.d); }
inline Tensor make_like(const Tensor& t) {
  return make(device_of(t), view_of(t).dtype, view_of(t).rank, view_of(t).shape.d);
}

// Tells the allocator if another stream than the storage's own uses it, and a capture or a dry run
// what it uses from outside. ValueError for a tensor that a dry run left behind.
void record_use(Storage* s, Stream* current);

// The view of a tensor that is about to be given to a kernel. A thread with a current stream of its
// own may be capturing, and the stream does not tell whether a storage is the capture's: a spare
// stream comes back with another capture.
TT_INLINE const View& use(const Tensor& t) {
  Storage* s = t.impl()->storage;
  if (TT_UNLIKELY(thread_state().stream_device == s->device)) {
    record_use(s, thread_state().stream);
  } else if (TT_UNLIKELY(s->stream != s->device->stream)) {
    record_use(s, s->device->stream);
  }
  return t.impl()->view;
}
TT_INLINE const View* use_optional(const Tensor& t) { return t.defined() ? &use(t) : nullptr; }

// A view of the same storage, without history: shape and strides may differ, `offset` counts
// elements from t's first one.
Tensor alias(const Tensor& t, const Shape& shape, const Shape& strides, int64_t offset);
bool is_row_major(const View& v);

TT_INLINE bool same_shape(const View& a, const View& b) {
  if (a.rank != b.rank) return false;
  for (int i = 0; i < a.rank; ++i)
    if (a.shape[i] != b.shape[i]) return false;
  return true;
}

std::string show(const View& v);  // "f32 [2, 3]"
// dim counted from the front, of a tensor like `v` that has (or will have) `rank` dims; ShapeError
int wrap_dim(const char* op, int64_t dim, const View& v, int rank);
inline int wrap_dim(const char* op, int64_t dim, const View& v) {
  return wrap_dim(op, dim, v, v.rank);
}

TT_COLD [[noreturn]] void throw_undefined(const char* op);
TT_INLINE void check_defined(const char* op, const Tensor& t) {
  if (TT_UNLIKELY(!t.defined())) throw_undefined(op);
}
TT_COLD [[noreturn]] void throw_devices(const char* op, const Tensor& a, const Tensor& b);
TT_INLINE void check_device(const char* op, const Tensor& a, const Tensor& b) {
  if (TT_UNLIKELY(device_of(a) != device_of(b))) throw_devices(op, a, b);
}
// f32 or f64, as arithmetic needs.
void check_floating(const char* op, const Tensor& t);
void check_sizes(const char* op, const Shape& shape);  // no negative size, numel within int64

}  // namespace tinytorch
