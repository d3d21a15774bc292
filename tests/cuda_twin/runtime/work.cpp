// What the simulated runtime's streams carry: kernels, copies, fills, and the poison behind a free.
// Addresses are looked up when the work is given (copies and fills are refused at once, as on a
// device; a kernel fails when it runs) and again when it runs, since a graph runs later.
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda_twin/runtime/twin.h"
#include "tests/cuda_twin/shim/grid.h"

namespace tinytorch::twin {

using namespace cuda::rt;

namespace {

// The place of device memory that work reads or writes; loses the device if it is gone.
char* resolve(TwinDevice& device, const void* p, size_t bytes, const char* what) {
  TwinDevice* holder = device_of(p);
  char* real = holder ? holder->memory.real(p, bytes) : nullptr;
  if (real) return real;
  ++state().counters.bad_addresses;
  device.lose(kIllegalAddress, std::string(what) + ": " + describe(p, bytes));
  return nullptr;
}

class Copy final : public Work {
 public:
  Copy(TwinDevice& device, void* dst, const void* src, size_t bytes, CopyKind kind)
      : Work(device), dst_(dst), src_(src), bytes_(bytes), kind_(kind) {
    if (kind == CopyKind::host_to_device && !is_pinned(src, bytes)) {
      const auto* begin = static_cast<const char*>(src);
      snapshot_.assign(begin, begin + bytes);
      src_ = snapshot_.data();
    }
  }
  void execute() override {
    const void* from = src_;
    void* to = dst_;
    if (kind_ != CopyKind::host_to_device) from = resolve(device, src_, bytes_, "copy from");
    if (kind_ != CopyKind::device_to_host) to = resolve(device, dst_, bytes_, "copy to");
    const void* host = kind_ == CopyKind::host_to_device ? src_ : dst_;
    const bool pinned = kind_ != CopyKind::device_to_device && snapshot_.empty();
    if (pinned && !is_pinned(host, bytes_))
      return device.lose(kIllegalAddress, "copy: pinned memory was released meanwhile");
    if (from && to) std::memmove(to, from, bytes_);
  }
  void count(TinytorchTwinCounters& c) const override {
    ++(kind_ == CopyKind::host_to_device   ? c.host_to_device
       : kind_ == CopyKind::device_to_host ? c.device_to_host
                                           : c.device_to_device);
  }

 private:
  void* dst_;
  const void* src_;
  size_t bytes_;
  CopyKind kind_;
  std::vector<char> snapshot_;  // of pageable memory
};

class Fill final : public Work {
 public:
  Fill(TwinDevice& device, void* dst, int value, size_t bytes)
      : Work(device), dst_(dst), value_(value), bytes_(bytes) {}
  void execute() override {
    if (char* to = resolve(device, dst_, bytes_, "fill_bytes")) std::memset(to, value_, bytes_);
  }
  void count(TinytorchTwinCounters& c) const override { ++c.fills; }

 private:
  void* dst_;
  int value_;
  size_t bytes_;
};

// What a free leaves. A block of memory that was released since is nobody's.
class Poison final : public Work {
 public:
  Poison(TwinDevice& device, void* data, size_t bytes) : Work(device), data_(data), bytes_(bytes) {}
  void execute() override {
    TwinDevice* holder = device_of(data_);
    char* at = holder ? holder->memory.real(data_, bytes_) : nullptr;
    if (at) std::memset(at, kPoison, bytes_);
  }

 private:
  void* data_;
  size_t bytes_;
};

class Launch final : public Work {
 public:
  Launch(TwinDevice& device, const cuda::KernelCall& call)
      : Work(device), call_(call), sizes_(call.sizes, call.sizes + call.count) {
    size_t bytes = 0;
    for (size_t size : sizes_) {
      offsets_.push_back(bytes);
      bytes += (size + kSlot - 1) / kSlot * kSlot;
    }
    given_.resize(bytes / sizeof(Slot));
    for (int i = 0; i < call.count; ++i)
      std::memcpy(at(given_, i), call.arguments[i], sizes_[static_cast<size_t>(i)]);
    std::vector<Slot> probe = given_;
    bad_ = translate(probe);
  }
  void execute() override;
  void count(TinytorchTwinCounters& c) const override { ++c.launches; }

 private:
  static constexpr size_t kSlot = 16;
  struct alignas(kSlot) Slot {
    char bytes[kSlot];
  };
  char* at(std::vector<Slot>& slots, int i) const {
    return reinterpret_cast<char*>(slots.data()) + offsets_[static_cast<size_t>(i)];
  }
  std::string translate(std::vector<Slot>& slots);
  std::string find_overrun();

