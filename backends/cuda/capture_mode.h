// While a thread records a stream, the runtime forbids it calls that could wait for the device. A
// library that loads a module or takes memory at first use makes such calls; they do no harm to
// what is recorded, and are allowed while one of these lives. Product only.
#pragma once

#include <cuda_runtime_api.h>

namespace tinytorch::cuda::rt {

class RelaxedCapture {
 public:
  RelaxedCapture() { (void)cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~RelaxedCapture() { (void)cudaThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;  // afterwards: what it was before
};

}  // namespace tinytorch::cuda::rt
