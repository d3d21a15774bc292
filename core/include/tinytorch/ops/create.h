// Making tensors. Sizes are checked (ShapeError); no element is left uninitialised except by
// empty().
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

TT_API Tensor empty(const Shape& shape, const TensorOptions& options = {});
TT_API Tensor zeros(const Shape& shape, const TensorOptions& options = {});
TT_API Tensor ones(const Shape& shape, const TensorOptions& options = {});
TT_API Tensor full(const Shape& shape, Scalar value, const TensorOptions& options = {});
TT_API Tensor empty_like(const Tensor& t);
TT_API Tensor zeros_like(const Tensor& t);
TT_API Tensor ones_like(const Tensor& t);
TT_API Tensor full_like(const Tensor& t, Scalar value);

// start, start + step, ... before end. Integers give i64, else f32, unless options say otherwise.
// ValueError for step 0.
TT_API Tensor arange(Scalar start, Scalar end, Scalar step = 1, const TensorOptions& options = {});
TT_API Tensor arange(Scalar end, const TensorOptions& options = {});
// `steps` values from start to end, both included.
TT_API Tensor linspace(double start, double end, int64_t steps, const TensorOptions& options = {});
TT_API Tensor eye(int64_t n, std::optional<int64_t> m = {},
                  const TensorOptions& options = {});  // [n, m]

// Copies host data of T; `shape` must hold exactly that many elements (default: one dim).
template <class T>
Tensor tensor(std::span<const T> values, std::optional<Shape> shape = {},
              const TensorOptions& options = {});
template <class T>
Tensor tensor(const std::vector<T>& values, std::optional<Shape> shape = {},
              const TensorOptions& options = {}) {
  return tensor(std::span<const T>(values), std::move(shape), options);
}
template <class T>
Tensor tensor(std::initializer_list<T> values, std::optional<Shape> shape = {},
              const TensorOptions& options = {}) {
  return tensor(std::span<const T>(values.begin(), values.size()), std::move(shape), options);
}
// Rows of equal length: [rows, columns].
template <class T>
Tensor tensor(std::initializer_list<std::initializer_list<T>> rows,
              const TensorOptions& options = {});
TT_API Tensor scalar_tensor(Scalar value,
                            const TensorOptions& options = {});  // rank 0; integers i64, else f32

// Uses foreign host memory without copying; `deleter` runs once, when the last view is gone.
// Strides in elements; empty: row-major. `data` is aligned to the element's size (else ValueError).
TT_API Tensor from_blob(void* data, const Shape& shape, Dtype dtype,
                        std::function<void()> deleter = {}, const Shape& strides = {});

namespace detail {
TT_API Tensor from_host(const void* data, Dtype dtype, int64_t count,
                        const std::optional<Shape>& shape, const TensorOptions&);
[[noreturn]] TT_API void throw_ragged(size_t expected, size_t got);
}  // namespace detail

template <class T>
Tensor tensor(std::span<const T> values, std::optional<Shape> shape, const TensorOptions& options) {
  return detail::from_host(values.data(), dtype_of<T>, static_cast<int64_t>(values.size()), shape,
                           options);
}
template <>
TT_API Tensor tensor<bool>(const std::vector<bool>& values, std::optional<Shape> shape,
                           const TensorOptions& options);
template <class T>
Tensor tensor(std::initializer_list<std::initializer_list<T>> rows, const TensorOptions& options) {
  std::vector<T> flat;
  const size_t columns = rows.size() ? rows.begin()->size() : 0;
  for (const auto& row : rows) {
    if (row.size() != columns) detail::throw_ragged(columns, row.size());
    flat.insert(flat.end(), row.begin(), row.end());
  }
  return tensor(flat, Shape{static_cast<int64_t>(rows.size()), static_cast<int64_t>(columns)},
                options);
}

}  // namespace tinytorch
