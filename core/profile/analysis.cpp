// The two passes over the log, and what the allocators' statistics add to them.
#include "core/profile/analysis.h"

#include <algorithm>
#include <memory>

#include "core/profile/live_bytes.h"

namespace tinytorch::profiling {

namespace {

// One device in the first pass.
struct Replay {
  explicit Replay(const Recorded::Stats& recorded, int64_t start_ns)
      : stats(recorded), zero_ns(start_ns), live(recorded.before) {}

  void follow(const Event& e);
  void begin();  // the announced blocks have come
  void look(double seconds, int64_t event);
  void finish(DeviceProfile& out);

  const Recorded::Stats& stats;
  const int64_t zero_ns;
  LiveBytes live;
  OpRows rows;
  Timeline timeline;
  MemoryProfile memory;
  int64_t events = 0, ops = 0, copies = 0, copy_bytes = 0, peak_event = -1;
  double copy_seconds = 0;
  bool begun = false;
};

void Replay::begin() {
  begun = true;
  memory.peak_reserved = live.reserved();
  look(0, events - 1);
}

void Replay::follow(const Event& e) {
  if (!begun && e.id != 0) begin();
  switch (e.kind) {
    case EventKind::op:
      rows.op(e);
      ++ops;
      break;
    case EventKind::timing:
      rows.timing(e);
      break;
    case EventKind::copy:
      ++copies;
      copy_bytes += e.bytes;
      copy_seconds += static_cast<double>(e.end_ns - e.start_ns) * 1e-9;
      break;
    case EventKind::alloc:
      memory.allocate_seconds += static_cast<double>(e.end_ns - e.start_ns) * 1e-9;
      break;
    default:
      break;
  }
  if (live.follow(e)) look(static_cast<double>(e.end_ns - zero_ns) * 1e-9, events);
  memory.peak_reserved = std::max(memory.peak_reserved, live.reserved());
  ++events;
}

void Replay::look(double seconds, int64_t event) {
  const CategoryBytes& bytes = live.bytes();
  timeline.add({ops, seconds, bytes, live.reserved()});
  if (live.total() > memory.peak_bytes) {
    memory.peak_bytes = live.total();
    memory.peak_op = ops;
    memory.peak_seconds = seconds;
    memory.at_peak = bytes;
    peak_event = event;
  }
  const int64_t tensors = live.total() - at(bytes, Category::workspace);
  if (tensors > memory.tensor_peak_bytes) {
    memory.tensor_peak_bytes = tensors;
    memory.tensors_at_peak = bytes;
    at(memory.tensors_at_peak, Category::workspace) = 0;
  }
  memory.unknown_bytes =
      std::max({memory.unknown_bytes, at(bytes, Category::unknown), live.missing()});
}

// Least squares of y over 0, 1, 2, ...
double slope(const std::vector<double>& y) {
  const auto n = static_cast<double>(y.size());
  double mean = 0, above = 0, below = 0;
  for (double v : y) mean += v / n;
  for (size_t i = 0; i < y.size(); ++i) {
    const double x = static_cast<double>(i) - (n - 1) / 2;
    above += x * (y[i] - mean);
    below += x * x;
  }
  return below > 0 ? above / below : 0;
}

void steps(const Recorded::Stats& stats, MemoryProfile& out) {
  const std::vector<MemoryStats>& ends = stats.at_steps;
  if (ends.empty()) return;
  const MemoryStats& from = ends.size() > 1 ? ends.front() : stats.before;
  const double count = ends.size() > 1 ? static_cast<double>(ends.size() - 1) : 1;
  const auto per_step = [&](int64_t MemoryStats::*counter) {
    return static_cast<double>(ends.back().*counter - from.*counter) / count;
  };
  out.allocs_per_step = per_step(&MemoryStats::allocs);
  out.system_calls_per_step =
      per_step(&MemoryStats::raw_allocs) + per_step(&MemoryStats::raw_frees);
  std::vector<double> in_use;
  for (const MemoryStats& s : ends) in_use.push_back(static_cast<double>(s.in_use));
  out.leak_bytes_per_step = slope(in_use);
}

void Replay::finish(DeviceProfile& out) {
  if (!begun) begin();
  memory.timeline = timeline.finish();
  memory.before = stats.before;
  memory.after = stats.after;
  memory.unknown_bytes =
      std::max(memory.unknown_bytes, std::abs(stats.after.in_use - live.total()));
  steps(stats, memory);
  out.memory = std::move(memory);
  out.ops = rows.sorted();
  out.copies = copies;
  out.copy_bytes = copy_bytes;
  out.copy_seconds = copy_seconds;
}

}  // namespace

const Recorded::Stats& Recorded::of(std::string_view device) const {
  static const Stats none;
  const auto it = devices.find(device);
  return it != devices.end() ? it->second : none;
}

std::vector<DeviceProfile> analyse(const EventLog& log, const Recorded& recorded) {
  std::map<std::string_view, Replay> devices;
  const auto device = [&](std::string_view name) -> Replay& {
    return devices.try_emplace(name, recorded.of(name), recorded.start_ns).first->second;
  };
  for (const auto& [name, stats] : recorded.devices)
    if (stats.before.in_use != 0) device(name);
  log.for_each([&](const Event& e) {
    if (*e.device) device(e.device).follow(e);
  });

  std::vector<DeviceProfile> profiles;
  std::map<std::string_view, Blocks> blocks;
  for (auto& [name, d] : devices) {
    DeviceProfile& out = profiles.emplace_back();
    out.device = name;
    d.finish(out);
    blocks.try_emplace(name, d.peak_event);
  }
  int64_t events = 0;
  const std::vector<int64_t>& ends = recorded.step_events;
  const auto look_for_ends = [&] {
    if (ends.size() < 2 || (events != ends.front() && events != ends.back())) return;
    for (auto& [name, b] : blocks) {
      if (events == ends.front()) b.first_step_ended();
      if (events == ends.back()) b.last_step_ended();
    }
  };
  log.for_each([&](const Event& e) {
    look_for_ends();
    ++events;
    if (*e.device) blocks.at(e.device).follow(e);
  });
  look_for_ends();
  for (DeviceProfile& out : profiles) {
    Blocks& b = blocks.at(out.device);
    b.finish();
    out.memory.alive_at_peak = b.at_peak(out.memory.peak_bytes);
    if (ends.size() > 1) out.memory.grown = b.grown(ends.size() - 1);
  }
  return profiles;
}

}  // namespace tinytorch::profiling
