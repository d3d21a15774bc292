// Datasets: numbered samples that are fetched many at a time.
#pragma once

#include <tinytorch/device.h>
#include <tinytorch/tensor.h>

namespace tinytorch {

// x [n, ...] and y [n, ...]; y may be undefined.
struct Batch {
  Tensor x, y;
};

class TT_API Dataset {
 public:
  virtual ~Dataset();
  virtual int64_t size() const = 0;
  virtual Device device() const = 0;  // where take() wants its index
  // The samples named by index (i64 [n]), in its order. IndexError outside [0, size()).
  virtual Batch take(const Tensor& index) const = 0;
  // Samples start to start + count - 1. The default takes them by index.
  virtual Batch range(int64_t start, int64_t count) const;
};

// Samples are the rows of one or two tensors on one device.
class TT_API TensorDataset : public Dataset {
 public:
  // x [N, ...], y [N, ...] or undefined. ShapeError if the sizes differ or the rank is 0,
  // DeviceError on two devices.
  explicit TensorDataset(Tensor x, Tensor y = {});
  int64_t size() const override;
  Device device() const override;
  Batch take(const Tensor& index) const override;
  Batch range(int64_t start, int64_t count) const override;  // views
  const Tensor& x() const { return x_; }
  const Tensor& y() const { return y_; }
  // Samples start to start + count - 1 as a dataset of their own, on the same storage.
  TensorDataset subset(int64_t start, int64_t count) const;

 private:
  Tensor x_, y_;
};

}  // namespace tinytorch
