// What follows from the numbers of a profile, and the profile as text for people.
#include <tinytorch/profile.h>

#include <algorithm>

#include <tinytorch/error.h>

#include "core/profile/html.h"

namespace tinytorch {

using report::append;
using report::one_line;
using report::text;
using report::Unit;

int64_t total(const CategoryBytes& bytes) {
  int64_t sum = 0;
  for (int64_t b : bytes) sum += b;
  return sum;
}

double MemoryProfile::hit_rate() const {
  const int64_t allocs = after.allocs - before.allocs;
  if (allocs <= 0) return 1;
  const auto from_system = static_cast<double>(after.raw_allocs - before.raw_allocs);
  return std::max(0.0, 1 - from_system / static_cast<double>(allocs));
}
double MemoryProfile::fragmentation() const {
  if (after.reserved <= 0) return 0;
  return static_cast<double>(after.reserved - after.in_use) / static_cast<double>(after.reserved);
}
int64_t MemoryProfile::rounding_bytes() const { return after.given - after.in_use; }

std::array<double, 3> DeviceProfile::phase_seconds() const {
  std::array<double, 3> seconds{};
  for (const OpProfile& op : ops) seconds[static_cast<size_t>(op.phase)] += op.seconds();
  return seconds;
}

const DeviceProfile& Profile::device(std::string_view name) const {
  std::string have;
  for (const DeviceProfile& d : devices) {
    if (d.device == name || d.device == std::string(name) + ":0") return d;
    have += (have.empty() ? "" : ", ") + d.device;
  }
  throw ValueError("[Profile] no device '" + std::string(name) + "', " +
                   (have.empty() ? "none did anything" : "needed: one of " + have));
}

double Profile::median_step_seconds() const {
  std::vector<double> sorted(step_seconds.begin() + (step_seconds.size() > 1), step_seconds.end());
  if (sorted.empty()) return 0;
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

double Profile::overhead_share() const {
  const double step = median_step_seconds();
  return step > 0 ? events_per_step * ns_per_event * 1e-9 / step : 0;
}

// ---- text

namespace {

constexpr size_t kShownRows = 20;

std::string bytes(int64_t n) { return text(static_cast<double>(n), Unit::bytes); }
std::string bytes(double n) { return text(n, Unit::bytes); }
std::string seconds(double s) { return text(s, Unit::seconds); }

void memory_text(std::string& out, const MemoryProfile& m) {
  append(out, "  peak %s at op %lld, tensors alone (by their shapes) %s; unknown %s\n",
         bytes(m.peak_bytes).c_str(), static_cast<long long>(m.peak_op),
         bytes(m.tensor_peak_bytes).c_str(), bytes(m.unknown_bytes).c_str());
  append(out, "  %-16s %12s %13s\n", "category", "at the peak", "tensors alone");
  for (size_t i = 0; i < kCategoryCount; ++i) {
    if (m.at_peak[i] == 0 && m.tensors_at_peak[i] == 0) continue;
    append(out, "  %-16s %12s %13s\n", name_of(static_cast<Category>(i)),
           bytes(m.at_peak[i]).c_str(), bytes(m.tensors_at_peak[i]).c_str());
  }
  append(out,
         "  allocator: reserved %s (peak %s), in use %s, rounding %s, cached %s, fragmentation "
         "%s, hit rate %s, system calls %lld, %s spent in allocating\n",
         bytes(m.after.reserved).c_str(), bytes(m.peak_reserved).c_str(),
         bytes(m.after.in_use).c_str(), bytes(m.rounding_bytes()).c_str(),
         bytes(m.after.cached).c_str(), text(m.fragmentation(), Unit::share).c_str(),
         text(m.hit_rate(), Unit::share).c_str(),
         static_cast<long long>(m.after.raw_allocs - m.before.raw_allocs + m.after.raw_frees -
                                m.before.raw_frees),
         seconds(m.allocate_seconds).c_str());
  append(out, "  a step: %.1f allocations, %.1f system calls, live bytes grow by %s\n",
         m.allocs_per_step, m.system_calls_per_step, bytes(m.leak_bytes_per_step).c_str());
  constexpr size_t kShownBlocks = 10;
  if (!m.grown.empty()) append(out, "  what grew from the first step's end to the last's:\n");
  for (size_t i = 0; i < std::min(m.grown.size(), kShownBlocks); ++i) {
    const Growth& g = m.grown[i];
    append(out, "    %12s a step, %12s in %lld blocks, %-16s %-24s %s\n",
           bytes(g.bytes_per_step).c_str(), bytes(g.bytes).c_str(),
           static_cast<long long>(g.blocks), name_of(g.category),
           g.op.empty() ? "(written by no op)" : g.op.c_str(), one_line(g.module).c_str());
  }
  const std::vector<LiveBlock>& alive = m.alive_at_peak;
  if (!alive.empty()) append(out, "  alive at the peak:\n");
  for (size_t i = 0; i < std::min(alive.size(), kShownBlocks); ++i) {
    const LiveBlock& b = alive[i];
    append(out, "    %12s %-16s %-24s %s\n", bytes(b.bytes).c_str(), name_of(b.category),
           b.op.empty() ? "(before the profile)" : b.op.c_str(), one_line(b.module).c_str());
  }
  if (alive.size() > kShownBlocks) append(out, "    and %zu more\n", alive.size() - kShownBlocks);
}

void ops_text(std::string& out, const DeviceProfile& d) {
  double all = 0;
  for (double s : d.phase_seconds()) all += s;
  append(out, "  %-26s %-9s %8s %10s %10s %6s %9s %10s %6s  %s\n", "op", "phase", "calls", "host",
         "device", "share", "FLOP", "bytes", "roof", "module");
  for (size_t i = 0; i < std::min(d.ops.size(), kShownRows); ++i) {
    const OpProfile& op = d.ops[i];
    const std::string name =
        op.forward_op.empty() || op.forward_op == op.op ? op.op : op.op + " <- " + op.forward_op;
    const double share = achieved_share(op, d.roofline);
    append(out, "  %-26.40s %-9s %8lld %10s %10s %6s %9s %10s %6s  %s\n", name.c_str(),
           name_of(op.phase), static_cast<long long>(op.calls), seconds(op.host_seconds).c_str(),
           op.device_seconds > 0 ? seconds(op.device_seconds).c_str() : "-",
           text(all > 0 ? op.seconds() / all : 0, Unit::share).c_str(),
           text(op.flops, Unit::count).c_str(), bytes(op.bytes).c_str(),
           share > 0 ? text(share, Unit::share).c_str() : "-", one_line(op.module).c_str());
  }
  if (d.ops.size() > kShownRows) append(out, "  and %zu more\n", d.ops.size() - kShownRows);
  const auto phases = d.phase_seconds();
  append(out, "  forward %s, backward %s, optimizer %s; copies: %lld, %s in %s\n",
         seconds(phases[0]).c_str(), seconds(phases[1]).c_str(), seconds(phases[2]).c_str(),
         static_cast<long long>(d.copies), bytes(d.copy_bytes).c_str(),
         seconds(d.copy_seconds).c_str());
}

}  // namespace

std::string Profile::str() const {
  std::string out;
  append(out, "%zu steps, median %s; %s in all; outside of the allocators %s resident\n",
         step_seconds.size(), report::text(median_step_seconds(), Unit::seconds).c_str(),
         report::text(seconds, Unit::seconds).c_str(), bytes(outside_bytes).c_str());
  append(
      out,
      "profiler: %lld events (%lld lost), %.0f a step of %.0f ns each: %.2f %% of a step; without "
      "it %.1f ns\n",
      static_cast<long long>(events), static_cast<long long>(lost_events), events_per_step,
      ns_per_event, 100 * overhead_share(), ns_without);
  for (const DeviceProfile& d : devices) {
    append(out, "\n%s\n", d.device.c_str());
    memory_text(out, d.memory);
    ops_text(out, d);
  }
  return out;
}

}  // namespace tinytorch
