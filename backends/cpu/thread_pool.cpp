// The pool behind run_tasks. A region is opened by one thread; workers join it, take task numbers
// from one counter and leave. The opener closes it when the numbers are used up and waits for those
// inside only, so a worker that wakes up late costs nothing.
#include "backends/cpu/thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include <tinytorch/backend/sizing.h>

#include "backends/cpu/rt.h"

namespace tinytorch::cpu {
namespace {

constexpr int kMaxThreads = 1024;
constexpr std::chrono::microseconds kSpin(
    30);  // longer than the gaps between the kernels of a step, short for everything else

constinit thread_local bool inside_region = false;

TT_INLINE void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until ready() or about kSpin has passed.
template <class Ready>
bool spin_until(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

struct alignas(64) Worker {
  std::atomic<uint32_t> signal{0};  // raised for every region that wants this worker
  std::atomic<bool> asleep{false};
};

class Pool {
 public:
  void run(int64_t tasks, int threads, TaskFunction function, void* argument);
  bool try_take() { return !taken_.exchange(true, std::memory_order_acquire); }
  void give_back() { taken_.store(false, std::memory_order_release); }
  int started() const { return started_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kOpen = 1u << 31;

  void start(int workers);
  void work(int id);
  bool enter();
  void leave();
  void take_tasks(int slot);
  void call_workers(int wanted);

  // The region, written by its opener while closed.
  TaskFunction function_ = nullptr;
  void* argument_ = nullptr;
  int64_t tasks_ = 0;
  int slots_ = 0;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> state_{0};  // kOpen, and the number of workers inside
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
  alignas(64) std::atomic<bool> taken_{false};  // a thread has a region here
  std::atomic<int> started_{0};
  Worker* workers_[kMaxThreads] = {};  // [1, started_]; slot 0 is the opener
};

void Pool::take_tasks(int slot) {
  for (;;) {
    const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    try {
      function_(argument_, task, slot);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
  }
}

bool Pool::enter() {
  uint32_t state = state_.load(std::memory_order_relaxed);
  while (state & kOpen) {
    if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                     std::memory_order_relaxed))
      return true;
  }
  return false;
}

void Pool::leave() {
  if (state_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    state_.notify_one();  // closed and empty: the opener may wait
}

void Pool::work(int id) {
  inside_region = true;  // what a task starts in parallel runs serially
  Worker& self = *workers_[id];
  for (uint32_t seen = 0;;) {
    if (!spin_until([&] { return self.signal.load(std::memory_order_acquire) != seen; })) {
      self.asleep.store(true, std::memory_order_seq_cst);
      self.signal.wait(seen, std::memory_order_seq_cst);
      self.asleep.store(false, std::memory_order_relaxed);
    }
    seen = self.signal.load(std::memory_order_acquire);
    if (!enter()) continue;
    if (id < slots_) take_tasks(id);
    leave();
  }
}

// Host programs expect their signals on their own threads, so workers start with all of them
// blocked.
void Pool::start(int workers) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    while (started() < workers) {
      const int id = started() + 1;
      if (!workers_[id]) workers_[id] = new Worker;
      std::thread thread([this, id] { work(id); });
      const std::string name = "tinytorch-" + std::to_string(id);
      pthread_setname_np(thread.native_handle(), name.c_str());
      thread.detach();
      started_.store(id, std::memory_order_relaxed);
    }
  } catch (const std::system_error&) {  // no more threads to be had: go on with those there are
  } catch (const std::bad_alloc&) {
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Pool::call_workers(int wanted) {
  for (int id = 1; id <= wanted; ++id) {
    Worker& worker = *workers_[id];
    worker.signal.fetch_add(1, std::memory_order_seq_cst);
    if (worker.asleep.load(std::memory_order_seq_cst)) worker.signal.notify_one();
  }
}

void Pool::run(int64_t tasks, int threads, TaskFunction function, void* argument) {
  if (started() < threads - 1) start(threads - 1);
  const int helpers = static_cast<int>(std::min<int64_t>({tasks, threads, started() + 1})) - 1;
  function_ = function;
  argument_ = argument;
  tasks_ = tasks;
  slots_ = helpers + 1;
  next_.store(0, std::memory_order_relaxed);
  state_.store(kOpen, std::memory_order_release);
  call_workers(helpers);
  inside_region = true;
  take_tasks(0);
  inside_region = false;
  uint32_t left = state_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
  if (left && !spin_until([&] { return state_.load(std::memory_order_acquire) == 0; })) {
    while ((left = state_.load(std::memory_order_acquire)) != 0)
      state_.wait(left, std::memory_order_acquire);
  }
  if (failed_.load(std::memory_order_relaxed)) {
    failed_.store(false, std::memory_order_relaxed);
    std::exception_ptr error = std::move(error_);
    error_ = nullptr;
    give_back();
    std::rethrow_exception(error);
  }
  give_back();
}

constinit std::atomic<Pool*> the_pool{nullptr};
constinit std::atomic<int> width{0};  // 0: not asked yet

// A child has none of its parent's threads: it forgets the pool, whose locks may be held for ever,
// and makes one when it needs it.
void forget_pool() { the_pool.store(nullptr, std::memory_order_relaxed); }

// Null when memory is short; the caller then runs its tasks itself.
Pool* pool() noexcept {
  Pool* p = the_pool.load(std::memory_order_acquire);
  if (TT_LIKELY(p != nullptr)) return p;
  static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
  if (registered != 0) return nullptr;
  Pool* fresh = new (std::nothrow) Pool;
  if (!fresh) return nullptr;
  if (the_pool.compare_exchange_strong(p, fresh, std::memory_order_acq_rel)) return fresh;
  delete fresh;
  return p;
}

void run_serially(int64_t tasks, TaskFunction function, void* argument) {
  for (int64_t task = 0; task < tasks; ++task) function(argument, task, 0);
}

}  // namespace

void set_num_threads(int threads) {
  width.store(threads > 0 ? std::min(threads, kMaxThreads) : usable_processors(),
              std::memory_order_relaxed);
}

int num_threads() noexcept {
  int n = width.load(std::memory_order_relaxed);
  if (TT_LIKELY(n > 0)) return n;
  try {
    n = std::min(usable_processors(), kMaxThreads);
  } catch (...) {
    return 1;  // no memory to read the quota with; ask again later
  }
  int none = 0;
  return width.compare_exchange_strong(none, n, std::memory_order_relaxed) ? n : none;
}

int workers_started() noexcept {
  const Pool* p = the_pool.load(std::memory_order_acquire);
  return p ? p->started() : 0;
}

int slot_count() noexcept { return inside_region ? 1 : num_threads(); }

void run_tasks(int64_t tasks, int slots, TaskFunction function, void* argument) {
  if (TT_UNLIKELY(only_sizing())) return;
  const int threads = static_cast<int>(std::min<int64_t>({tasks, slots, slot_count()}));
  Pool* p = threads > 1 ? pool() : nullptr;
  if (!p || !p->try_take()) {
    run_serially(tasks, function, argument);
    return;
  }
  p->run(tasks, threads, function, argument);
}

}  // namespace tinytorch::cpu
