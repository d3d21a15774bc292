// Copies: clone, contiguous, casts, other devices, and reading elements on the host.
#include <tinytorch/ops/create.h>

#include <cstring>

#include "core/autograd/saved_tensor.h"
#include "core/ops/pointwise.h"
#include "core/tensor/transfer.h"

namespace tinytorch {

Tensor Tensor::clone() const {
  check_defined("clone", *this);
  Tensor out = make_like(*this);
  const Merged<2> m(view_of(out), use(*this));
  launch<rows::copy>("clone", device_of(*this), m[0], m[1]);
  if (!recording(*this)) return out;
  return attach(out, "clone", {*this}, [](const Tensor& g) { return Grads{g}; });
}

Tensor Tensor::contiguous() const {
  check_defined("contiguous", *this);
  if (impl_->view.contiguous) return *this;
  Tensor out = dense(*this);
  if (!recording(*this)) return out;
  return attach(out, "contiguous", {*this}, [](const Tensor& g) { return Grads{g}; });
}

Tensor Tensor::to(Dtype dtype) const {
  check_defined("to", *this);
  const Dtype before = impl_->view.dtype;
  if (before == dtype) return *this;
  Tensor out = make(device_of(*this), dtype, shape_of(*this));
  const Merged<2> m(view_of(out), use(*this));
  launch<rows::copy>("to", device_of(*this), m[0], m[1]);
  if (!is_floating(dtype) || !recording(*this)) return out;
  return attach(out, "to", {*this}, [before](const Tensor& g) { return Grads{g.to(before)}; });
}

Tensor Tensor::to(const Device& device) const {
  check_defined("to", *this);
  DeviceState* d = device.state();
  if (d == device_of(*this)) return *this;
  const Tensor from = dense(*this);
  Tensor out = make(d, impl_->view.dtype, shape_of(*this));
  copy_bytes(out, from);
  if (!recording(*this)) return out;
  return attach(out, "to", {*this}, [before = Device(device_of(*this))](const Tensor& g) {
    return Grads{g.to(before)};
  });
}
Tensor Tensor::cpu() const { return to(Device("cpu")); }

// ---- elements

namespace {

// The elements cast to T's dtype, dense, copied to `host`. A cast is made on the host's side, so
// that a backend needs no kernel for it.
template <class T>
void read(const char* op, const Tensor& t, T* host) {
  not_in_capture(op, kNoReading);
  const Tensor raw = dense(t.detach());
  const Tensor cast = view_of(raw).dtype == dtype_of<T> ? raw : raw.cpu().to(dtype_of<T>);
  copy_to_host(use(cast), device_of(cast), host);
}

}  // namespace

template <class T>
T Tensor::item() const {
  check_defined("item", *this);
  if (impl_->view.numel != 1)
    throw ShapeError("[item] " + show(impl_->view) + ", needed: a single element");
  T value;
  read("item", *this, &value);
  return value;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  check_defined("to_vector", *this);
  std::vector<T> out(static_cast<size_t>(impl_->view.numel));
  read("to_vector", *this, out.data());
  return out;
}
template <>
std::vector<bool> Tensor::to_vector<bool>() const {
  const std::vector<uint8_t> bytes = tinytorch::ne(*this, 0).to_vector<uint8_t>();
  return std::vector<bool>(bytes.begin(), bytes.end());
}

#define TT_INSTANTIATE(T)                    \
  template TT_API T Tensor::item<T>() const; \
  template TT_API std::vector<T> Tensor::to_vector<T>() const;
TT_INSTANTIATE(float)
TT_INSTANTIATE(double)
TT_INSTANTIATE(int64_t)
TT_INSTANTIATE(int32_t)
TT_INSTANTIATE(uint8_t)
#undef TT_INSTANTIATE
template TT_API bool Tensor::item<bool>() const;
template TT_API std::vector<bool> Tensor::to_vector<bool>() const;

}  // namespace tinytorch
