// The page of a profile: what runs are called, the summary at its top, settings and overhead at its
// end; the sections between are in html_memory.cpp, html_ops.cpp and html_differences.cpp.
#include "core/profile/html_profile.h"

#include <algorithm>

#include <tinytorch/error.h>

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

// Nothing happened there, and at most the state of a generator lives.
bool idle(const DeviceProfile& d) {
  return d.ops.empty() && d.copies == 0 && d.memory.peak_bytes <= 64;
}

std::string label_of(const DeviceProfile& d, const std::vector<Profile>& profiles, size_t i,
                     const ProfilePage& page) {
  if (!page.names.empty())
    return page.names[i] + (profiles[i].devices.size() > 1 ? ", " + d.device : "");
  int64_t as_many = 0;
  for (const Profile& p : profiles)
    as_many += std::count_if(p.devices.begin(), p.devices.end(),
                             [&](const DeviceProfile& other) { return other.device == d.device; });
  if (as_many < 2) return d.device;
  const std::string own = own_settings(profiles[i], profiles);
  return d.device + ", " + (own.empty() ? "run " + std::to_string(i + 1) : own);
}

std::string label_of(const std::vector<Profile>& profiles, size_t i, const ProfilePage& page) {
  if (!page.names.empty()) return page.names[i];
  std::string out;
  for (const DeviceProfile& d : profiles[i].devices)
    if (!idle(d)) out += (out.empty() ? "" : " and ") + label_of(d, profiles, i, page);
  return out.empty() ? "run " + std::to_string(i + 1) : out;
}

Runs runs_of(const std::vector<Profile>& profiles, const ProfilePage& page) {
  Runs runs;
  for (size_t i = 0; i < profiles.size(); ++i)
    for (const DeviceProfile& d : profiles[i].devices)
      runs.push_back(
          {label_of(d, profiles, i, page), label_of(profiles, i, page), &profiles[i], &d});
  return runs;
}

struct Line {
  const char* name;
  Unit unit;
  double (*of)(const Run& run);
  bool of_profile = false;  // as a whole, not of one device
};

// Figures that have no value for a run, such as a step's time without steps, are 0 there.
constexpr Line kSummary[] = {
    {"time of a step (median, with the profiler)", Unit::seconds,
     [](const Run& r) { return r.profile->median_step_seconds(); }, true},
    {"steps", Unit::count, [](const Run& r) { return number(ssize(r.profile->step_seconds)); },
     true},
    {"peak of live bytes", Unit::bytes,
     [](const Run& r) { return number(r.device->memory.peak_bytes); }},
    {"tensors alone (by their shapes)", Unit::bytes,
     [](const Run& r) { return number(r.device->memory.tensor_peak_bytes); }},
    {"of unknown purpose", Unit::bytes,
     [](const Run& r) { return number(r.device->memory.unknown_bytes); }},
    {"peak taken from the system", Unit::bytes,
     [](const Run& r) { return number(r.device->memory.peak_reserved); }},
    {"resident outside of the allocators", Unit::bytes,
     [](const Run& r) { return number(r.profile->outside_bytes); }, true},
    {"growth in a step", Unit::bytes,
     [](const Run& r) { return r.device->memory.leak_bytes_per_step; }},
    {"copies between host and device", Unit::count,
     [](const Run& r) { return number(r.device->copies); }},
    {"bytes of copies", Unit::bytes, [](const Run& r) { return number(r.device->copy_bytes); }},
    {"time of copies", Unit::seconds, [](const Run& r) { return r.device->copy_seconds; }},
};

// What is of a profile as a whole stands at its first device.
bool is_first(const Runs& runs, const Run& run) {
  return &run == &runs[0] || run.profile != (&run - 1)->profile;
}

std::string summary(const Runs& runs, const std::vector<Profile>& profiles,
                    const ProfilePage& page) {
  Table table{{{""}}, {}};
  for (const Run& run : runs) table.columns.push_back({run.label, true});
  for (const SummaryRow& line : page.rows) {
    std::vector<Cell> row{{line.name}};
    for (const Run& run : runs)
      row.push_back(
          is_first(runs, run)
              ? number_cell(line.values[static_cast<size_t>(run.profile - &profiles[0])], line.unit)
              : Cell{});
    table.rows.push_back(std::move(row));
  }
  for (const Line& line : kSummary) {
    std::vector<Cell> row{{line.name}};
    for (const Run& run : runs)
      row.push_back(line.of_profile && !is_first(runs, run) ? Cell{}
                                                            : number_cell(line.of(run), line.unit));
    table.rows.push_back(std::move(row));
  }
  return html(table);
}

std::string overhead_section(const std::vector<Profile>& profiles, const ProfilePage& page) {
  std::string body;
  for (size_t i = 0; i < profiles.size(); ++i) {
    const Profile& p = profiles[i];
    std::string line = label_of(profiles, i, page) + ": ";
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

std::string settings_section(const std::vector<Profile>& profiles, const ProfilePage& page) {
  Table table{{{"run"}, {"setting"}, {"value"}}, {}};
  for (size_t i = 0; i < profiles.size(); ++i)
    for (const auto& [name, value] : profiles[i].settings)
      table.rows.push_back({{label_of(profiles, i, page)}, {name}, {value}});
  return table.rows.empty() ? "" : section("Settings", "", html(table));
}

void check(const ProfilePage& page, size_t profiles) {
  const auto fits = [&](const std::string& what, size_t given) {
    if (given != profiles)
      throw ValueError("[report] " + what + " has " + std::to_string(given) + " entries, " +
                       std::to_string(profiles) + " are needed, one per profile");
  };
  if (!page.names.empty()) fits("'names'", page.names.size());
  for (const SummaryRow& row : page.rows) fits("row '" + row.name + "'", row.values.size());
}

}  // namespace

std::string html(const std::vector<Profile>& profiles, std::string_view title,
                 const ProfilePage& with) {
  check(with, profiles.size());
  const Runs all = runs_of(profiles, with);
  Runs busy = all;
  std::erase_if(busy, [](const Run& run) { return idle(*run.device); });
  std::string devices;
  for (const Run& run : busy) devices += (devices.empty() ? "" : " · ") + run.label;
  std::string body = section("Summary", "", summary(all, profiles, with));
  body += differences_section(busy) + memory_section(busy) + ops_section(busy) +
          phases_section(busy) + allocator_section(busy) + overhead_section(profiles, with) +
          settings_section(profiles, with);
  return page(title, devices, body);
}

}  // namespace tinytorch::report
