// What a thread records between begin and end of a capture: every launch with its arguments by
// value, and which blocks they use. On a device that records itself (Stream::begin_capture) only
// the rules are checked here. Layers above find the recording of their thread with capturing().
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <tinytorch/backend/kernel_cost.h>
#include <tinytorch/profiler.h>

#include "core/runtime/device_state.h"

namespace tinytorch {

struct Storage;

// ---- bound launches

// A launch that can run again. Its memory is a Pages's, and it has no destructor.
struct BoundLaunch {
  void (*run)(BoundLaunch&, KernelContext&);
  const char* op;
  char* workspace = nullptr;  // its place in the arena
  size_t workspace_bytes = 0;
  const char *module, *forward_op;  // of its events
  KernelCost cost;
  uint8_t phase;
};

// An argument of a kernel, kept for later.
template <class T>
struct Kept {
  static_assert(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>);
  T value;
  const T& get() const { return value; }
};
template <>
struct Kept<View> {
  View value;
  int64_t block;  // of the capture in which it lies; -1: outside
  const View& get() const { return value; }
};
template <>
struct Kept<const View*> {
  Kept<View> view;
  bool present;
  const View* get() const { return present ? &view.value : nullptr; }
};

template <class... P>
struct BoundCall : BoundLaunch {
  void (*kernel)(KernelContext&, P...);
  std::tuple<Kept<std::remove_cvref_t<P>>...> args;

  static void run_it(BoundLaunch& launch, KernelContext& c) {
    auto& self = static_cast<BoundCall&>(launch);
    std::apply([&](const auto&... a) { self.kernel(c, a.get()...); }, self.args);
  }
};

// Memory that is freed as a whole; what lies in it never moves.
class Pages {
 public:
  void* take(size_t bytes);
  template <class T>
  T* array(size_t n) {
    return static_cast<T*>(take(n * sizeof(T)));
  }

 private:
  static constexpr size_t kPage = 16 << 10;
  std::vector<std::unique_ptr<std::byte[]>> pages_;
  size_t size_ = 0, left_ = 0;  // of the last page
};

// ---- recording

// A block that was allocated during the capture.
struct RecordedBlock {
  char* data;
  size_t bytes;
  Storage* storage;               // null once it is freed
  int64_t first = -1, last = -1;  // the launches that use it
};

class Recording {
 public:
  // Makes `stream` the thread's current one, and the recording its own.
  Recording(DeviceState* d, Stream* stream);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // Of storages, from the layer that has them.
  void allocated(Storage* s, const MemoryBlock& block);
  static void freed(Storage* s, const MemoryBlock& block) noexcept;  // on any thread
  // A storage is used. -> is it from outside, and this the first time?
  bool used(Storage* s, const MemoryBlock& block);
  // CaptureError if the storage is the capture's own: while the device records it has no values.
  void refuse_without_values(Storage* s, const MemoryBlock& block);

  // Around the kernel: begin throws CaptureError for another device or stream.
  void begin(const char* op, DeviceState* d, Stream* s, KernelContext& c, const KernelCost& cost);
  template <class... P>
  void bind(void (*kernel)(KernelContext&, P...), const char* op, const KernelCost& cost,
            std::type_identity_t<P>... args);
  void wrote(const View& v);  // an output of the launch
  void end() noexcept;
  void failed(const char* op) noexcept { running_ = op; }  // found a bad value

  // The thread works as before the capture, until resume().
  void pause() noexcept;
  void resume(DeviceState* stream_device, Stream* current) noexcept;
  // Lets the capture fail at its end, however the exception that follows is treated.
  [[noreturn]] void refuse(const std::string& why);
  void check_whole();  // CaptureError if something was refused, or a launch failed

  struct Outside {
    Storage* storage;
    size_t bytes;
    bool written;
  };
  struct Patch {  // data of a view that lies in a block of the capture
    void** data;
    size_t block;
  };

  DeviceState* const device;
  Stream* const stream;  // of the capture
  Stream* const outer;   // the thread's before, of the device
  const bool binds;      // else the device records
  bool paused = false;
  KernelCost cost;  // of all launches
  Pages pages;
  std::vector<BoundLaunch*> launches;
  std::vector<RecordedBlock> blocks;
  std::vector<Patch> patches;
  std::multimap<const char*, Outside> outside;  // by address; foreign memory can have several

 private:
  bool made(Storage* s, const MemoryBlock& block) const;
  void order(Stream& earlier, Stream& later) const noexcept;
  void keep(Kept<View>& to, const View& v);
  void keep(Kept<const View*>& to, const View* v);
  void keep(Kept<ViewList>& to, const ViewList& list);
  template <class T>
  void keep(Kept<T>& to, const T& value) {
    to.value = value;
  }
  void add(BoundLaunch* launch, const char* op, const KernelCost& cost);

  DeviceState* const outer_device_;  // of the thread's current stream before
  Stream* const outer_stream_;
  Scratch scratch_{};
  std::string refused_;                 // the first refusal
  const char* running_ = nullptr;       // the op whose launch has begun and not ended
  std::map<const char*, size_t> live_;  // blocks that are not freed, by address
};

TT_INLINE Recording* capturing() {
  Recording* r = thread_state().recording;
  return TT_UNLIKELY(r != nullptr) && !r->paused ? r : nullptr;
}
// CaptureError if this thread captures: "[op] " + what. ValueError in a dry run, which cannot do
// these things either.
void refuse_captured(const char* op, const char* what);
TT_INLINE void not_in_capture(const char* op, const char* what) {
  const ThreadState& t = thread_state();
  if (TT_UNLIKELY(t.recording != nullptr || t.dry_run != nullptr)) refuse_captured(op, what);
}
// Of ops that hand elements to the host.
inline constexpr const char* kNoReading =
    "inside a capture: a replay would not read; call it after replay()";

template <class... P>
void Recording::bind(void (*kernel)(KernelContext&, P...), const char* op, const KernelCost& cost,
                     std::type_identity_t<P>... args) {
  auto* call = new (pages.take(sizeof(BoundCall<P...>))) BoundCall<P...>;
  call->kernel = kernel;
  call->run = &BoundCall<P...>::run_it;
  add(call, op, cost);
  std::apply([&](auto&... to) { (keep(to, args), ...); }, call->args);
}

}  // namespace tinytorch
