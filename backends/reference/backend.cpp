// The smallest complete backend: host memory without a cache, the stream of host_stream.h, and a
// table of kernels. Read this first when you write a backend of your own; docs/backends.md says
// what each function promises.
#include "backends/reference/backend.h"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include <tinytorch/error.h>
#include <tinytorch/profiler.h>

#include "backends/common/host_stream.h"

namespace tinytorch {
namespace reference {

const KernelTable& kernel_table();  // kernels/reference/table.cpp

namespace {

// Every block comes from the system and goes back to it, so a sanitizer sees each access to a freed
// one.
class PlainAllocator final : public Allocator {
 public:
  PlainAllocator();
  void record_use(MemoryBlock&, Stream&) override {}  // no stream is ever behind
  MemoryStats stats() const override {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() override {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
    stats_.peak_reserved = stats_.reserved;
  }
  void trim(size_t) override {}  // nothing is cached
  void set_limit(size_t bytes) override {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
  }

 protected:
  MemoryBlock allocate_block(size_t bytes, Stream&) override;
  void free_block(MemoryBlock block, Stream&) noexcept override;

 private:
  static constexpr size_t kAlignment = 64;
  static size_t rounded(size_t bytes) {
    return std::max((bytes + kAlignment - 1) / kAlignment, size_t{1}) * kAlignment;
  }
  void count(int64_t asked, int64_t given);
  [[noreturn]] void throw_out_of_memory(size_t bytes) const;

  mutable std::mutex mutex_;
  MemoryStats stats_;
  size_t limit_ = 0;
};

// The child of a fork finds the lock free, and the statistics whole.
PlainAllocator::PlainAllocator() {
  static PlainAllocator* only;
  only = this;
  const auto release = [] { only->mutex_.unlock(); };
  pthread_atfork([] { only->mutex_.lock(); }, release, release);
}

void emit_raw(EventKind kind, const void* data, size_t bytes) noexcept {
  if (!observed()) return;
  Event event;
  event.kind = kind;
  event.name = name_of(kind);
  event.device = "reference:0";
  event.pointer = data;
  event.bytes = static_cast<int64_t>(bytes);
  emit(event);
}

// `given` is positive for a block taken, negative for one freed; `asked` has its sign, or is 0.
void PlainAllocator::count(int64_t asked, int64_t given) {
  (given < 0 ? stats_.frees : stats_.allocs) += 1;
  (given < 0 ? stats_.raw_frees : stats_.raw_allocs) += 1;
  stats_.in_use += asked;
  stats_.given += given;
  stats_.reserved += given;
  stats_.peak = std::max(stats_.peak, stats_.in_use);
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
}

MemoryBlock PlainAllocator::allocate_block(size_t bytes, Stream&) {
  if (bytes > static_cast<size_t>(PTRDIFF_MAX) - kAlignment) throw_out_of_memory(bytes);
  const size_t given = rounded(bytes);
  void* data = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (limit_ == 0 || static_cast<size_t>(stats_.reserved) + given <= limit_)
      data = std::aligned_alloc(kAlignment, given);
    if (data) count(static_cast<int64_t>(bytes), static_cast<int64_t>(given));
  }
  if (!data) throw_out_of_memory(bytes);
  emit_raw(EventKind::raw_alloc, data, given);
  return {data, bytes};
}

void PlainAllocator::free_block(MemoryBlock block, Stream&) noexcept {
  const size_t given = rounded(block.bytes);
  emit_raw(EventKind::raw_free, block.data, given);
  std::free(block.data);
  const std::lock_guard lock(mutex_);
  count(-static_cast<int64_t>(block.bytes), -static_cast<int64_t>(given));
}

void PlainAllocator::throw_out_of_memory(size_t bytes) const {
  const MemoryStats now = stats();
  throw OutOfMemoryError("[alloc] out of memory on reference:0: " + std::to_string(bytes) +
                         " bytes asked for; in use " + std::to_string(now.in_use) + ", reserved " +
                         std::to_string(now.reserved) + " (bytes)");
}

class ReferenceBackend final : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  int device_count() const override { return 1; }
  DeviceInfo info(int) const override {
    DeviceInfo info;
    info.description = "slow, exact arithmetic for comparison";
    info.host_memory = true;
    info.synchronous = true;
    return info;
  }
  Allocator& allocator(int) override { return allocator_; }
  Stream& stream(int) override { return stream_; }
  std::unique_ptr<Stream> create_stream(int) override {
    return std::make_unique<HostStream>(allocator_);
  }
  const KernelTable& kernels() const override { return kernel_table(); }

 private:
  PlainAllocator allocator_;
  HostStream stream_{allocator_};
};

}  // namespace
}  // namespace reference

Backend* reference_backend() {
  static Backend* one = new reference::ReferenceBackend;
  return one;
}

}  // namespace tinytorch
