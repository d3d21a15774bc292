// The half of a dry run that knows no storages: counting, and launches that only ask for their
// workspace.
#include "core/runtime/dry_run.h"

#include <sys/mman.h>

#include <algorithm>
#include <set>
#include <string>

#include <tinytorch/backend/sizing.h>
#include <tinytorch/error.h>

#include "core/runtime/arena_plan.h"
#include "core/runtime/fork.h"

namespace tinytorch {

namespace {

struct Declared {
  ForkSafeMutex<std::mutex> mutex;
  std::set<std::string, std::less<>> backends;
};
Declared& declared() {
  static auto* d = new Declared;
  return *d;
}

}  // namespace

bool only_sizing() noexcept { return thread_state().sizing; }

void declare_sizing(std::string_view backend) {
  Declared& d = declared();
  const std::lock_guard lock(d.mutex);
  d.backends.emplace(backend);
}

bool sizing_declared(std::string_view backend) {
  Declared& d = declared();
  const std::lock_guard lock(d.mutex);
  return d.backends.contains(backend);
}

// ---- counting

void DryMemory::note_peak(int64_t total, int64_t workspace) {
  if (total <= peak_) return;
  peak_ = total;
  at_peak_ = live_;
  at_peak_[static_cast<size_t>(Category::workspace)] += workspace;
}

void DryMemory::take(uint8_t category, size_t bytes) {
  const std::lock_guard lock(mutex_);
  ++storages_;
  live_[category] += static_cast<int64_t>(bytes);
  total_ += static_cast<int64_t>(bytes);
  note_peak(total_, 0);
}

void DryMemory::give(uint8_t category, size_t bytes) noexcept {
  std::unique_lock lock(mutex_);
  live_[category] -= static_cast<int64_t>(bytes);
  total_ -= static_cast<int64_t>(bytes);
  if (--storages_ > 0 || !ended_) return;
  lock.unlock();
  delete this;
}

void DryMemory::end() noexcept {
  std::unique_lock lock(mutex_);
  ended_ = true;
  if (storages_ > 0) return;
  lock.unlock();
  delete this;
}

void DryMemory::workspace(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  most_workspace_ = std::max(most_workspace_, bytes);
  note_peak(total_ + bytes, bytes);
}

void DryMemory::restart() {
  const std::lock_guard lock(mutex_);
  peak_ = total_;
  at_peak_ = live_;
  most_workspace_ = 0;
}

DryMemory::Bytes DryMemory::live() const {
  const std::lock_guard lock(mutex_);
  return live_;
}
DryMemory::Bytes DryMemory::at_peak() const {
  const std::lock_guard lock(mutex_);
  return at_peak_;
}
int64_t DryMemory::most_workspace() const {
  const std::lock_guard lock(mutex_);
  return most_workspace_;
}

// ---- launches

size_t StandIns::extent(const View& v) {
  int64_t elements = 1;
  for (int i = 0; i < v.rank; ++i) elements += std::max<int64_t>(v.shape[i] - 1, 0) * v.strides[i];
  return arena_rounded(static_cast<size_t>(elements) * size_of(v.dtype));
}

// On the host as much again as the operands for workspace, and some: a kernel that asks for more
// gets it from the device's allocator, and is counted all the same.
StandIns::StandIns(size_t bytes) : mapped_(0), before_(thread_state().scratch) {
  constexpr size_t kSpare = size_t{1} << 30, kEndless = size_t{1} << 46;
  size_t workspace = kEndless;
  if (thread_state().dry_run->device->host_memory) {
    workspace = bytes + kSpare;
    mapped_ = bytes + workspace;
    void* data = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
      throw OutOfMemoryError("[predict_memory] no address space for operands of " +
                             std::to_string(bytes) + " bytes");
    base_ = static_cast<char*>(data);
  } else {
    base_ = reinterpret_cast<char*>(uintptr_t{1} << 20);  // nowhere, and aligned
  }
  scratch_ = {base_ + bytes, workspace, 0, 0};
  thread_state().scratch = &scratch_;
  thread_state().sizing = true;
}

StandIns::~StandIns() {
  thread_state().sizing = false;
  thread_state().scratch = before_;
  if (mapped_) munmap(base_, mapped_);
}

const View& StandIns::of(const View& v) {
  View& own = views_.at(count_++);
  own = v;
  own.data = base_ + used_;
  used_ += extent(v);
  return own;
}

void DryRun::check(const char* op, const DeviceState* d) const {
  if (d == device && thread_state().stream_device == d) return;
  throw ValueError("[" + std::string(op) + "] on " + d->name + " inside predict_memory for " +
                   device->name + ", needed: one device, and its current stream");
}

}  // namespace tinytorch
