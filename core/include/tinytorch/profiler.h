// One event schema for all backends, and the readers of it that come with the library. Without a
// subscription an event costs one relaxed load. Ambient attributes (category, phase, module path)
// are thread-local and set by guards.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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
  uint64_t id = 0;  // counts from 1 in a process
  EventKind kind = EventKind::mark;
  Phase phase = Phase::forward;
  Category category = Category::unknown;
  const char* name = "";    // op, or what a mark says; lives as long as the program
  const char* device = "";  // "cpu:0"; lives as long as the program
  uint32_t thread = 0;      // small number of the thread
  int64_t start_ns = 0,
          end_ns = 0;  // steady clock of the host; of a timing event: 0 and the device time
  const void* pointer = nullptr;  // alloc, free, retag: the block
  int64_t bytes = 0;              // alloc, free, retag: asked for; op, copy: read and written
  double flops = 0;
  uint64_t op = 0;          // the op during which this happened; of a timing event: the op it times
  uint64_t forward_op = 0;  // backward ops: id of the forward op whose gradient this is
  const char* module = "";  // interned path such as "net.2"
};

// on_event is called on the thread where the event happens, possibly on several at once; it must
// neither throw nor call the library nor fork; a Subscription ends outside of it.
class TT_API Observer {
 public:
  virtual ~Observer();
  virtual void on_event(const Event&) noexcept = 0;
};

// Delivers events to an observer while it lives. When the destructor returns no call is running.
class TT_API Subscription {
 public:
  explicit Subscription(Observer& observer);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

 private:
  Observer* observer_;
};

namespace detail {
extern TT_API std::atomic<uint32_t>
    hooks;  // bit 0: observers; bit 1: some thread is in anomaly mode
inline constexpr uint32_t kObserved = 1, kAnomaly = 2;
}  // namespace detail
TT_INLINE bool observed() {
  return detail::hooks.load(std::memory_order_relaxed) & detail::kObserved;
}

// Fills id, thread, time (if 0), op, and the ambient attributes, and delivers. For backends:
// raw_alloc, raw_free, copy.
TT_API void emit(Event event) noexcept;
TT_API void mark(const char* name);  // `name` must live as long as the program

class TT_API CategoryGuard {
 public:
  explicit CategoryGuard(Category category) noexcept;
  ~CategoryGuard();
  CategoryGuard(const CategoryGuard&) = delete;
  CategoryGuard& operator=(const CategoryGuard&) = delete;

 private:
  Category before_;
};

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

// Calls, host time, FLOPs and bytes by op name.
class TT_API OpTable final : public Observer {
 public:
  struct Row {
    std::string op, device;
    Phase phase = Phase::forward;
    int64_t calls = 0;
    double host_seconds = 0, device_seconds = 0, flops = 0, bytes = 0;
  };
  OpTable();
  ~OpTable() override;
  void on_event(const Event&) noexcept override;
  std::vector<Row> rows() const;  // most time first
  std::string str() const;        // as text for people
  int64_t lost() const;           // events lost to a failed allocation

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Collects events and writes them in Chrome's trace format (https://ui.perfetto.dev opens it).
class TT_API ChromeTrace final : public Observer {
 public:
  ChromeTrace();
  ~ChromeTrace() override;
  void on_event(const Event&) noexcept override;
  std::string json() const;
  void write(const std::string& path) const;  // IoError
  int64_t lost() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tinytorch
