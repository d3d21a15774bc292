// Device: parsing, defaults, guards, streams. The process default comes from TINYTORCH_DEVICE when
// it is first asked for.
#include <tinytorch/device.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "core/runtime/events.h"
#include "core/runtime/recording.h"
#include "core/runtime/registry.h"

#ifndef TT_VERSION
#define TT_VERSION "0.1.0"
#endif

namespace tinytorch {

namespace {
std::atomic<DeviceState*> g_default{nullptr};

std::string describe(const BackendEntry& e) {
  return "backend '" + e.name + "' cannot be used: " + e.unusable.reason + "; " + e.unusable.fix;
}

DeviceState* find_device(std::string_view name) {
  std::string_view backend = name;
  int index = 0;
  if (const size_t colon = name.find(':'); colon != std::string_view::npos) {
    backend = name.substr(0, colon);
    const std::string_view digits = name.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error != std::errc() || end != digits.data() + digits.size() || index < 0)
      throw DeviceError(
          "[Device] '" + std::string(name) +
          "' is not a device name, needed: backend or backend:index, as in \"cpu\" or \"cuda:0\"");
  }
  BackendEntry& e = backend_entry(backend);
  if (!e.backend) throw DeviceError("[Device] " + describe(e));
  if (index >= static_cast<int>(e.devices.size()))
    throw DeviceError("[Device] '" + std::string(name) + "': backend '" + e.name + "' has " +
                      std::to_string(e.devices.size()) + " device(s), needed: an index below that");
  return e.devices[static_cast<size_t>(index)];
}

DeviceState* process_default() {
  if (DeviceState* d = g_default.load(std::memory_order_acquire)) return d;
  const char* env = std::getenv("TINYTORCH_DEVICE");
  DeviceState* d =
      env && *env ? (std::string_view(env) == "best" ? Device::best().state() : find_device(env))
                  : find_device("cpu");
  DeviceState* expected = nullptr;
  g_default.compare_exchange_strong(expected, d, std::memory_order_acq_rel);
  return expected ? expected : d;
}
}  // namespace

DeviceState* current_device() {
  DeviceState* d = thread_state().device;
  return d ? d : process_default();
}

Device::Device() : state_(current_device()) {}
Device::Device(std::string_view name) : state_(find_device(name)) {}

Device Device::best() noexcept {
  try {
    for (const std::string& name : known_backends()) {
      if (name == "cpu" || name == "reference") continue;
      const BackendEntry& e = backend_entry(name);
      if (e.backend && !e.devices[0]->test_only) return Device(e.devices[0]);
    }
  } catch (...) {  // whatever is wrong with the others, the CPU is there
  }
  return Device(backend_entry("cpu").devices[0]);
}

std::vector<Device> Device::all() {
  std::vector<Device> out;
  for (const std::string& name : known_backends()) {
    const BackendEntry& e = backend_entry(name);
    if (!e.backend) continue;
    for (DeviceState* d : e.devices)
      if (!d->test_only) out.emplace_back(d);
  }
  return out;
}

std::vector<Device> Device::opened() {
  std::vector<Device> out;
  for (DeviceState* d : opened_devices()) out.emplace_back(d);
  return out;
}

std::string Device::name() const { return state_->name; }
std::string Device::backend() const { return state_->backend_name; }
int Device::index() const { return state_->index; }
DeviceInfo Device::info() const { return state_->backend->info(state_->index); }
void Device::synchronize() const {
  tinytorch::synchronize(state_, tinytorch::current_stream(state_));
}

bool Device::has_kernel(std::string_view row) const {
#define TT_KERNEL(name, layout, need, args, flops, bytes) \
  if (row == #name) return state_->kernels->name != nullptr;
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL
  return false;
}

void set_default_device(const Device& device) {
  g_default.store(device.state(), std::memory_order_release);
}
Device default_device() { return Device(current_device()); }

DeviceGuard::DeviceGuard(const Device& device) : before_(thread_state().device) {
  thread_state().device = device.state();
}
DeviceGuard::~DeviceGuard() { thread_state().device = before_; }

std::shared_ptr<Stream> create_stream(const Device& device) {
  DeviceState* d = device.state();
  Stream* s = nullptr;
  {
    std::lock_guard lock(d->mutex);
    if (!d->spare_streams.empty()) {
      s = d->spare_streams.back();
      d->spare_streams.pop_back();
    } else {
      d->spare_streams.reserve(d->spare_streams.size() +
                               64);  // so that giving one back cannot fail
    }
  }
  if (!s) s = d->backend->create_stream(d->index).release();
  return std::shared_ptr<Stream>(s, [d](Stream* done) {
    try {
      done->synchronize();
    } catch (...) {  // a lost device tells the next caller
    }
    std::lock_guard lock(d->mutex);
    d->spare_streams.push_back(done);
  });
}

StreamGuard::StreamGuard(const Device& device, Stream& stream)
    : before_device_(thread_state().stream_device), before_(thread_state().stream) {
  if (stream.context().allocator != device.state()->allocator)
    throw DeviceError("[StreamGuard] a stream of another device than " + device.name());
  thread_state().stream_device = device.state();
  thread_state().stream = &stream;
}
StreamGuard::~StreamGuard() {
  thread_state().stream_device = before_device_;
  thread_state().stream = before_;
}
Stream& current_stream(const Device& device) { return *current_stream(device.state()); }
void wait_stream(Stream& waiting, Stream& first) {
  not_in_capture("wait_stream", "inside a capture: a replay would not wait again; wait before it");
  const std::string_view a = device_label(waiting.context().allocator),
                         b = device_label(first.context().allocator);
  if (a.substr(0, a.find(':')) != b.substr(0, b.find(':')))
    throw DeviceError("[wait_stream] streams of " + std::string(a) + " and " + std::string(b) +
                      ", needed: of one backend; synchronize() the first");
  waiting.wait(first.mark());
}

void set_num_threads(int n) {
  if (n < 1) throw ValueError("[set_num_threads] " + std::to_string(n) + ", needed: at least 1");
  backend_entry("cpu").backend->set_num_threads(n);
}
int num_threads() { return backend_entry("cpu").backend->num_threads(); }

bool set_fused_kernels(bool on) noexcept {
  ThreadState& t = thread_state();
  const bool before = !t.no_fused;
  t.no_fused = !on;
  return before;
}

const char* version() noexcept { return TT_VERSION; }

}  // namespace tinytorch