  cuda::KernelCall call_;
  std::vector<size_t> sizes_, offsets_;
  std::vector<Slot> given_;         // the arguments as they were at the call
  std::vector<const void*> named_;  // device addresses among them
  std::string bad_;                 // what was wrong with them at the call
};

// Replaces every device address by the real one; says what is wrong with one that has none. What
// lies beyond all memory ever given out is taken for a number.
std::string Launch::translate(std::vector<Slot>& slots) {
  named_.clear();
  for (int i = 0; i < call_.count; ++i)
    for (size_t offset = 0; offset + sizeof(void*) <= sizes_[static_cast<size_t>(i)];
         offset += sizeof(void*)) {
      char* word = at(slots, i) + offset;
      void* p;
      std::memcpy(&p, word, sizeof p);
      TwinDevice* holder = device_of(p);
      if (!holder || !holder->memory.ever_given(p)) continue;
      char* real = holder == &device ? holder->memory.real(p, 0) : nullptr;
      if (!real) {
        ++state().counters.bad_addresses;
        return std::string(call_.op) + ": argument " + std::to_string(i) + " names " +
               describe(p, 0) + (holder == &device ? "" : ", of another device");
      }
      named_.push_back(p);
      std::memcpy(word, &real, sizeof real);
    }
  return {};
}

std::string Launch::find_overrun() {
  for (const void* p : named_)
    if (device.memory.overrun(p)) {
      ++state().counters.overruns;
      return std::string(call_.op) + " wrote behind the end of the allocation of " + describe(p, 0);
    }
  return {};
}

void Launch::execute() {
  std::vector<Slot> slots = given_;
  std::string bad = bad_.empty() ? translate(slots) : bad_;
  if (bad.empty()) {
    std::vector<void*> arguments;
    for (int i = 0; i < call_.count; ++i) arguments.push_back(at(slots, i));
    arguments.push_back(nullptr);
    cuda::KernelCall call = call_;
    call.arguments = arguments.data();
    call.sizes = sizes_.data();
    run_grid(call);
    bad = find_overrun();
  }
  if (!bad.empty()) device.lose(kIllegalAddress, bad);
}

Status refuse_addresses(const char* what, const void* p, size_t bytes) {
  ++state().counters.bad_addresses;
  return refuse(kInvalidValue, std::string(what) + ": " + describe(p, bytes));
}

// Is [p, p + bytes) one live allocation's (a device address) or no device's (a host address)?
bool fits(const void* p, size_t bytes, bool on_device) {
  const TwinDevice* holder = device_of(p);
  return on_device ? holder && holder->memory.real(p, bytes) : !holder && p;
}

Status refused_in_capture(TwinStream& stream, const void* host, size_t bytes, CopyKind kind) {
  if (kind == CopyKind::device_to_device || is_pinned(host, bytes)) return kSuccess;
  return spoil(*stream.capture, "a copy of pageable memory during a capture");
}

}  // namespace
}  // namespace tinytorch::twin

namespace tinytorch::cuda::rt {

using namespace twin;

Status copy(void* dst, const void* src, size_t bytes, CopyKind kind, StreamHandle handle) {
  Call call("copy");
  if (call.failed()) return call.status();
  TwinStream* stream = call.stream(handle);
  if (!stream || bytes == 0) return call.status();
  if (!fits(dst, bytes, kind != CopyKind::device_to_host))
    return refuse_addresses("copy to", dst, bytes);
  if (!fits(src, bytes, kind != CopyKind::host_to_device))
    return refuse_addresses("copy from", src, bytes);
  const void* host = kind == CopyKind::device_to_host ? dst : src;
  if (stream->capture)
    if (const Status status = refused_in_capture(*stream, host, bytes, kind); status != kSuccess)
      return status;
  if (kind != CopyKind::device_to_host || is_pinned(dst, bytes)) {
    give(*stream, std::make_unique<Copy>(stream->device, dst, src, bytes, kind));
    return kSuccess;
  }
  ++state().counters.device_to_host;
  if (const Status status = wait_for(stream->device, stream->queue.place()); status != kSuccess)
    return status;
  const char* from = resolve(stream->device, src, bytes, "copy from");
  if (from) std::memcpy(dst, from, bytes);
  return stream->device.lost;
}

Status fill_bytes(void* dst, int value, size_t bytes, StreamHandle handle) {
  Call call("fill_bytes");
  if (call.failed()) return call.status();
  TwinStream* stream = call.stream(handle);
  if (!stream || bytes == 0) return call.status();
  if (!fits(dst, bytes, true)) return refuse_addresses("fill_bytes", dst, bytes);
  give(*stream, std::make_unique<Fill>(stream->device, dst, value, bytes));
  return kSuccess;
}

Status launch(const KernelCall& kernel, StreamHandle handle) {
  Call call("launch");
  if (call.failed()) return call.status();
  TwinStream* stream = call.stream(handle);
  if (!stream) return call.status();
  give(*stream, std::make_unique<Launch>(stream->device, kernel));
  return kSuccess;
}

// In a capture it is a node as well: what the graph freed is spoiled in each run, behind its last
// use.
void note_freed(void* data, size_t bytes, StreamHandle handle) noexcept {
  if (in_forked_child()) return;
  const std::lock_guard lock(late::scheduler().mutex);
  TwinStream* stream = state().streams.find(handle);
  if (!stream || bytes == 0 || stream->device.lost != kSuccess) return;
  ++state().counters.frees_noted;
  if (!fits(data, bytes, true)) {
    refuse_addresses("note_freed", data, bytes);
    return;
  }
  give(*stream, std::make_unique<Poison>(stream->device, data, bytes));
}

}  // namespace tinytorch::cuda::rt
