// Datasets over tensors. Fetching by index copies rows; a range of rows is a view.
#include <tinytorch/data/dataset.h>

#include <tinytorch/error.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/ops/index.h>

namespace tinytorch {

Dataset::~Dataset() = default;

Batch Dataset::range(int64_t start, int64_t count) const {
  return take(arange(start, start + count, 1, {.dtype = Dtype::i64, .device = device()}));
}

TensorDataset::TensorDataset(Tensor x, Tensor y) : x_(std::move(x)), y_(std::move(y)) {
  if (!x_.defined()) throw ValueError("[TensorDataset] x is undefined");
  if (x_.rank() == 0 || (y_.defined() && (y_.rank() == 0 || y_.size(0) != x_.size(0)))) {
    throw ShapeError("[TensorDataset] x " + x_.shape().str() + " and y " +
                     (y_.defined() ? y_.shape().str() : "undefined") +
                     ": both need a first dim of one size");
  }
  if (y_.defined() && !(y_.device() == x_.device())) {
    throw DeviceError("[TensorDataset] x is on " + x_.device().name() + ", y on " +
                      y_.device().name() + ": one device is needed");
  }
}

int64_t TensorDataset::size() const { return x_.size(0); }
Device TensorDataset::device() const { return x_.device(); }

Batch TensorDataset::take(const Tensor& index) const {
  return {index_select(x_, 0, index), y_.defined() ? index_select(y_, 0, index) : Tensor()};
}

Batch TensorDataset::range(int64_t start, int64_t count) const {
  if (start < 0 || count < 0 || start > size() - count) {
    throw IndexError("[TensorDataset] samples " + std::to_string(start) + " to " +
                     std::to_string(start + count) + " of " + std::to_string(size()));
  }
  return {x_.narrow(0, start, count), y_.defined() ? y_.narrow(0, start, count) : Tensor()};
}

TensorDataset TensorDataset::subset(int64_t start, int64_t count) const {
  Batch part = range(start, count);
  return TensorDataset(std::move(part.x), std::move(part.y));
}

}  // namespace tinytorch
