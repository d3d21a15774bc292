// The half of a dry run that knows storages: which ones took part that were there before, and that
// they are left as they were.
#include "core/runtime/dry_run.h"

#include "core/tensor/tensor_impl.h"

namespace tinytorch {

// The hook bit is set while any thread is in a dry run.
static void count_dry_runs(int change) {
  static auto* mutex = new ForkSafeMutex<std::mutex>;
  static int running = 0;
  const std::lock_guard lock(*mutex);
  running += change;
  if (running) {
    detail::hooks.fetch_or(kDryRunning);
  } else {
    detail::hooks.fetch_and(~kDryRunning);
  }
}

// A current stream of the thread's own makes every allocation and every use take the long way.
DryRun::DryRun(DeviceState* d)
    : device(d),
      memory(new DryMemory),
      stream_device_(thread_state().stream_device),
      stream_(thread_state().stream) {
  Stream* const current = current_stream(d);
  count_dry_runs(1);
  ThreadState& t = thread_state();
  t.stream_device = d;
  t.stream = current;
  t.dry_run = this;
}

DryRun::~DryRun() {
  ThreadState& t = thread_state();
  t.dry_run = nullptr;
  t.stream_device = stream_device_;
  t.stream = stream_;
  count_dry_runs(-1);
  for (const auto& [s, version] : outside_) {
    s->version = version;
    release(s);
  }
  memory->end();
}

void DryRun::use(Storage* s) {
  if (outside_.emplace(s, s->version).second) s->refs.retain();
}

DryMemory::Bytes DryRun::outside() const {
  DryMemory::Bytes bytes{};
  for (const auto& [s, version] : outside_) {
    if (s->foreign) continue;
    const auto category =
        s->category ? static_cast<size_t>(s->category) : static_cast<size_t>(Category::activation);
    bytes[category] += static_cast<int64_t>(s->block.bytes);
  }
  return bytes;
}

}  // namespace tinytorch
