// Profiler: a log of events, the allocators' statistics at the ends of steps, and what an event
// costs.
#include <unistd.h>

#include <cstdio>
#include <optional>

#include <tinytorch/error.h>

#include "core/profile/analysis.h"

namespace tinytorch {

namespace {

// The least of several rounds.
template <class F>
double ns_of(int times, const F& f) {
  constexpr int kRounds = 20;
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const int64_t start = host_clock_ns();
    for (int i = 0; i < times; ++i) f();
    best = std::min(best, static_cast<double>(host_clock_ns() - start) / times);
  }
  return best;
}

struct Cost {
  double event, without;
};
// An event is its delivery to a log that grows, and the two looks at the clock that an op or a
// block takes. Other observers see the marks of the first profiler.
Cost measured_cost() {
  constexpr int kLooks = 10000;
  volatile bool any = false;
  const auto same_loop = [] { std::atomic_signal_fence(std::memory_order_seq_cst); };
  const double without = ns_of(kLooks, [&] {
    same_loop();
    if (observed()) any = true;
  });
  const double loop = ns_of(kLooks, same_loop);
  EventLog log;
  const Subscription subscription(log);
  const double event = ns_of(500, [] {
    Event e;
    e.name = "profiler: cost of an event";
    e.start_ns = host_clock_ns();
    e.end_ns = host_clock_ns();
    emit(e);
  });
  return {event, std::max(0.0, without - loop)};
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
  Cost cost{};
  std::optional<Subscription> subscription;  // last: ends first

  void steps(Profile& profile) const;
  void outside(Profile& profile) const;
};

Profiler::Profiler(const ProfilerOptions& options) : state_(std::make_unique<State>(options)) {
  static const Cost cost = measured_cost();
  State& s = *state_;
  s.cost = cost;
  s.recorded.start_ns = host_clock_ns();
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
  s.step_ends.push_back(host_clock_ns());
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
  const int64_t end = host_clock_ns();
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
  profile.ns_per_event = s.cost.event;
  profile.ns_without = s.cost.without;
  profile.settings["version"] = version();
  profile.settings["threads"] = std::to_string(num_threads());
  profile.settings["matmul_precision"] =
      matmul_precision() == MatmulPrecision::f32 ? "f32" : "tf32";
  return profile;
}

void Profiler::write_chrome_trace(const std::string& path) const {
  if (state_->subscription)
    throw ValueError("[write_chrome_trace] the profiler still records, needed: stop() before");
  profiling::write_trace(state_->log, state_->recorded, state_->step_ends, path);
}

}  // namespace tinytorch
