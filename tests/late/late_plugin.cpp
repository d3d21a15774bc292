// The plugin libtinytorch_late.so: two devices that share one scheduler. A test device: used only
// when named. Environment: TINYTORCH_LATE_SEED chooses the order, TINYTORCH_LATE_FAIL_ALLOCATION=k
// makes the k-th allocation fail.
#include <cstdlib>
#include <memory>
#include <string>

#include "tests/late/late_kernels.h"
#include "tests/late/late_stream.h"

namespace tinytorch::late {

namespace {

constexpr int kDevices = 2;
constexpr const char* kNames[kDevices] = {"late:0", "late:1"};
constexpr size_t kBytes = size_t{8} << 30;  // of addresses, for each device
constexpr uint64_t kDefaultSeed = 20240229;

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

class LateBackend final : public Backend {
 public:
  LateBackend() : seed_(number_from_environment("TINYTORCH_LATE_SEED", kDefaultSeed)) {
    scheduler().set_seed(seed_);
    fail_allocation(number_from_environment("TINYTORCH_LATE_FAIL_ALLOCATION", 0));
  }

  std::string_view name() const override { return "late"; }
  int device_count() const override { return kDevices; }
  DeviceInfo info(int index) const override {
    return {.description = "test device whose streams run late and out of order",
            .total_bytes = static_cast<int64_t>(devices_[index].allocator.bytes()),
            .host_memory = false,
            .synchronous = false,
            .test_only = true};
  }
  Allocator& allocator(int index) override { return devices_[index].allocator; }
  Stream& stream(int index) override { return devices_[index].stream; }
  std::unique_ptr<Stream> create_stream(int index) override {
    const std::lock_guard lock(scheduler().mutex);
    return std::make_unique<LateStream>(devices_[index].allocator, scheduler().open());
  }
  const KernelTable& kernels() const override { return kernel_table(); }
  std::string details() const override {
    return "kernels of the reference backend, order from seed " + std::to_string(seed_);
  }

  void fail_allocation(uint64_t k) {
    for (LateDevice& device : devices_) device.allocator.fail_allocation(k);
  }

 private:
  struct LateDevice {
    // Nobody else knows the scheduler yet: no lock.
    explicit LateDevice(const char* name)
        : allocator(name, kBytes), stream(allocator, scheduler().open()) {}
    LateAllocator allocator;
    LateStream stream;
  };

  const uint64_t seed_;
  LateDevice devices_[kDevices] = {LateDevice(kNames[0]), LateDevice(kNames[1])};
};

LateBackend* backend = nullptr;  // never destroyed

Backend* create(Unusable* why_not) noexcept {
  try {
    if (!backend) backend = new LateBackend;
  } catch (const std::exception& error) {
    *why_not = {Why::out_of_memory, error.what(),
                "Raise the limit of the process's address space (ulimit -v)."};
  }
  return backend;
}

void set_seed(uint64_t seed) {
  const std::lock_guard lock(scheduler().mutex);
  scheduler().set_seed(seed);
}

void fail_allocation(uint64_t k) {
  const std::lock_guard lock(scheduler().mutex);
  if (backend) backend->fail_allocation(k);
}

TinytorchLateCounters counters() {
  const std::lock_guard lock(scheduler().mutex);
  return scheduler().counters;
}

void reset_counters() {
  const std::lock_guard lock(scheduler().mutex);
  scheduler().counters = {};
}

}  // namespace

}  // namespace tinytorch::late

TT_BACKEND_PLUGIN(tinytorch::late::create);

extern "C" __attribute__((visibility("default"))) const TinytorchLateControl*
tinytorch_late_control() {
  static constexpr TinytorchLateControl kControl = {
      tinytorch::late::set_seed, tinytorch::late::fail_allocation, tinytorch::late::counters,
      tinytorch::late::reset_counters};
  return &kControl;
}
