// Bookkeeping of a capture. Blocks are found by address at the time of the launch, when exactly one
// live block has it; what is not one of the capture's own lies outside and is kept alive.
#include "core/runtime/recording.h"

#include <algorithm>
#include <new>

#include <tinytorch/graph.h>

#include "core/runtime/events.h"
#include "core/runtime/fork.h"

namespace tinytorch {

namespace {

struct Active {
  ForkSafeMutex<std::mutex> mutex;
  std::vector<Recording*> list;
};
Active& active() {
  static auto* a = new Active;
  return *a;
}

}  // namespace

void* Pages::take(size_t bytes) {
  constexpr size_t kAlign = alignof(std::max_align_t);
  bytes = (bytes + kAlign - 1) / kAlign * kAlign;
  if (bytes > left_) {
    const size_t page = std::max(bytes, kPage);
    pages_.push_back(std::make_unique<std::byte[]>(page));
    left_ = page;
    size_ = page;
  }
  void* at = pages_.back().get() + (size_ - left_);
  left_ -= bytes;
  return at;
}

Recording::Recording(DeviceState* d, Stream* s)
    : device(d),
      stream(s),
      outer(current_stream(d)),
      binds(!s->begin_capture()),
      outer_device_(thread_state().stream_device),
      outer_stream_(thread_state().stream) {
  Active& a = active();
  std::lock_guard lock(a.mutex);
  a.list.push_back(this);
  detail::hooks.fetch_or(detail::kCapturing);
  thread_state().recording = this;
  resume(d, s);
}

Recording::~Recording() {
  pause();
  thread_state().recording = nullptr;
  Active& a = active();
  std::lock_guard lock(a.mutex);
  a.list.erase(std::find(a.list.begin(), a.list.end(), this));
  if (a.list.empty()) detail::hooks.fetch_and(~detail::kCapturing);
}

// What is given to `later` from now on runs after what was given to `earlier`.
void Recording::order(Stream& earlier, Stream& later) const noexcept {
  if (device->synchronous || !binds) return;
  try {
    later.wait(earlier.mark());
  } catch (const std::exception&) {  // a lost device tells the next caller
  }
}

void Recording::pause() noexcept {
  if (paused) return;
  order(*stream, *outer);
  ThreadState& t = thread_state();
  t.stream_device = outer_device_;
  t.stream = outer_stream_;
  t.scratch = nullptr;
  paused = true;
}

void Recording::resume(DeviceState* stream_device, Stream* current) noexcept {
  order(*outer, *stream);
  ThreadState& t = thread_state();
  t.stream_device = stream_device;
  t.stream = current;
  t.scratch = binds && device->synchronous ? &scratch_ : nullptr;
  paused = false;
}

void Recording::allocated(Storage* s, const MemoryBlock& block) {
  char* data = static_cast<char*>(block.data);
  const std::lock_guard lock(active().mutex);
  blocks.push_back({data, block.bytes, s});
  try {
    live_[data] = blocks.size() - 1;
  } catch (...) {
    blocks.pop_back();
    throw;
  }
}

void Recording::freed(Storage* s, const MemoryBlock& block) noexcept {
  Active& a = active();
  const std::lock_guard lock(a.mutex);
  for (Recording* r : a.list) {
    const auto it = r->live_.find(static_cast<const char*>(block.data));
    if (it == r->live_.end() || r->blocks[it->second].storage != s) continue;
    r->blocks[it->second].storage = nullptr;
    r->live_.erase(it);
  }
}

bool Recording::made(Storage* s, const MemoryBlock& block) const {
  const std::lock_guard lock(active().mutex);
  const auto own = live_.find(static_cast<const char*>(block.data));
  return own != live_.end() && blocks[own->second].storage == s;
}

bool Recording::used(Storage* s, const MemoryBlock& block) {
  if (made(s, block)) return false;
  const auto* data = static_cast<const char*>(block.data);
  const auto [begin, end] = outside.equal_range(data);
  for (auto it = begin; it != end; ++it)
    if (it->second.storage == s) return false;
  outside.emplace(data, Outside{s, block.bytes, false});
  return true;
}

void Recording::refuse_without_values(Storage* s, const MemoryBlock& block) {
  if (made(s, block))
    refuse("[CapturePause] a tensor of the captured step is used in a pause on " +
           std::string(device->name) +
           ", which records the step and runs it at the end; make what " +
           "the pause needs before the capture");
}

void Recording::refuse(const std::string& why) {
  if (refused_.empty()) refused_ = why;
  throw CaptureError(why);
}

void Recording::check_whole() {
  if (!refused_.empty()) throw CaptureError(refused_);
  if (running_)
    refuse("[" + std::string(running_) +
           "] failed inside the capture, and the step went on; let its exception pass");
}

void refuse_captured(const char* op, const char* what) {
  if (thread_state().dry_run)
    throw ValueError(
        "[" + std::string(op) +
        "] inside predict_memory, which computes nothing, needed: a step that reads no "
        "elements, waits for nothing and stays on one device");
  if (Recording* r = capturing()) r->refuse("[" + std::string(op) + "] " + what);
}

void Recording::begin(const char* op, DeviceState* d, Stream* s, KernelContext& c,
                      const KernelCost& launch_cost) {
  check_whole();
  if (d != device)
    refuse("[" + std::string(op) + "] on " + d->name + " inside a capture on " + device->name +
           ", needed: one device; do this before the capture");
  if (s != stream)
    refuse("[" + std::string(op) +
           "] on another stream than that of the capture, needed: no StreamGuard inside");
  if (thread_state().anomaly)
    refuse("[" + std::string(op) +
           "] inside a capture in anomaly mode, which reads every result; look for the NaN without "
           "a capture");
  if (!d->synchronous) c.error = outer->context().error;  // read when that stream is waited for
  scratch_.top = scratch_.most = 0;
  running_ = op;
  cost.flops += launch_cost.flops;
  cost.bytes += launch_cost.bytes;
}

void Recording::end() noexcept {
  running_ = nullptr;
  if (binds) launches.back()->workspace_bytes = scratch_.most;
}

void Recording::add(BoundLaunch* launch, const char* op, const KernelCost& cost) {
  const ThreadState& t = thread_state();
  launch->op = op;
  launch->cost = cost;
  launch->module = t.module;
  launch->forward_op = t.current ? current_node_name() : "";
  launch->phase = t.current ? static_cast<uint8_t>(Phase::backward) : t.phase;
  launches.push_back(launch);
}

void Recording::keep(Kept<View>& to, const View& v) {
  to.value = v;
  to.block = -1;
  const std::lock_guard lock(active().mutex);
  const auto after = live_.upper_bound(v.as<char>());
  if (after == live_.begin()) return;
  const size_t index = std::prev(after)->second;
  RecordedBlock& block = blocks[index];
  if (v.as<char>() >= block.data + std::max<size_t>(block.bytes, 1)) return;
  block.last = static_cast<int64_t>(launches.size()) - 1;
  if (block.first < 0) block.first = block.last;
  to.block = static_cast<int64_t>(index);
  patches.push_back({&to.value.data, index});
}

void Recording::keep(Kept<const View*>& to, const View* v) {
  to.present = v != nullptr;
  if (v) keep(to.view, *v);
}

void Recording::keep(Kept<ViewList>& to, const ViewList& list) {
  const auto n = static_cast<size_t>(list.count);
  auto* views = pages.array<Kept<View>>(n);
  auto** pointers = pages.array<const View*>(n);
  for (size_t i = 0; i < n; ++i) {
    keep(*new (views + i) Kept<View>, list[static_cast<int>(i)]);
    pointers[i] = &views[i].value;
  }
  to.value = {list.count, pointers};
}

void Recording::wrote(const View& v) {
  const auto* data = v.as<char>();
  const auto after = outside.upper_bound(data);
  for (auto it = outside.begin(); it != after; ++it)
    if (data < it->first + it->second.bytes) it->second.written = true;
}

}  // namespace tinytorch
