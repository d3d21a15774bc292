// The simulated runtime's devices, drivers and error codes.
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/cuda_twin/runtime/twin.h"

namespace tinytorch::cuda::rt {

using namespace twin;

namespace {

struct Code {
  Status status;
  const char *name, *text;
};
constexpr Code kCodes[] = {
    {kSuccess, "cudaSuccess", "no error"},
    {kInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {kOutOfMemory, "cudaErrorMemoryAllocation", "out of memory"},
    {kInitializationError, "cudaErrorInitializationError", "initialization error"},
    {kInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {kNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {kInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {kNoKernelImage, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {kInvalidHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {kIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {kNotReady, "cudaErrorNotReady", "device not ready"},
    {kIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {kLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {kCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {kCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {kCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {kCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {kCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {kCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {kUnknown, "cudaErrorUnknown", "unknown error"},
};

const Code* find_code(Status status) {
  for (const Code& code : kCodes)
    if (code.status == status) return &code;
  return nullptr;
}

constexpr int kRuntime = 13000;

}  // namespace

const char* backend_name() noexcept { return "cudatwin"; }
bool simulated() noexcept { return true; }

const char* name_of(Status status) noexcept {
  const Code* code = find_code(status);
  return code ? code->name : "cudaErrorUnrecognized";
}

// With the words of the latest fault of this status: a test report then says which kernel, block
// and thread it was.
const char* text_of(Status status) noexcept {
  if (!in_forked_child()) {
    const std::lock_guard lock(late::scheduler().mutex);
    const auto fault = state().texts.find(status);
    if (fault != state().texts.end()) return fault->second;
  }
  const Code* code = find_code(status);
  return code ? code->text : "unrecognized error code";
}

Status driver_version(int* version) {
  const Call call("driver_version", Needs::nothing);
  *version = 0;
  if (call.failed()) return call.status();
  *version = state().driver;
  return kSuccess;
}

Status runtime_version(int* version) {
  const Call call("runtime_version", Needs::nothing);
  *version = 0;
  if (call.failed()) return call.status();
  *version = kRuntime;
  return kSuccess;
}

Status device_count(int* count) {
  const Call call("device_count", Needs::driver);
  *count = 0;
  if (call.failed()) return call.status();
  *count = state().device_count;
  return *count > 0 ? kSuccess : kNoDevice;
}

Status set_device(int device) {
  const Call call("set_device", Needs::driver);
  if (call.failed()) return call.status();
  TwinDevice* found = nullptr;
  const Status status = find_device(device, &found);
  if (status != kSuccess) return status;
  current_device() = device;
  return found->lost;
}

// The figures of an H100, so that what is cut by them is cut as there.
Status device_facts(int device, DeviceFacts* facts) {
  const Call call("device_facts", Needs::driver);
  *facts = {};
  if (call.failed()) return call.status();
  if (device < 0 || device >= state().device_count) return kInvalidDevice;
  std::snprintf(facts->name, sizeof facts->name, "CUDA twin on the CPU");
  facts->total_bytes = state().capacity;
  facts->major = 9;
  facts->minor = 0;
  facts->multiprocessors = 132;
  facts->shared_bytes_per_block = size_t{227} << 10;
  return kSuccess;
}

Status check_kernel_image() {
  const Call call("check_kernel_image");
  return call.status();
}

}  // namespace tinytorch::cuda::rt
