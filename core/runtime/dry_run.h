// A dry run: a thread goes through a step for its sizes alone. Storages have a size and no memory,
// launches run no kernel, and what would be alive is counted. Nothing that was there before is
// written. Costs nothing while there is none: its hooks are those of captures.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <type_traits>

#include <tinytorch/profiler.h>

#include "core/runtime/device_state.h"

namespace tinytorch {

// Live bytes of a dry run by category, and the most there were. It lives until the run and all its
// storages have ended.
class DryMemory {
 public:
  using Bytes = std::array<int64_t, kCategoryCount>;
  void take(uint8_t category, size_t bytes);
  void give(uint8_t category, size_t bytes) noexcept;  // on any thread, also after the run
  void workspace(int64_t bytes);                       // asked for by one launch, and given back
  void end() noexcept;                                 // of the run
  void restart();                                      // forgets the peak so far
  Bytes live() const;
  Bytes at_peak() const;
  int64_t most_workspace() const;  // of one launch

 private:
  void note_peak(int64_t total, int64_t workspace);

  mutable std::mutex mutex_;
  int64_t storages_ = 0;
  bool ended_ = false;
  Bytes live_{}, at_peak_{};
  int64_t total_ = 0, peak_ = 0, most_workspace_ = 0;
};

// What a kernel gets that only tells its workspace: memory that takes no room until it is touched,
// and zeros where it is read. The calling thread is in sizing mode while it lives.
class StandIns {
 public:
  explicit StandIns(size_t bytes);  // of all operands; OutOfMemoryError
  ~StandIns();
  StandIns(const StandIns&) = delete;
  StandIns& operator=(const StandIns&) = delete;

  static size_t extent(const View& v);
  static size_t extent(const View* v) { return v ? extent(*v) : 0; }
  template <class T>
  static size_t extent(const T&) {
    static_assert(!std::is_same_v<T, ViewList>, "rows of lists ask for nothing");
    return 0;
  }
  const View& of(const View& v);
  const View* of(const View* v) { return v ? &of(*v) : nullptr; }
  template <class T>
  const T& of(const T& value) {
    return value;
  }
  int64_t workspace() const { return static_cast<int64_t>(scratch_.most); }

 private:
  static constexpr size_t kMostViews = 12;
  char* base_;
  size_t mapped_, used_ = 0, count_ = 0;
  std::array<View, kMostViews> views_;
  Scratch scratch_{};
  Scratch* const before_;
};

class DryRun {
 public:
  explicit DryRun(DeviceState* d);  // the calling thread's, until it ends
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

  void check(const char* op, const DeviceState* d) const;  // ValueError for another device
  template <class... P>
  void size(void (*kernel)(KernelContext&, P...), KernelContext c,
            std::type_identity_t<P>... args) {
    StandIns operands((StandIns::extent(args) + ... + size_t{0}));
    ErrorWord ignored{};
    if (device->synchronous) c.error = &ignored;
    kernel(c, operands.of(args)...);
    memory->workspace(operands.workspace());
  }
  // A storage from outside takes part: it stays alive, and gets its version back in the end.
  void use(Storage* s);
  DryMemory::Bytes outside() const;  // bytes of those storages, without foreign memory

  DeviceState* const device;
  DryMemory* const memory;

 private:
  DeviceState* const stream_device_;  // the thread's before
  Stream* const stream_;
  std::map<Storage*, uint32_t> outside_;  // and the versions they had
};

// Set while any thread is in a dry run, beside kObserved, kAnomaly and kCapturing.
inline constexpr uint32_t kDryRunning = 8;

}  // namespace tinytorch
