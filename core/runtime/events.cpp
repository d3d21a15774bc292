// Delivery of events to observers, and the ambient attributes of a thread. One lock, held for some
// nanoseconds, is all that an event takes: under it subscriptions begin and end, so that one that
// has ended is never called again, and observers need none of their own.
#include "core/runtime/events.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <unordered_map>

#include "core/runtime/fork.h"
#include "core/runtime/registry.h"

namespace tinytorch {

namespace detail {
std::atomic<uint32_t> hooks{0};
}

namespace {

// One atomic exchange where std::mutex takes two. Whoever finds it taken for longer (a log writes
// to its file) sleeps.
class Turn {
 public:
  void lock() noexcept {
    if (TT_UNLIKELY(taken_.exchange(true, std::memory_order_acquire))) wait();
  }
  void unlock() noexcept { taken_.store(false, std::memory_order_release); }

 private:
  TT_COLD void wait() noexcept {
    constexpr int kLooks = 10000;  // some microseconds
    int looks = 0;
    do {
      while (taken_.load(std::memory_order_relaxed))
        if (++looks > kLooks) std::this_thread::sleep_for(std::chrono::microseconds(20));
    } while (taken_.exchange(true, std::memory_order_acquire));
  }

  std::atomic<bool> taken_{false};
};

struct Observers {
  ForkSafeMutex<Turn> turn{AtFork::wait_observers};
  std::vector<Observer*> list;
};
Observers& observers() {
  static auto* o = new Observers;
  return *o;
}

constexpr uint64_t kIdsAtOnce = 1024;  // that a thread takes
std::atomic<uint64_t> g_event_id{0};
std::atomic<uint32_t> g_thread_number{0};

struct Timing {
  Event op;
  Marker begin, end;
};
struct Timings {
  ForkSafeMutex<std::mutex> mutex;
  std::unordered_map<Stream*, std::vector<Timing>> of;
};
Timings& timings() {
  static auto* t = new Timings;
  return *t;
}

const char* no_node() noexcept { return nullptr; }
void no_blocks(DeviceState*, Observer&) {}

}  // namespace

const char* (*current_node_name)() noexcept = no_node;
void (*announce_blocks)(DeviceState* d, Observer& to) = no_blocks;

const char* name_of(EventKind k) {
  constexpr const char* kNames[] = {"op",       "copy",  "alloc",  "free", "raw_alloc",
                                    "raw_free", "retag", "timing", "mark"};
  return kNames[static_cast<int>(k)];
}
const char* name_of(Phase p) {
  constexpr const char* kNames[] = {"forward", "backward", "optimizer"};
  return kNames[static_cast<int>(p)];
}
const char* name_of(Category c) {
  constexpr const char* kNames[] = {"unknown",         "parameter", "gradient", "activation",
                                    "optimizer_state", "workspace", "input",    "other"};
  return kNames[static_cast<int>(c)];
}

uint64_t next_event_id() noexcept {
  uint64_t& last = thread_state().event_id;
  if (last % kIdsAtOnce == 0) last = g_event_id.fetch_add(kIdsAtOnce, std::memory_order_relaxed);
  return ++last;
}

// While the lock is held no other event is delivered, and no fork happens.
Subscription::Subscription(Observer& observer, LiveBlocks live) : observer_(&observer) {
  calibrate_host_clock();
  std::vector<DeviceState*> devices;
  if (live == LiveBlocks::announce) devices = opened_devices();
  Observers& o = observers();
  const std::lock_guard lock(o.turn);
  o.list.push_back(observer_);
  for (DeviceState* d : devices) announce_blocks(d, observer);
  detail::hooks.fetch_or(detail::kObserved, std::memory_order_relaxed);
}

Subscription::~Subscription() {
  Observers& o = observers();
  const std::lock_guard lock(o.turn);
  o.list.erase(std::find(o.list.begin(), o.list.end(), observer_));
  if (o.list.empty()) detail::hooks.fetch_and(~detail::kObserved, std::memory_order_relaxed);
}

void emit(Event e) noexcept { deliver(e); }

void deliver(Event& e) noexcept {
  ThreadState& t = thread_state();
  if (!t.thread_number)
    t.thread_number = g_thread_number.fetch_add(1, std::memory_order_relaxed) + 1;
  if (!e.id) e.id = next_event_id();
  e.thread = t.thread_number;
  if (e.kind != EventKind::timing)
    e.phase = t.current ? Phase::backward : static_cast<Phase>(t.phase);
  if (e.category == Category::unknown) e.category = static_cast<Category>(t.category);
  if (e.category == Category::unknown) e.category = usual_category(e.phase);
  if (e.kind != EventKind::op && e.kind != EventKind::timing) e.op = t.op_id;
  if (e.kind == EventKind::op && t.current && !*e.forward_op) e.forward_op = current_node_name();
  e.module = t.module ? t.module : "";
  if (!e.start_ns && e.kind != EventKind::timing) e.start_ns = e.end_ns = host_clock_ns();
  Observers& o = observers();
  const std::lock_guard lock(o.turn);
  for (Observer* observer : o.list) observer->on_event(e);
}

void mark(const char* name) {
  if (!observed()) return;
  Event e;
  e.kind = EventKind::mark;
  e.name = name;
  emit(e);
}

void keep_timing(DeviceState*, Stream* s, const Event& op, Marker begin, Marker end) noexcept {
  Timings& t = timings();
  std::lock_guard lock(t.mutex);
  try {
    t.of[s].push_back({op, begin, end});
  } catch (const std::bad_alloc&) {  // this op keeps its host time only
  }
}

void flush_timings(Stream* s) noexcept {
  Timings& t = timings();
  decltype(t.of)::node_type mine;
  {
    std::lock_guard lock(t.mutex);
    mine = t.of.extract(s);
  }
  if (!mine) return;
  for (const Timing& one : mine.mapped()) {
    if (!observed()) return;
    Event e;
    e.kind = EventKind::timing;
    e.name = one.op.name;
    e.phase = one.op.phase;
    e.device = one.op.device;
    e.op = one.op.id;
    try {
      e.end_ns = static_cast<int64_t>(s->elapsed_us(one.begin, one.end) * 1000);
    } catch (const std::exception&) {
      continue;  // a lost device has no times
    }
    emit(e);
  }
}

void emit_copy(DeviceState* d, size_t bytes, int64_t start_ns) noexcept {
  Event e;
  e.kind = EventKind::copy;
  e.name = "copy";
  e.device = d->name.c_str();
  e.bytes = static_cast<int64_t>(bytes);
  e.start_ns = start_ns;
  e.end_ns = host_clock_ns();
  emit(e);
}

void emit_retag(DeviceState* d, const void* pointer, size_t bytes, Category category) noexcept {
  Event e;
  e.kind = EventKind::retag;
  e.name = "retag";
  e.device = d->name.c_str();
  e.pointer = pointer;
  e.bytes = static_cast<int64_t>(bytes);
  e.category = category;
  emit(e);
}

CategoryGuard::CategoryGuard(Category category) noexcept
    : before_(static_cast<Category>(thread_state().category)) {
  thread_state().category = static_cast<uint8_t>(category);
}
CategoryGuard::~CategoryGuard() { thread_state().category = static_cast<uint8_t>(before_); }

PhaseGuard::PhaseGuard(Phase phase) noexcept : before_(static_cast<Phase>(thread_state().phase)) {
  thread_state().phase = static_cast<uint8_t>(phase);
}
PhaseGuard::~PhaseGuard() { thread_state().phase = static_cast<uint8_t>(before_); }

const char* interned(const std::string& name) {
  static auto* mutex = new ForkSafeMutex<std::mutex>;
  static auto* names = new std::set<std::string>;
  std::lock_guard lock(*mutex);
  return names->insert(name).first->c_str();
}

ModuleScope::ModuleScope(const std::string& step) : before_(thread_state().module) {
  thread_state().module = interned(before_ && *before_ ? before_ + ("." + step) : step);
}
ModuleScope::~ModuleScope() { thread_state().module = before_; }
const char* module_path() noexcept {
  const char* m = thread_state().module;
  return m ? m : "";
}

}  // namespace tinytorch
