// Inside of the simulated runtime: devices, their memory, streams, events, captures, and the guard
// that every function of rt starts with. Everything is guarded by the scheduler's mutex; handles
// are numbers that are never used twice, so that a dead one is always found out.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/cuda/rt.h"
#include "tests/cuda_twin/runtime/twin_control.h"
#include "tests/late/arena.h"
#include "tests/late/scheduler.h"

namespace tinytorch::twin {

using cuda::rt::Status;

// Codes of the runtime that only the twin gives.
inline constexpr Status kInitializationError = 3, kIllegalState = 401, kCaptureIsolation = 905,
                        kCapturedEvent = 907;

inline constexpr int kMostDevices = 2;
inline constexpr int kPoison = 0xFF;  // NaN in every floating type
inline constexpr size_t kRedZone = 256;

// ---- memory

// The raw allocations of one device. Addresses are those of Arena: the host cannot touch them.
class DeviceMemory {
 public:
  DeviceMemory(int device, size_t capacity);

  void* allocate(size_t bytes);             // null: the device is full
  bool release(const void* data);           // false: not the start of a live allocation
  size_t bytes_of(const void* data) const;  // of the live allocation that starts there, or 0

  bool contains(const void* p) const { return arena_.contains(p); }
  bool ever_given(const void* p) const { return static_cast<const char*>(p) < end_; }
  // The bytes behind [p, p + bytes), or null where they do not lie in one live allocation. The
  // place behind the last byte may be named.
  char* real(const void* p, size_t bytes) const;
  // Has somebody written behind the allocation that holds p?
  bool overrun(const void* p) const;

  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }
  size_t count() const { return live_.size(); }

 private:
  using Live = std::map<const char*, size_t>;
  Live::const_iterator holder(const void* p) const;
  char* take(size_t bytes);
  void discard(size_t most);

  size_t capacity_, used_ = 0;
  late::Arena arena_;
  Live live_;                  // start -> bytes asked for
  const char* end_ = nullptr;  // of the highest allocation there ever was
  // Released addresses rest for a while, so that a late use of one meets no newer allocation.
  std::deque<std::pair<char*, size_t>> resting_;
  size_t rests_ = 0;
};

struct TwinDevice {
  TwinDevice(int index, size_t capacity) : index(index), memory(index, capacity) {}
  void lose(Status status, const std::string& why);  // the first status stays

  const int index;
  DeviceMemory memory;
  Status lost = cuda::rt::kSuccess;
};

// ---- work

// One piece of device work, run at once or as a node of a graph, any number of times. On a lost
// device nothing happens.
class Work : public late::Item {
 public:
  explicit Work(TwinDevice& device) : device(device) {}
  void run() final;
  virtual void execute() = 0;
  virtual void count(TinytorchTwinCounters&) const {}  // each time it is given to a stream

 protected:
  TwinDevice& device;
};

struct Tape {
  explicit Tape(TwinDevice& device) : device(device) {}
  TwinDevice& device;
  std::vector<std::unique_ptr<Work>> items;
  Marker last_run{};  // runs of one graph follow each other, on whatever streams
};

struct Capture {
  bool active = true, invalid = false;
  std::shared_ptr<Tape> tape;
};

struct TwinStream {
  TwinDevice& device;
  late::Queue& queue;
  std::shared_ptr<Capture> capture{};
};

// A place in a stream that an event stood for when it was recorded.
struct Moment {
  Marker marker{};
  int64_t time = 0;  // when it was passed
};

struct TwinEvent {
  TwinDevice& device;
  std::shared_ptr<Moment> moment{};     // of the latest record; null: never recorded
  std::shared_ptr<Capture> captured{};  // the latest record went into this capture
};

template <class Handle, class T>
class Handles {
 public:
  Handle add(T value) {
    const uintptr_t number = next_ += 16;
    values_.emplace(number, std::move(value));
    return reinterpret_cast<Handle>(number);
  }
  T* find(Handle handle) {
    const auto at = values_.find(reinterpret_cast<uintptr_t>(handle));
    return at == values_.end() ? nullptr : &at->second;
  }
  bool remove(Handle handle) { return values_.erase(reinterpret_cast<uintptr_t>(handle)) != 0; }
  size_t size() const { return values_.size(); }

 private:
  uintptr_t next_ = 0;
  std::unordered_map<uintptr_t, T> values_;
};

// ---- everything

struct Injection {
  uint64_t uses = 0;  // so far
  uint64_t at = 0;    // fails when uses reaches it; 0: each time
  Status status = cuda::rt::kSuccess;
};

struct State {
  State();
  void read_environment();

  int driver, device_count;
  size_t capacity;
  std::unique_ptr<TwinDevice> devices[kMostDevices];
  Handles<cuda::rt::StreamHandle, TwinStream> streams;
  Handles<cuda::rt::EventHandle, TwinEvent> events;
  Handles<cuda::rt::GraphHandle, std::shared_ptr<Tape>> graphs;
  std::vector<late::Queue*> retired;     // of destroyed streams, until they have run
  std::map<const char*, size_t> pinned;  // start -> bytes
  std::map<std::string, Injection, std::less<>> injections;
  TinytorchTwinCounters counters{};
  std::deque<std::string> faults;       // never shortened: their texts are handed out
  std::map<Status, const char*> texts;  // the latest fault of each status
};
State& state();  // never destroyed

// Remembers why, for text_of and last_fault, and returns the status.
Status refuse(Status status, const std::string& why);
Status no_such_handle(const char* what);
bool loses_device(Status status);
// Where the lock may be held by a thread that was not copied.
bool in_forked_child();

// The device whose addresses hold p, or null for a host address.
TwinDevice* device_of(const void* p);
bool is_pinned(const void* p, size_t bytes);
std::string describe(const void* p, size_t bytes);

// What a function of rt starts with: locks, lets a chosen use fail, finds the current device.
enum class Needs : uint8_t { nothing, driver, device };

class Call {
 public:
  explicit Call(const char* name, Needs needs = Needs::device);
  bool failed() const { return status_ != cuda::rt::kSuccess; }
  Status status() const { return status_; }
  // May a function that frees do so, whatever it answers?
  bool cleans() const { return cleans_; }
  TwinDevice& device() const { return *device_; }
  // The stream of the handle; null and a status where work cannot be given to it.
  TwinStream* stream(cuda::rt::StreamHandle handle);
  TwinStream* stream_to_wait_for(cuda::rt::StreamHandle handle);
  TwinEvent* event(cuda::rt::EventHandle handle);

 private:
  Status start(const char* name, Needs needs);

  std::unique_lock<std::recursive_mutex> lock_;
  TwinDevice* device_ = nullptr;
  bool cleans_ = false;
  Status status_;
};

int& current_device();                               // of the calling thread
Status find_device(int index, TwinDevice** device);  // makes it on first use

// Runs it in stream order, or records it. The stream's capture is valid.
void give(TwinStream& stream, std::unique_ptr<Work> work);
Status wait_for(TwinDevice& device, Marker marker);
Status spoil(Capture& capture, const std::string& why);  // kCaptureUnsupported

}  // namespace tinytorch::twin
