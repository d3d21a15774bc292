// The page of a profile: what runs are called, the summary at its top, settings and overhead at its
// end; the sections between are in html_memory.cpp, html_ops.cpp and html_differences.cpp.
#include "core/profile/html_profile.h"

#include <algorithm>
#include <set>

namespace tinytorch::report {

namespace {

// The settings of a run that not all runs share.
std::string own_settings(const Profile& profile, const std::vector<Profile>& all) {
  std::string out;
  for (const auto& [name, value] : profile.settings) {
    const bool shared = std::all_of(all.begin(), all.end(), [&, &n = name, &v = value](auto& p) {
      const auto found = p.settings.find(n);
      return found != p.settings.end() && found->second == v;
    });
    if (!shared) out += (out.empty() ? "" : ", ") + name + " " + value;
  }
  return out;
}

Runs runs_of(const std::vector<Profile>& profiles) {
  std::multiset<std::string> names;
  for (const Profile& p : profiles)
    for (const DeviceProfile& d : p.devices) names.insert(d.device);
  Runs runs;
  for (size_t i = 0; i < profiles.size(); ++i)
    for (const DeviceProfile& d : profiles[i].devices) {
      std::string label = d.device;
      if (names.count(d.device) > 1) {
        const std::string own = own_settings(profiles[i], profiles);
        label += own.empty() ? ", run " + std::to_string(i + 1) : ", " + own;
      }
      runs.push_back({label, &profiles[i], &d});
    }
  return runs;
}

struct Line {
  const char* name;
  Unit unit;
  double (*of)(const Run& run);
};

// Figures that have no value for a run, such as a step's time without steps, are 0 there.
constexpr Line kSummary[] = {
    {"time of a step (median)", Unit::seconds,
     [](const Run& r) { return r.profile->median_step_seconds(); }},
    {"steps", Unit::count, [](const Run& r) { return number(ssize(r.profile->step_seconds)); }},
    {"peak of live bytes", Unit::bytes,
     [](const Run& r) { return number(r.device->memory.peak_bytes); }},
    {"expected from shapes", Unit::bytes,
     [](const Run& r) { return number(r.device->memory.expected_peak_bytes); }},
    {"of unknown purpose", Unit::bytes,
     [](const Run& r) { return number(r.device->memory.unknown_bytes); }},
    {"peak taken from the system", Unit::bytes,
     [](const Run& r) { return number(r.device->memory.peak_reserved); }},
    {"resident outside of the allocators", Unit::bytes,
     [](const Run& r) { return number(r.profile->outside_bytes); }},
    {"growth in a step", Unit::bytes,
     [](const Run& r) { return r.device->memory.leak_bytes_per_step; }},
    {"copies between host and device", Unit::count,
     [](const Run& r) { return number(r.device->copies); }},
    {"bytes of copies", Unit::bytes, [](const Run& r) { return number(r.device->copy_bytes); }},
    {"time of copies", Unit::seconds, [](const Run& r) { return r.device->copy_seconds; }},
};

std::string summary(const Runs& runs) {
  Table table{{{""}}, {}};
  for (const Run& run : runs) table.columns.push_back({run.label, true});
  for (const Line& line : kSummary) {
    std::vector<Cell> row{{line.name}};
    for (const Run& run : runs) row.push_back(number_cell(line.of(run), line.unit));
    table.rows.push_back(std::move(row));
  }
  return html(table);
}

std::string overhead_section(const std::vector<Profile>& profiles) {
  std::string body;
  for (const Profile& p : profiles) {
    std::string line = p.devices.empty() ? "" : p.devices[0].device + ": ";
    line += text(number(p.events), Unit::count) + " events in " + text(p.seconds, Unit::seconds) +
            ", " + text(p.events_per_step, Unit::count) + " in a step at " +
            text(p.ns_per_event, Unit::count) +
            " ns each: " + text(p.overhead_share(), Unit::share) +
            " of a step. Without a profiler: " + text(p.ns_without, Unit::count) + " ns. ";
    body += paragraph(line + (p.lost_events
                                  ? text(number(p.lost_events), Unit::count) + " events were lost."
                                  : "No event was lost."));
  }
  return section("What the profiler cost", "", body);
}

std::string settings_section(const std::vector<Profile>& profiles) {
  Table table{{{"run"}, {"setting"}, {"value"}}, {}};
  for (size_t i = 0; i < profiles.size(); ++i)
    for (const auto& [name, value] : profiles[i].settings)
      table.rows.push_back({{std::to_string(i + 1)}, {name}, {value}});
  return table.rows.empty() ? "" : section("Settings", "", html(table));
}

}  // namespace

std::string html(const std::vector<Profile>& runs, std::string_view title) {
  const Runs all = runs_of(runs);
  std::string devices;
  for (const Run& run : all) devices += (devices.empty() ? "" : " · ") + run.label;
  std::string body = section("Summary", "", summary(all));
  if (all.size() > 1) body += differences_section(all);
  body += memory_section(all) + ops_section(all) + phases_section(all) + allocator_section(all) +
          overhead_section(runs) + settings_section(runs);
  return page(title, devices, body);
}

}  // namespace tinytorch::report
