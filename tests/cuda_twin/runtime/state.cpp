// The simulated runtime's state, its environment variables, the guard of its functions, and faults.
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <utility>

#include "tests/cuda_twin/runtime/twin.h"
#include "tests/cuda_twin/shim/grid.h"

namespace tinytorch::twin {

using namespace cuda::rt;

namespace {

constexpr uint64_t kDefaultSeed = 20240229;
constexpr int kDriver = 13000;
constexpr size_t kBytes = size_t{8} << 30;

// A child of a process that used the device cannot use it: as with CUDA, every call says so.
std::atomic<bool> used{false}, forked{false};

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

State& state() {
  static State& instance = *new State;
  return instance;
}

State::State() {
  late::scheduler().set_seed(number_from_environment("TINYTORCH_TWIN_SEED", kDefaultSeed));
  pthread_atfork(nullptr, nullptr, [] { forked = used.load(); });
  read_environment();
}

// "call:k:status,call:k:status"
void State::read_environment() {
  driver = static_cast<int>(number_from_environment("TINYTORCH_TWIN_DRIVER", kDriver));
  device_count = static_cast<int>(number_from_environment("TINYTORCH_TWIN_DEVICES", 1));
  capacity = number_from_environment("TINYTORCH_TWIN_BYTES", kBytes);
  injections.clear();
  const char* fail = std::getenv("TINYTORCH_TWIN_FAIL");
  std::string rest = fail ? fail : "";
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string one = rest.substr(0, comma);
    rest.erase(0, comma + 1);
    const size_t first = one.find(':'), last = one.rfind(':');
    if (first == last) continue;
    injections[one.substr(0, first)] = {.at = std::strtoull(&one[first + 1], nullptr, 10),
                                        .status = std::atoi(&one[last + 1])};
  }
}

bool loses_device(Status status) {
  return status == 214 || status == kIllegalAddress || status == 702 || status == 710 ||
         (status >= 714 && status <= kLaunchFailure);
}

Status refuse(Status status, const std::string& why) {
  State& s = state();
  s.faults.push_back(why);
  s.texts[status] = s.faults.back().c_str();
  return status;
}

Status no_such_handle(const char* what) {
  return refuse(kInvalidHandle, std::string("no such ") + what + ", or it was destroyed");
}

void TwinDevice::lose(Status status, const std::string& why) {
  if (lost != kSuccess) return;
  lost = refuse(status, why);
}

void Work::run() {
  if (device.lost != kSuccess) return;
  try {
    execute();
  } catch (const KernelFault& fault) {
    device.lose(kLaunchFailure, fault.what());
  } catch (const std::exception& error) {
    device.lose(kUnknown, error.what());
  }
}

// ---- devices

int& current_device() {
  thread_local int device = 0;
  return device;
}

Status find_device(int index, TwinDevice** device) {
  State& s = state();
  if (s.driver < kDriver) return kInsufficientDriver;
  if (s.device_count <= 0) return kNoDevice;
  if (index < 0 || index >= s.device_count || index >= kMostDevices) return kInvalidDevice;
  std::unique_ptr<TwinDevice>& place = s.devices[index];
  if (!place) {
    try {
      place = std::make_unique<TwinDevice>(index, s.capacity);
    } catch (const OutOfMemoryError& error) {
      return refuse(kOutOfMemory, error.what());
    }
    used = true;
  }
  *device = place.get();
  return kSuccess;
}

// ---- the guard

bool in_forked_child() { return forked; }

Call::Call(const char* name, Needs needs)
    : status_(forked ? kInitializationError : start(name, needs)) {}

Status Call::start(const char* name, Needs needs) {
  lock_ = std::unique_lock(late::scheduler().mutex);
  State& s = state();
  auto at = s.injections.find(std::string_view(name));
  if (at == s.injections.end()) at = s.injections.try_emplace(name).first;
  Injection& injection = at->second;
  ++injection.uses;
  Status found = kSuccess;
  if (needs == Needs::driver && s.driver < kDriver) found = kInsufficientDriver;
  if (needs == Needs::device) found = find_device(current_device(), &device_);
  if (found != kSuccess) return found;
  cleans_ = true;
  if (device_ && device_->lost != kSuccess) return device_->lost;
  if (injection.status == kSuccess || (injection.at != 0 && injection.at != injection.uses))
    return kSuccess;
  const Status status = injection.status;
  if (injection.at != 0) injection.status = kSuccess;
  const std::string why = std::string("the test asked for this failure of ") + name;
  if (device_ && loses_device(status)) device_->lose(status, why);
  return refuse(status, why);
}

TwinStream* Call::stream(StreamHandle handle) {
  TwinStream* found = state().streams.find(handle);
  if (!found) {
    status_ = no_such_handle("stream");
  } else if (found->device.lost != kSuccess) {
    status_ = found->device.lost;
  } else if (found->capture && found->capture->invalid) {
    status_ = refuse(kCaptureInvalidated, "the stream's capture was spoiled by an earlier call");
  }
  return failed() ? nullptr : found;
}

TwinStream* Call::stream_to_wait_for(StreamHandle handle) {
  TwinStream* found = stream(handle);
  if (!found || !found->capture) return found;
  status_ = spoil(*found->capture, "a wait for a stream that captures");
  return nullptr;
}

TwinEvent* Call::event(EventHandle handle) {
  TwinEvent* found = state().events.find(handle);
  if (!found)
    status_ = no_such_handle("event");
  else if (found->device.lost != kSuccess)
    status_ = found->device.lost;
  return failed() ? nullptr : found;
}

}  // namespace tinytorch::twin
