// The clock of events. A look at the steady clock takes some 25 ns, one at the time stamp counter
// of the processor, where that runs at one rate, 10 ns. So a thread looks at the steady clock once
// in some microseconds and counts ticks in between, each for a little less than it lasts: the time
// is never ahead of the steady clock, and never runs backwards.
#include <chrono>

#include "core/runtime/events.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace tinytorch {

namespace {

int64_t steady_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

#if defined(__x86_64__)

namespace {

constexpr uint64_t kTicksBetween = 1 << 16;  // looks at the steady clock: 13 to 65 us
constexpr uint64_t kTicksOfLook = 1 << 12;   // one that took longer was interrupted
constexpr int64_t kCalibrationNs = 200000;
constexpr double kTooLow = 0.999;  // what the calibration may err, and what NTP may add

std::atomic<uint64_t> g_rate{0};  // of a tick in 2^-32 ns; 0: ticks cannot be relied on

struct Look {
  uint64_t ticks, took;
  int64_t ns;
};
Look look() noexcept {
  const uint64_t before = __rdtsc();
  const int64_t ns = steady_ns();
  const uint64_t after = __rdtsc();
  return {after, after - before, ns};
}

uint64_t measured_rate() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kPower = 0x80000007, kInvariant = 1 << 8;
  if (!__get_cpuid(kPower, &a, &b, &c, &d) || !(d & kInvariant)) return 0;
  constexpr int kTries = 10000;
  Look from = look(), to = from;
  for (int i = 0; i < kTries && from.took > kTicksOfLook; ++i) from = look();
  for (int i = 0; i < kTries; ++i) {
    to = look();
    if (to.took <= kTicksOfLook && to.ns - from.ns >= kCalibrationNs) break;
  }
  if (from.took > kTicksOfLook || to.took > kTicksOfLook || to.ns - from.ns < kCalibrationNs)
    return 0;
  const double rate =
      kTooLow * static_cast<double>(to.ns - from.ns) / static_cast<double>(to.ticks - from.ticks);
  if (!(rate > 0.1 && rate < 2)) return 0;
  return static_cast<uint64_t>(rate * 4294967296.0);
}

TT_COLD int64_t look_again(uint64_t rate) noexcept {
  if (!rate) return steady_ns();
  const Look now = look();
  if (now.took <= kTicksOfLook) {
    thread_state().clock_ticks = now.ticks;
    thread_state().clock_ns = now.ns;
  }
  return now.ns;
}

}  // namespace

void calibrate_host_clock() {
  static constinit std::atomic<bool> done{false};  // no guard, which a fork may find taken
  if (done.load(std::memory_order_relaxed)) return;
  uint64_t none = 0;
  g_rate.compare_exchange_strong(none, measured_rate(), std::memory_order_relaxed);
  done.store(true, std::memory_order_relaxed);
}

int64_t host_clock_ns() noexcept {
  const ThreadState& t = thread_state();
  const uint64_t rate = g_rate.load(std::memory_order_relaxed), ticks = __rdtsc() - t.clock_ticks;
  if (TT_UNLIKELY(!rate || ticks > kTicksBetween)) return look_again(rate);
  return t.clock_ns + static_cast<int64_t>(ticks * rate >> 32);
}

#else

void calibrate_host_clock() {}
int64_t host_clock_ns() noexcept { return steady_ns(); }

#endif

}  // namespace tinytorch
