// The backend and its plugin. Whether it can be used is found out step by step: driver, devices,
// context of the first device, kernels for it; the first thing that is missing is told with what to
// do about it.
#include <cstdlib>
#include <string>

#include <tinytorch/backend/sizing.h>

#include "backends/cuda/backend.h"
#include "backends/cuda/gpu.h"

namespace tinytorch::cuda {

const KernelTable& kernel_table();  // kernels/cuda/table.cu

namespace {

constexpr int kNeededDriver = 13000;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

class CudaBackend final : public Backend {
 public:
  std::string_view name() const override { return rt::backend_name(); }
  int device_count() const override { return gpu_count(); }
  DeviceInfo info(int index) const override;
  Allocator& allocator(int index) override { return gpu(index).allocator(); }
  Stream& stream(int index) override { return gpu(index).stream(); }
  std::unique_ptr<Stream> create_stream(int index) override {
    gpu(index).enter("create_stream");
    auto stream = std::make_unique<CudaStream>(gpu(index));
    stream->open();
    return stream;
  }
  const KernelTable& kernels() const override { return kernel_table(); }
  void set_matmul_precision(MatmulPrecision precision) override {
    cuda::set_matmul_precision(precision);
  }
  std::string details() const override;
};

DeviceInfo CudaBackend::info(int index) const {
  DeviceInfo info;
  rt::DeviceFacts facts{};
  TT_CUDA_CHECK(gpu(index).health(), "", rt::device_facts(index, &facts));
  info.description = std::string(facts.name) + ", compute capability " +
                     std::to_string(facts.major) + "." + std::to_string(facts.minor);
  info.total_bytes = static_cast<int64_t>(facts.total_bytes);
  info.test_only = rt::simulated();
  return info;
}

std::string CudaBackend::details() const {
  int driver = 0, runtime = 0;
  rt::driver_version(&driver);
  rt::runtime_version(&runtime);
  std::string text = "driver for CUDA " + version_text(driver) + ", runtime " +
                     version_text(runtime) + " built in\n";
  for (int i = 0; i < gpu_count(); ++i) {
    if (gpu(i).health().lost()) {
      text += std::string(gpu(i).label()) + ": lost: " + gpu(i).health().first_error() + "\n";
      continue;
    }
    const DeviceInfo about = info(i);
    text += std::string(gpu(i).label()) + ": " + about.description + ", " +
            std::to_string(about.total_bytes >> 20) + " MiB\n";
  }
  const std::string failure = matmul_library_failure();
  const char* const found = rt::simulated() ? "simulated" : "cuBLASLt";
  return text + "matrix products: " + (failure.empty() ? found : failure) + "\n";
}

// ---- what may be missing

std::string described(rt::Status status) {
  return std::string(rt::name_of(status)) + " (error " + std::to_string(status) + "), " +
         rt::text_of(status);
}

// -> can it be used?
bool check_driver(Unusable& why) {
  int version = 0;
  const rt::Status status = rt::driver_version(&version);
  if (status == rt::kSuccess && version >= kNeededDriver) return true;
  if (version == 0) {
    why = {Why::no_driver,
           "no NVIDIA driver was found" +
               (status == rt::kSuccess ? std::string() : ": " + described(status)),
           "install the NVIDIA driver 580 or newer; in a container, pass the device on (docker run "
           "--gpus all)"};
  } else {
    why = {Why::driver_too_old,
           "the NVIDIA driver supports CUDA " + version_text(version) +
               ", needed: " + version_text(kNeededDriver),
           "install the NVIDIA driver 580 or newer"};
  }
  return false;
}

bool count_devices(int& count, Unusable& why) {
  const rt::Status status = rt::device_count(&count);
  if (status == rt::kSuccess && count > 0) return true;
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (status == rt::kInsufficientDriver) {
    why = {Why::driver_too_old, "the NVIDIA driver is too old: " + described(status),
           "install the NVIDIA driver 580 or newer"};
  } else if (status != rt::kSuccess && status != rt::kNoDevice) {
    const bool lost = is_sticky(status);
    why = {status == rt::kOutOfMemory ? Why::out_of_memory
           : lost                     ? Why::device_lost
                                      : Why::failed,
           "counting the devices failed: " + described(status),
           lost ? "restart the process; if that does not help, reset the device (nvidia-smi -r)"
                : "look at nvidia-smi and the system's log"};
  } else if (visible) {
    why = {
        Why::hidden,
        "CUDA_VISIBLE_DEVICES is set to \"" + std::string(visible) + "\", which hides all devices",
        "unset CUDA_VISIBLE_DEVICES, or name a device in it, as in CUDA_VISIBLE_DEVICES=0"};
  } else {
    why = {
        Why::no_device, "the NVIDIA driver is there, but no CUDA device",
        "look whether nvidia-smi lists one; in a container, pass the device on (docker run --gpus "
        "all)"};
  }
  return false;
}

bool open_device(Gpu& device, Unusable& why) {
  try {
    device.open();
    return true;
  } catch (const NoKernelImage& error) {
    why = {Why::architecture, error.what(),
           "build TinyTorch with -DTINYTORCH_CUDA_ARCHITECTURES for this device, or choose another "
           "with CUDA_VISIBLE_DEVICES"};
  } catch (const OutOfMemoryError& error) {
    why = {Why::out_of_memory,
           std::string("there is no memory for a context on the device: ") + error.what(),
           "end other processes that use the device (nvidia-smi lists them), or choose another "
           "with CUDA_VISIBLE_DEVICES"};
  } catch (const DeviceError& error) {
    const bool lost = device.health().lost();
    why = {lost ? Why::device_lost : Why::failed, error.what(),
           lost ? "restart the process; if that does not help, reset the device (nvidia-smi -r)"
                : "look at nvidia-smi and the system's log"};
  }
  return false;
}

Backend* open_backend(Unusable& why) {
  int count = 0;
  if (!check_driver(why) || !count_devices(count, why)) return nullptr;
  watch_forks();
  make_gpus(count);
  if (!open_device(gpu(0), why)) return nullptr;
  declare_sizing(rt::backend_name());
  return new CudaBackend;
}

Backend* create(Unusable* why_not) noexcept {
  static Backend* backend = nullptr;  // never destroyed
  try {
    if (!backend) backend = open_backend(*why_not);
  } catch (const std::exception& error) {
    *why_not = {Why::failed, error.what(), "look at nvidia-smi and the system's log"};
  }
  return backend;
}

}  // namespace

}  // namespace tinytorch::cuda

TT_BACKEND_PLUGIN(tinytorch::cuda::create);
