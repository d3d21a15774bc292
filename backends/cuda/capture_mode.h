// While some library in the process records a stream in the runtime's default mode, the runtime
// refuses every thread calls that could wait for the device, and spoils that recording. Taking
// memory and loading modules at first use are such calls, and do no harm: they are allowed to the
// thread while one of these lives. Product only.
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
