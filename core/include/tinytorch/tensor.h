// Tensor: a handle to an n-dimensional array on a device. Copying a handle copies no elements;
// views share storage. Ops are free functions (ops.h); the methods here are the same functions for
// readers who chain.
#pragma once

#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tinytorch/device.h>
#include <tinytorch/scalar.h>
#include <tinytorch/shape.h>

namespace tinytorch {

struct TensorImpl;
struct ValuesAndIndices;

// Dtype and device of a new tensor; unset: f32 (of factories from data: the data's; of full, arange
// and scalar_tensor with integers: i64) and the thread's default device.
struct TensorOptions {
  std::optional<Dtype> dtype{};
  std::optional<Device> device{};
  bool requires_grad = false;
};

namespace detail {
TT_API void release(TensorImpl*) noexcept;
TT_API void retain(TensorImpl*) noexcept;
}  // namespace detail

class TT_API Tensor {
 public:
  Tensor() = default;  // undefined: no shape, no storage
  explicit Tensor(TensorImpl* adopted) noexcept : impl_(adopted) {}  // takes over one reference
  Tensor(const Tensor& o) noexcept : impl_(o.impl_) {
    if (impl_) detail::retain(impl_);
  }
  Tensor(Tensor&& o) noexcept : impl_(std::exchange(o.impl_, nullptr)) {}
  Tensor& operator=(const Tensor& o) noexcept {
    Tensor copy(o);
    std::swap(impl_, copy.impl_);
    return *this;
  }
  Tensor& operator=(Tensor&& o) noexcept {
    TensorImpl* before = std::exchange(impl_, std::exchange(o.impl_, nullptr));
    if (before) detail::release(before);
    return *this;
  }
  ~Tensor() {
    if (impl_) detail::release(impl_);
  }

  // ---- what it is
  bool defined() const noexcept { return impl_ != nullptr; }
  explicit operator bool() const = delete;  // say defined(), or item<bool>() of one element
  Dtype dtype() const;
  Device device() const;
  Shape shape() const;
  Shape strides() const;  // in elements
  int rank() const;
  int64_t size(int dim) const;  // negative dims count from the end
  int64_t numel() const;
  int64_t nbytes() const;  // numel times element size
  bool is_contiguous() const;
  int64_t storage_offset() const;  // in elements
  uint32_t version() const;        // changes made in place to the storage so far
  bool shares_storage(const Tensor& other) const;
  TensorImpl* impl() const noexcept { return impl_; }

  // ---- elements, on the host
  // Pointer to the first element. The tensor must be contiguous, of dtype T, and in host memory.
  // What is written through it is not seen by the version check of autograd.
  template <class T>
  T* data() const {
    return static_cast<T*>(data_checked(dtype_of<T>));
  }
  // The one element of a tensor with numel 1, cast to T; waits for the device.
  template <class T = double>
  T item() const;
  // All elements in row-major order, cast to T; waits for the device.
  template <class T>
  std::vector<T> to_vector() const;
  std::string str() const;  // as NumPy prints

  // ---- copies and views
  Tensor to(const Device& device) const;  // itself if it is there already; differentiable
  Tensor to(
      Dtype dtype) const;  // itself if it has it already; differentiable between floating dtypes
  Tensor cpu() const;
  Tensor clone() const;
  Tensor contiguous() const;
  Tensor detach() const;  // shares storage, without history

  Tensor reshape(
      const Shape& shape) const;  // one entry may be -1; a view where strides allow, else a copy
  Tensor view(const Shape& shape) const;  // ShapeError where strides do not allow
  Tensor flatten(int start_dim = 0, int end_dim = -1) const;
  Tensor transpose(int dim0, int dim1) const;
  Tensor t() const;  // rank 2 (or less: itself)
  Tensor permute(const Shape& dims) const;
  Tensor expand(const Shape& shape) const;  // -1 keeps a size
  Tensor squeeze() const;
  Tensor squeeze(int dim) const;
  Tensor unsqueeze(int dim) const;
  Tensor narrow(int dim, int64_t start, int64_t length) const;
  Tensor slice(int dim, int64_t start, int64_t end,
               int64_t step = 1) const;  // as Python slices: clamped; step >= 1
  Tensor select(int dim, int64_t index) const;
  Tensor operator[](int64_t index) const { return select(0, index); }

