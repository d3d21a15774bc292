// The parts of Tensor that need no op: description, element access, copies between devices and
// host.
#include <tinytorch/ops/create.h>
#include <tinytorch/tensor.h>

#include <cstring>

#include "core/runtime/events.h"
#include "core/runtime/launch.h"
#include "core/tensor/tensor_impl.h"
#include "core/tensor/transfer.h"

namespace tinytorch {

std::string Shape::str() const {
  std::string s = "[";
  for (int i = 0; i < rank_; ++i) s += (i ? ", " : "") + std::to_string(d_[i]);
  return s + "]";
}
void Shape::throw_index(int i) const {
  throw IndexError("[shape] place " + std::to_string(i) + " of " + str() + ", needed: from " +
                   std::to_string(-rank_) + " to " + std::to_string(rank_ - 1));
}
void Shape::throw_rank(int64_t rank) {
  throw ShapeError("[Shape] rank " + std::to_string(rank) + ", needed: at most " +
                   std::to_string(kMaxRank));
}

std::string show(const View& v) {
  return std::string(name_of(v.dtype)) + " " + Shape(v.rank, v.shape.d).str();
}

int wrap_dim(const char* op, int64_t dim, const View& v, int rank) {
  const int limit = rank == 0 ? 1 : rank;
  if (dim < -limit || dim >= limit)
    throw ShapeError("[" + std::string(op) + "] dim " + std::to_string(dim) + " of " + show(v) +
                     " (rank " + std::to_string(v.rank) + "), needed: " + std::to_string(-limit) +
                     " <= dim < " + std::to_string(limit));
  return static_cast<int>(dim < 0 ? dim + limit : dim);
}

void throw_undefined(const char* op) {
  throw ValueError("[" + std::string(op) +
                   "] undefined tensor (default-constructed or moved from)");
}
void throw_devices(const char* op, const Tensor& a, const Tensor& b) {
  throw DeviceError("[" + std::string(op) + "] " + show(view_of(a)) + " on " + device_of(a)->name +
                    " and " + show(view_of(b)) + " on " + device_of(b)->name +
                    ", needed: one device; move one with to()");
}
void check_floating(const char* op, const Tensor& t) {
  const Dtype d = view_of(t).dtype;
  if (d != Dtype::f32 && d != Dtype::f64)
    throw DtypeError("[" + std::string(op) + "] " + show(view_of(t)) +
                     ", needed: f32 or f64; convert with to(Dtype::f32)");
}
void check_sizes(const char* op, const Shape& shape) {
  int64_t n = 1;
  bool overflow = false;
  for (int64_t s : shape) {
    if (s < 0)
      throw ShapeError("[" + std::string(op) + "] shape " + shape.str() +
                       ", needed: sizes of at least 0");
    if (s != 0) overflow |= __builtin_mul_overflow(n, s, &n);
  }
  if (overflow || n > kMostElements) throw_too_large(op, shape);
}
void throw_impossible(Dtype dtype, const Shape& shape) {
  if (static_cast<int>(dtype) >= kDtypeCount)
    throw DtypeError("[new tensor] dtype number " + std::to_string(static_cast<int>(dtype)) +
                     ", needed: one of the " + std::to_string(kDtypeCount) + " of Dtype");
  throw_too_large("new tensor", shape);
}
void throw_too_large(const char* op, const Shape& shape) {
  throw ShapeError("[" + std::string(op) + "] shape " + shape.str() +
                   " has more elements than memory can hold");
}

bool is_row_major(const View& v) {
  int64_t n = 1;
  for (int i = v.rank - 1; i >= 0; --i) {
    if (v.shape[i] != 1 && v.strides[i] != n) return v.numel == 0;
    n *= v.shape[i];
  }
  return true;
}

Tensor alias(const Tensor& t, const Shape& shape, const Shape& strides, int64_t offset) {
  TensorImpl* p = detail::allocate_impl();
  View& v = p->view;
  v.rank = static_cast<uint8_t>(shape.rank());
  v.dtype = view_of(t).dtype;
  v.numel = shape.numel();
  v.shape.assign(v.rank, shape.data());
  v.strides.assign(v.rank, strides.data());
  v.contiguous = is_row_major(v);
  v.data = view_of(t).as<char>() + offset * static_cast<int64_t>(size_of(v.dtype));
  p->storage = t.impl()->storage;
  p->storage->refs.retain();
  return Tensor(p);
}

Dtype Tensor::dtype() const {
  check_defined("dtype", *this);
  return impl_->view.dtype;
}
Device Tensor::device() const {
  check_defined("device", *this);
  return Device(impl_->storage->device);
}
Shape Tensor::shape() const {
  check_defined("shape", *this);
  return shape_of(*this);
}
Shape Tensor::strides() const {
  check_defined("strides", *this);
  return Shape(impl_->view.rank, impl_->view.strides.d);
}
int Tensor::rank() const {
  check_defined("rank", *this);
  return impl_->view.rank;
}
int64_t Tensor::size(int dim) const {
  check_defined("size", *this);
  if (impl_->view.rank == 0)
    throw ShapeError("[size] dim " + std::to_string(dim) +
                     " of a tensor of rank 0, which has no dims");
  return impl_->view.shape[wrap_dim("size", dim, impl_->view)];
}
int64_t Tensor::numel() const {
  check_defined("numel", *this);
  return impl_->view.numel;
}
int64_t Tensor::nbytes() const {
  check_defined("nbytes", *this);
  return bytes_of(impl_->view);
}
bool Tensor::is_contiguous() const {
  check_defined("is_contiguous", *this);
  return impl_->view.contiguous;
}
int64_t Tensor::storage_offset() const {
  check_defined("storage_offset", *this);
  const View& v = impl_->view;
  return (v.as<char>() - static_cast<char*>(impl_->storage->block.data)) /
         static_cast<int64_t>(size_of(v.dtype));
}
uint32_t Tensor::version() const {
  check_defined("version", *this);
  return impl_->storage->version;
}
bool Tensor::shares_storage(const Tensor& o) const {
  return impl_ && o.impl_ && impl_->storage == o.impl_->storage;
}

void* Tensor::data_checked(Dtype wanted) const {
  check_defined("data", *this);
  const View& v = impl_->view;
  if (v.dtype != wanted)
    throw DtypeError("[data] " + show(v) + " asked for as " + name_of(wanted) +
                     ", needed: its own dtype");
  if (!v.contiguous)
    throw ShapeError("[data] " + show(v) + " is not contiguous; call contiguous() first");
  not_in_capture("data",
                 "inside a capture: what the host does there is no launch; do it after replay()");
  refuse_dry("data", impl_->storage);
  DeviceState* d = impl_->storage->device;
  if (!d->host_memory)
    throw DeviceError("[data] " + show(v) + " lies in the memory of " + d->name +
                      "; copy it with cpu() first");
  if (!d->synchronous) synchronize(d, current_stream(d));
  return v.data;
}

// ---- transfer

void copy_bytes(const Tensor& dst, const Tensor& src) {
  not_in_capture(
      "to",
      "from one device to another inside a capture, needed: one device; between replays, "
      "copy_ new values into the tensors that the step reads");
  const View &to = use(dst), &from = use(src);
  const auto bytes = static_cast<size_t>(bytes_of(to));
  if (bytes == 0) return;
  DeviceState *d = device_of(dst), *s = device_of(src);
  const int64_t start = observed() ? host_clock_ns() : 0;
  if (d == s) {
    current_stream(d)->copy(to.data, from.data, bytes, CopyKind::device_to_device);
  } else if (s->host_memory && s->synchronous) {
    current_stream(d)->copy(to.data, from.data, bytes, CopyKind::host_to_device);
  } else if (d->host_memory && d->synchronous) {
    current_stream(s)->copy(to.data, from.data, bytes, CopyKind::device_to_host);
    synchronize(s, current_stream(s));
  } else {
    auto host = std::make_unique<char[]>(bytes);
    current_stream(s)->copy(host.get(), from.data, bytes, CopyKind::device_to_host);
    synchronize(s, current_stream(s));
    current_stream(d)->copy(to.data, host.get(), bytes, CopyKind::host_to_device);
  }
  if (observed()) emit_copy(d, bytes, start);
}

void copy_to_host(const View& v, DeviceState* d, void* host) {
  not_in_capture("copy to the host", kNoReading);
  const auto bytes = static_cast<size_t>(bytes_of(v));
  const int64_t start = observed() ? host_clock_ns() : 0;
  if (d->host_memory && d->synchronous) {
    if (bytes) std::memcpy(host, v.data, bytes);
  } else {
    Stream* s = current_stream(d);
    if (bytes) s->copy(host, v.data, bytes, CopyKind::device_to_host);
    synchronize(d, s);
  }
  if (observed()) emit_copy(d, bytes, start);
}

void copy_from_host(const View& v, DeviceState* d, const void* host) {
  if (TT_UNLIKELY(thread_state().dry_run != nullptr)) return;  // nothing is written
  not_in_capture("tensor",
                 "of values of the host inside a capture: every replay would repeat them; make it "
                 "before, and copy_ new values into it between replays");
  const auto bytes = static_cast<size_t>(bytes_of(v));
  if (!bytes) return;
  const int64_t start = observed() ? host_clock_ns() : 0;
  if (d->host_memory && d->synchronous) {
    std::memcpy(v.data, host, bytes);
  } else {
    current_stream(d)->copy(v.data, host, bytes, CopyKind::host_to_device);
  }
  if (observed()) emit_copy(d, bytes, start);
}

}  // namespace tinytorch
