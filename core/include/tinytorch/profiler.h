// One event schema for all backends, and a log that keeps events; profile.h reads it. Without a
// subscription an event costs one relaxed load. Ambient attributes (category, phase, module path)
// are thread-local and set by guards.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <tinytorch/export.h>

namespace tinytorch {

enum class EventKind : uint8_t { op, copy, alloc, free, raw_alloc, raw_free, retag, timing, mark };
enum class Phase : uint8_t { forward, backward, optimizer };
enum class Category : uint8_t {
  unknown,
  parameter,
  gradient,
  activation,
  optimizer_state,
  workspace,
  input,
  other
};
inline constexpr int kCategoryCount = 8;
TT_API const char* name_of(EventKind);
TT_API const char* name_of(Phase);
TT_API const char* name_of(Category);

struct Event {
  uint64_t id = 0;  // from 1, of this event only; grows on a thread
  EventKind kind = EventKind::mark;
  Phase phase = Phase::forward;
  Category category = Category::unknown;
  uint32_t thread = 0;      // small number of the thread
  const char* name = "";    // op, or what a mark says; lives as long as the program
  const char* device = "";  // "cpu:0"; lives as long as the program
  int64_t start_ns = 0,
          end_ns = 0;  // of host_clock_ns(); of a timing event: 0 and the device time; of alloc:
                       // the time in the allocator
  const void* pointer = nullptr;  // alloc, free, retag: the block
  int64_t bytes = 0;              // alloc, free, retag: asked for; op, copy: read and written
  double flops = 0;
  uint64_t op = 0;  // the op during which this happened; of a timing event: the op it times
  const char* forward_op = "";  // of a backward op: the op whose gradient it computes; else ""
  const char* module = "";      // interned path such as "net.2"; in the backward pass the forward's
};

// on_event is called on the thread where the event happens, never on two at once; it must neither
// throw nor call the library nor fork; a Subscription ends outside of it.
class TT_API Observer {
 public:
  virtual ~Observer();
  virtual void on_event(const Event&) noexcept = 0;
};

// Whether a subscription begins with an alloc event, of id 0, for each tensor's block that is alive
// and not below 16 KiB (smaller ones are not listed).
enum class LiveBlocks : bool { skip, announce };

// Delivers events to an observer while it lives. When the destructor returns no call is running.
class TT_API Subscription {
 public:
  explicit Subscription(Observer& observer, LiveBlocks live = LiveBlocks::skip);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

 private:
  Observer* observer_;
};

namespace detail {
extern TT_API std::atomic<uint32_t>
    hooks;  // bits: there are observers; some thread is in anomaly mode; some thread captures
inline constexpr uint32_t kObserved = 1, kAnomaly = 2, kCapturing = 4;
}  // namespace detail
TT_INLINE bool observed() {
  return detail::hooks.load(std::memory_order_relaxed) & detail::kObserved;
}
// Do modules name themselves? Also in a capture, since an observer may see its replays.
TT_INLINE bool naming_modules() {
  return detail::hooks.load(std::memory_order_relaxed) & (detail::kObserved | detail::kCapturing);
}

// The clock of events: std::chrono::steady_clock, at most some microseconds behind it.
TT_API int64_t host_clock_ns() noexcept;

// Fills id, thread, time (if 0), op, and the ambient attributes, and delivers. For backends:
// raw_alloc, raw_free, copy.
TT_API void emit(Event event) noexcept;
TT_API void mark(const char* name);  // `name` must live as long as the program

// Memory made under a guard has its category; otherwise tensors are activations, and become
// parameters or gradients where they serve as such.
class TT_API CategoryGuard {
 public:
  explicit CategoryGuard(Category category) noexcept;
  ~CategoryGuard();
  CategoryGuard(const CategoryGuard&) = delete;
  CategoryGuard& operator=(const CategoryGuard&) = delete;

 private:
  Category before_;
};
// Of the memory of a tensor that was made without one; views share it. ValueError if undefined.
class Tensor;
TT_API void set_category(const Tensor& tensor, Category category);

// Where no CategoryGuard says another one, memory is of category gradient in the backward phase,
// workspace in the optimizer's and activation in the forward phase.
class TT_API PhaseGuard {
 public:
  explicit PhaseGuard(Phase phase) noexcept;
  ~PhaseGuard();
  PhaseGuard(const PhaseGuard&) = delete;
  PhaseGuard& operator=(const PhaseGuard&) = delete;

 private:
  Phase before_;
};

// Adds a step to the thread's module path while it lives. Interned: a path costs memory once.
class TT_API ModuleScope {
 public:
  explicit ModuleScope(const std::string& step);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

 private:
  const char* before_;
};
TT_API const char* module_path() noexcept;

// Keeps all events, beyond a bound in a temporary file; the child of a fork uses memory only.
// profile.h makes tables and traces of them. It may be read while events come.
class TT_API EventLog final : public Observer {
 public:
  explicit EventLog(size_t most_bytes = size_t{64} << 20);  // in memory
  ~EventLog() override;
  void on_event(const Event&) noexcept override;
  // In the order in which they came. IoError if the file cannot be read back.
  void for_each(const std::function<void(const Event&)>& f) const;
  int64_t size() const;
  int64_t lost() const;     // found neither memory nor file
  int64_t spilled() const;  // of size(): those in the file

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tinytorch
