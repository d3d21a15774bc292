// Profiler: a log of events, the allocators' statistics at the ends of steps, and what an event
// costs.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>

#include <tinytorch/error.h>

#include "core/profile/analysis.h"

namespace tinytorch {

namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// An event's delivery to a log, and the two looks at the clock that an op or a block takes. Other
// observers see the marks of the first profiler.
double measured_cost() {
  constexpr int kRounds = 20, kEvents = 500;
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    EventLog log;
    const Subscription subscription(log);
    const int64_t start = now_ns();
    for (int i = 0; i < kEvents; ++i) {
      Event e;
      e.name = "profiler: cost of an event";
      e.start_ns = now_ns();
      e.end_ns = now_ns();
      emit(e);
    }
    best = std::min(best, static_cast<double>(now_ns() - start) / kEvents);
  }
  return best;
}

int64_t resident_bytes() {
  long long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*s %lld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * sysconf(_SC_PAGESIZE);
}

}  // namespace

struct Profiler::State {
  explicit State(const ProfilerOptions& o) : options(o), log(o.most_bytes) {}

  const ProfilerOptions options;
  EventLog log;
  profiling::Recorded recorded;
  std::vector<int64_t> step_ends;  // ns
  double ns_per_event = 0;
  std::optional<Subscription> subscription;  // last: ends first

  void steps(Profile& profile) const;
  void outside(Profile& profile) const;
};

Profiler::Profiler(const ProfilerOptions& options) : state_(std::make_unique<State>(options)) {
  static const double cost = measured_cost();
  State& s = *state_;
  s.ns_per_event = cost;
  s.recorded.start_ns = now_ns();
  s.subscription.emplace(s.log, LiveBlocks::announce);
  for (const Device& d : Device::opened()) s.recorded.devices[d.name()].before = memory_stats(d);
}
Profiler::~Profiler() = default;

void Profiler::step() {
  State& s = *state_;
  if (!s.subscription) throw ValueError("[Profiler] step() after stop(), needed: before it");
  for (const Device& d : Device::opened()) {
    std::vector<MemoryStats>& at_steps = s.recorded.devices[d.name()].at_steps;
    at_steps.resize(s.step_ends.size());
    at_steps.push_back(memory_stats(d));
  }
  s.recorded.step_events.push_back(s.log.size());
  s.step_ends.push_back(now_ns());
}

void Profiler::State::steps(Profile& profile) const {
  const std::vector<int64_t>& step_events = recorded.step_events;
  int64_t from = recorded.start_ns;
  for (int64_t end : step_ends) {
    profile.step_seconds.push_back(static_cast<double>(end - from) * 1e-9);
    from = end;
  }
  if (step_events.size() > 1) {
    profile.events_per_step = static_cast<double>(step_events.back() - step_events.front()) /
                              static_cast<double>(step_events.size() - 1);
  } else if (!step_events.empty()) {
    profile.events_per_step = static_cast<double>(step_events.front());
  }
}

void Profiler::State::outside(Profile& profile) const {
  profile.outside_bytes = resident_bytes();
  for (const Device& d : Device::opened())
    if (d.info().host_memory) profile.outside_bytes -= recorded.of(d.name()).after.reserved;
  profile.outside_bytes = std::max<int64_t>(0, profile.outside_bytes);
}

Profile Profiler::stop() {
  State& s = *state_;
  if (!s.subscription) throw ValueError("[Profiler] stop() a second time");
  for (const Device& d : Device::opened()) d.synchronize();
  const int64_t end = now_ns();
  s.subscription.reset();
  for (const Device& d : Device::opened()) s.recorded.devices[d.name()].after = memory_stats(d);

  Profile profile;
  profile.seconds = static_cast<double>(end - s.recorded.start_ns) * 1e-9;
  s.outside(profile);
  profile.devices = profiling::analyse(s.log, s.recorded);
  if (s.options.roofline)
    for (DeviceProfile& d : profile.devices) d.roofline = measure_roofline(Device(d.device));
  s.steps(profile);
  profile.events = s.log.size();
  profile.lost_events = s.log.lost();
  profile.ns_per_event = s.ns_per_event;
  profile.settings["version"] = version();
  profile.settings["threads"] = std::to_string(num_threads());
  profile.settings["matmul_precision"] =
      matmul_precision() == MatmulPrecision::f32 ? "f32" : "tf32";
  return profile;
}

void Profiler::write_chrome_trace(const std::string& path) const {
  if (state_->subscription)
    throw ValueError("[write_chrome_trace] the profiler still records, needed: stop() before");
  profiling::write_trace(state_->log, state_->recorded, path);
}

}  // namespace tinytorch
