// From the events of a run to the profile of each device. The log is read twice: once for ops,
// timeline and the place of the peak, and once more for the blocks that were alive there.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <tinytorch/profile.h>

namespace tinytorch::profiling {

// What the profiler noted beside the events.
struct Recorded {
  struct Stats {
    MemoryStats before, after;
    std::vector<MemoryStats> at_steps;  // at the end of each; zeros before the device was opened
  };
  int64_t start_ns = 0;
  std::vector<int64_t> step_events;  // so far, at the end of each step
  std::map<std::string, Stats, std::less<>> devices;

  const Stats& of(std::string_view device) const;  // zeros for one that is not there
};

// One profile for each device that did anything or had live bytes, without its roofline.
std::vector<DeviceProfile> analyse(const EventLog& log, const Recorded& recorded);
// step_ends: ns, each a mark across all tracks.
void write_trace(const EventLog& log, const Recorded& recorded,
                 const std::vector<int64_t>& step_ends, const std::string& path);

// Rows by op, module, forward op and phase. Names live as long as the program.
class OpRows {
 public:
  void op(const Event& e);
  void timing(const Event& e);
  std::vector<OpProfile> sorted() const;

 private:
  using Key = std::tuple<std::string_view, std::string_view, std::string_view, Phase>;
  using Row = std::pair<const Key, OpProfile>;  // a node of the map, which never moves

  std::map<Key, OpProfile> rows_;             // with empty names
  std::unordered_map<uint64_t, Row*> of_id_;  // of every op: timings name one
};

// At most kMost points; of more the higher one of each two neighbours stays.
class Timeline {
 public:
  void add(const MemoryPoint& point);
  std::vector<MemoryPoint> finish();

 private:
  static constexpr size_t kMost = 4096;
  void halve();

  std::vector<MemoryPoint> points_;
};

// The second pass: who lived just after the device's event number `peak` (from 0; -1: before all),
// and of whom more lived at the end of the last step than at that of the first.
class Blocks {
 public:
  explicit Blocks(int64_t peak) : peak_(peak) {}
  void follow(const Event& e);
  void first_step_ended();
  void last_step_ended();
  void finish();  // after the last event
  // Largest first; what `peak_bytes` has beyond the known blocks as one of category `other`.
  std::vector<LiveBlock> at_peak(int64_t peak_bytes);
  // Largest first, with the growth in each of so many steps.
  std::vector<Growth> grown(size_t steps) const;

 private:
  struct Known {
    LiveBlock block;
    bool at_peak = false, after_first = false, after_last = false;
  };
  struct Pending {  // the op that writes the block comes later, on the same thread
    uint32_t thread;
    bool workspace;
    const void* pointer;
    size_t found = SIZE_MAX;  // its place there: a workspace is freed before the op has ended
  };
  void wrote(const Event& e);
  void leave(const void* pointer, int64_t op);
  void count_growth(const Known& known);

  const int64_t peak_;
  int64_t events_ = 0, ops_ = 0;
  std::unordered_map<const void*, Known> live_;
  std::vector<Pending> pending_;
  std::vector<LiveBlock> found_;
  std::map<std::tuple<std::string, std::string, Category>, Growth> growth_;
};

}  // namespace tinytorch::profiling
