// Moving bytes between devices and the host, in the order of the current streams. All tensors and
// views here are contiguous.
#pragma once

#include "core/tensor/tensor_impl.h"

namespace tinytorch {

void copy_bytes(const Tensor& dst, const Tensor& src);  // same dtype and numel; any two devices
void copy_to_host(const View& v, DeviceState* d,
                  void* host);  // waits; throws what kernels reported
void copy_from_host(const View& v, DeviceState* d, const void* host);

}  // namespace tinytorch