  // ---- autograd
  bool requires_grad() const noexcept;  // a leaf that wants a gradient, or a result with history
  Tensor& requires_grad_(bool on = true);
  bool is_leaf() const noexcept;
  const char* grad_op() const noexcept;  // name of the op that made it; "" for a leaf
  Tensor grad() const;  // undefined before the first backward; of leaves and after retain_grad
  void set_grad(const Tensor& grad);  // undefined clears; same shape, dtype, device
  void zero_grad();                   // clears
  Tensor& retain_grad();              // a result keeps its gradient too
  // Gradients of this tensor (a single element, or with `gradient` of its shape) are added to the
  // leaves' grad().
  void backward(bool retain_graph = false, bool create_graph = false) const;
  void backward(const Tensor& gradient, bool retain_graph = false, bool create_graph = false) const;
  // Called when the gradient is complete, may return a replacement (or an undefined tensor to keep
  // it). Returns an id.
  uint64_t register_hook(std::function<Tensor(const Tensor& grad)> hook) const;
  void remove_hook(uint64_t id) const;

  // ---- in place: refused on tensors with history or that want a gradient, outside NoGrad
  Tensor& fill_(Scalar value);
  Tensor& zero_();
  Tensor& copy_(const Tensor& source);  // broadcasts and casts; also between devices
  Tensor& add_(const Tensor& other, Scalar alpha = 1);
  Tensor& sub_(const Tensor& other);
  Tensor& mul_(const Tensor& other);
  Tensor& div_(const Tensor& other);
  Tensor& add_(Scalar other);
  Tensor& sub_(Scalar other);
  Tensor& div_(Scalar other);
  Tensor& mul_(Scalar other);
  Tensor& clamp_(double min, double max);

  // ---- ops as methods (ops.h says what they do)
  Tensor add(const Tensor& o) const;
  Tensor sub(const Tensor& o) const;
  Tensor mul(const Tensor& o) const;
  Tensor div(const Tensor& o) const;
  Tensor pow(double exponent) const;
  Tensor pow(const Tensor& exponent) const;
  Tensor neg() const;
  Tensor abs() const;
  Tensor exp() const;
  Tensor log() const;
  Tensor sqrt() const;
  Tensor square() const;
  Tensor tanh() const;
  Tensor sigmoid() const;
  Tensor relu() const;
  Tensor gelu() const;
  Tensor clamp(double min, double max) const;
  Tensor sum() const;
  Tensor sum(const Shape& dims, bool keepdim = false) const;
  Tensor mean() const;
  Tensor mean(const Shape& dims, bool keepdim = false) const;
  Tensor max() const;
  ValuesAndIndices max(int dim, bool keepdim = false) const;
  Tensor argmax() const;
  Tensor argmax(int dim, bool keepdim = false) const;
  Tensor matmul(const Tensor& o) const;
  Tensor softmax(int dim) const;
  Tensor log_softmax(int dim) const;
  std::vector<Tensor> split(int64_t size, int dim = 0) const;
  Tensor gather(int dim, const Tensor& index) const;
  Tensor index_select(int dim, const Tensor& index) const;

 private:
  void* data_checked(Dtype wanted) const;

  TensorImpl* impl_ = nullptr;
};

struct ValuesAndIndices {
  Tensor values, indices;
};

using Variable = Tensor;  // for readers who expect the name: there is one tensor type

TT_API std::ostream& operator<<(std::ostream&, const Tensor&);

}  // namespace tinytorch
