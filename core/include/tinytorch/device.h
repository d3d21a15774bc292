// Devices are chosen at run time, by name: "cpu", "reference", "cuda:0", or the name of any backend
// plugin.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tinytorch/backend/backend.h>

namespace tinytorch {

struct DeviceState;  // the registry's entry; lives as long as the program

class TT_API Device {
 public:
  Device();  // the default device of this thread
  // "cpu", "cuda:1". DeviceError with the reason and the fix if it cannot be used.
  Device(std::string_view name);
  Device(const char* name) : Device(std::string_view(name)) {}
  explicit Device(DeviceState* state) noexcept : state_(state) {}

  static Device parse(std::string_view name) { return Device(name); }
  static Device
  best() noexcept;  // an accelerator if one is usable, else the CPU; never a test device
  static std::vector<Device> all();     // every usable device but test devices
  static std::vector<Device> opened();  // those somebody has asked for so far; opens none

  std::string name() const;     // "cpu:0"
  std::string backend() const;  // "cpu"
  int index() const;
  DeviceInfo info() const;
  void synchronize()
      const;  // waits for this thread's current stream; throws value errors that kernels found
  bool has_kernel(std::string_view row) const;  // does the backend provide this row of kernels.def?
  bool operator==(const Device& o) const { return state_ == o.state_; }

  DeviceState* state() const { return state_; }

 private:
  DeviceState* state_;
};

struct BackendStatus {
  std::string name;
  Unusable unusable;  // why == Why::usable: it can be used
  int devices = 0;
  bool test_only = false;
  std::string details;
};
// Opens the backend if that was not tried yet. Never throws for an unusable one.
TT_API BackendStatus backend_status(std::string_view name);
TT_API std::vector<std::string>
known_backends();  // linked in, named in DESIGN (cuda), and found as plugins

TT_API void set_default_device(
    const Device& device);  // of the process; TINYTORCH_DEVICE sets the initial one
TT_API Device default_device();

// Sets the calling thread's default device.
class TT_API DeviceGuard {
 public:
  explicit DeviceGuard(const Device& device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  DeviceState* before_;
};

// A further stream. When the last handle goes it is synchronised and kept for reuse, so tensors may
// outlive the handle.
TT_API std::shared_ptr<Stream> create_stream(const Device& device);

// Makes `stream` the calling thread's current stream of `device`. Work given to the two streams is
// not ordered by this.
class TT_API StreamGuard {
 public:
  StreamGuard(const Device& device, Stream& stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

 private:
  DeviceState* before_device_;
  Stream* before_;
};
TT_API Stream& current_stream(const Device& device);
// Work given to `waiting` from now on runs after all that `first` was given so far. The host does
// not wait. DeviceError for streams of two backends, CaptureError inside a capture.
TT_API void wait_stream(Stream& waiting, Stream& first);

// Worker threads of the CPU backend, the caller included. Default: the cores that affinity and
// cgroup quota leave.
TT_API void set_num_threads(int n);
TT_API int num_threads();
// Of products of f32 matrices (matmul, linear, the convolutions that are plain products) on every
// device from now on; the default is f32. A device without a faster form computes in f32 anyway. A
// captured step keeps the precision with which it was captured.
TT_API void set_matmul_precision(MatmulPrecision precision);
TT_API MatmulPrecision matmul_precision() noexcept;
// Turns optional fused kernels off (ops are then composed of required rows), to compare the two.
// Per thread.
TT_API bool set_fused_kernels(bool on) noexcept;  // returns what it was

TT_API const char* version() noexcept;

}  // namespace tinytorch
