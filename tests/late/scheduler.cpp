// Chooses what runs next on the late streams. Each drain deals weights between 1 and 4096 to the
// queues, so that within a few drains a stream is seen both far ahead of and far behind any other.
#include "tests/late/scheduler.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace tinytorch::late {

namespace {

constexpr uint64_t kPlaceMask = (uint64_t{1} << kPlaceBits) - 1;
constexpr uint64_t kLongestQueue =
    4096;                            // items over all streams; beyond that the device catches up
constexpr size_t kMarkTimes = 4096;  // of one stream

uint64_t queue_of(Marker marker) { return marker.id >> kPlaceBits; }
uint64_t place_of(Marker marker) { return marker.id & kPlaceMask; }

class WaitItem final : public Item {
 public:
  explicit WaitItem(Marker marker) : marker_(marker) {}
  void run() override {}
  Marker waits_for() const override { return marker_; }

 private:
  Marker marker_;
};

class MarkItem final : public Item {
 public:
  explicit MarkItem(Queue& queue) : queue_(queue) {}
  void run() override {
    if (queue_.mark_times.size() == kMarkTimes) queue_.mark_times.erase(queue_.mark_times.begin());
    queue_.mark_times[queue_.passed + 1] = now_ns();
  }

 private:
  Queue& queue_;
};

}  // namespace

Scheduler& scheduler() {
  static Scheduler& instance = *new Scheduler;
  return instance;
}

int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

int64_t Queue::time_of(Marker marker) const {
  const auto time = mark_times.lower_bound(place_of(marker));
  return time == mark_times.end() ? 0 : time->second;
}

Queue& Scheduler::open() {
  queues_.push_back(std::make_unique<Queue>(next_id_++));
  runnable_.reserve(queues_.size());
  return *queues_.back();
}

void Scheduler::close(Queue& queue) {
  run_to(queue.place());
  std::erase_if(queues_, [&](const auto& open) { return open.get() == &queue; });
}

Queue* Scheduler::find(uint64_t id) {
  for (const auto& queue : queues_)
    if (queue->id == id) return queue.get();
  return nullptr;
}

void Scheduler::push(Queue& queue, Item* item) noexcept {
  item->number = ++numbers_;
  ++counters.items_given;
  (queue.last ? queue.last->next : queue.first) = item;
  queue.last = item;
  ++queue.given;
  counters.longest_queue = std::max(counters.longest_queue, ++pending_);
}

Marker Scheduler::mark(Queue& queue) {
  push(queue, new MarkItem(queue));
  return queue.place();
}

void Scheduler::wait(Queue& queue, Marker marker) {
  const Queue* other = find(queue_of(marker));
  if (queue_of(marker) >= next_id_ || (other && place_of(marker) > other->given))
    throw Error("[wait] marker " + std::to_string(marker.id) + " was given out by no stream");
  if (!passed(marker)) push(queue, new WaitItem(marker));
}

bool Scheduler::passed(Marker marker) const {
  for (const auto& queue : queues_)
    if (queue->id == queue_of(marker)) return queue->passed >= place_of(marker);
  return true;  // a closed stream has passed all its places
}

void Scheduler::run_some() {
  uint64_t count = 1 + random_() % 4;
  run_until([&] { return count-- == 0; });
}

void Scheduler::catch_up() {
  if (pending_ <= kLongestQueue || running_) return;
  const uint64_t left = random_() % kLongestQueue;
  run_until([&] { return pending_ <= left; });
}

void Scheduler::deal_weights() {
  for (const auto& queue : queues_) queue->weight = uint64_t{1} << random_() % 13;
}

// A marker names a place that existed when it was waited for, so waits form no cycle: while items
// are left, one can run.
bool Scheduler::run_one() {
  runnable_.clear();
  uint64_t total = 0;
  for (const auto& queue : queues_)
    if (queue->first && passed(queue->first->waits_for())) {
      runnable_.push_back(queue.get());
      total += queue->weight;
    }
  if (runnable_.empty()) return false;
  uint64_t draw = random_() % total;
  for (Queue* queue : runnable_) {
    if (draw < queue->weight) {
      run(*queue);
      return true;
    }
    draw -= queue->weight;
  }
  return false;  // not reached: draw is less than the sum of the weights
}

void Scheduler::run(Queue& queue) {
  Item* item = queue.first;
  for (const auto& other : queues_)
    if (other->first && other->first->number < item->number) {
      ++counters.out_of_order;
      break;
    }
  running_ = true;
  try {
    item->run();
  } catch (...) {
    if (!queue.failure) queue.failure = std::current_exception();
  }
  running_ = false;
  queue.first = item->next;
  if (!queue.first) queue.last = nullptr;
  ++queue.passed;
  --pending_;
  ++counters.items_run;
  item->done();
}

}  // namespace tinytorch::late
