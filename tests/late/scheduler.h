// The queues of all late streams, and the one place that decides in which order their items run.
// Order inside a queue holds, and an item that waits for a marker runs after it; everything else is
// decided by a seeded pseudo-random choice. Nothing runs before somebody needs an answer.
#pragma once

#include <tinytorch/backend/backend.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "tests/late/late_control.h"

namespace tinytorch::late {

// One piece of a stream's work. Deletes itself in done() unless somebody else owns it.
class Item {
 public:
  virtual ~Item() = default;
  virtual void run() = 0;
  virtual void done() { delete this; }
  virtual Marker waits_for() const { return {}; }

  Item* next = nullptr;
  uint64_t number = 0;  // over all queues, in the order given
};

// Names a queue and a place in it; places count the items given, from 1.
inline constexpr int kPlaceBits = 40;

class Queue {
 public:
  explicit Queue(uint64_t id) : id(id) {}
  Marker place() const { return {id << kPlaceBits | given}; }
  bool owns(Marker marker) const { return marker.id >> kPlaceBits == id; }
  int64_t time_of(
      Marker marker) const;  // when it was passed; of a very old one, the oldest time kept

  const uint64_t id;
  uint64_t given = 0, passed = 0;
  Item* first = nullptr;
  Item* last = nullptr;
  ErrorWord error{};             // of the stream's kernels
  std::exception_ptr failure{};  // what an item threw: the next synchronisation throws it
  std::map<uint64_t, int64_t> mark_times{};  // place -> nanoseconds, of the latest marks
  uint64_t weight = 1;                       // chance to be picked, during one drain
};

// Everything here is guarded by `mutex`, which is held while items run: two threads never run
// device work at once. Recursive, because a running kernel allocates workspace.
class Scheduler {
 public:
  Queue& open();
  void close(Queue& queue);  // runs what is left in it
  Queue* find(uint64_t id);  // null once closed

  void push(Queue& queue, Item* item) noexcept;
  Marker mark(Queue& queue);
  void wait(Queue& queue, Marker marker);  // Error for a marker that no stream has given out
  bool passed(Marker marker) const;

  // Runs items of all queues, in pseudo-random order, until `enough` says so or nothing is left.
  template <class Enough>
  void run_until(const Enough& enough) {
    deal_weights();
    while (!enough() && run_one()) {
    }
  }
  void run_to(Marker marker) {
    run_until([&] { return passed(marker); });
  }
  void run_all() {
    run_until([] { return false; });
  }
  void run_some();  // at least one item, if there is one
  void catch_up();  // bounds the queues of a program that never asks for a result
  bool running() const { return running_; }  // is the caller inside an item?

  void set_seed(uint64_t seed) { random_.seed(seed); }

  std::recursive_mutex mutex;
  TinytorchLateCounters counters{};

 private:
  void deal_weights();
  bool run_one();
  void run(Queue& queue);

  std::vector<std::unique_ptr<Queue>> queues_;
  std::vector<Queue*> runnable_;  // kept for its capacity
  uint64_t next_id_ = 1;
  uint64_t numbers_ = 0;
  uint64_t pending_ = 0;
  std::mt19937_64 random_;
  bool running_ = false;
};

// One for all devices; never destroyed.
Scheduler& scheduler();

int64_t now_ns();

}  // namespace tinytorch::late
