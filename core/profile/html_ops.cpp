// Time in a profile's page: ops with their share and the rates they reached, phases, steps.
#include <algorithm>
#include <map>

#include "core/profile/html_profile.h"

namespace tinytorch::report {

namespace {

double seconds_of(const DeviceProfile& device) {
  double sum = 0;
  for (const OpProfile& op : device.ops) sum += op.seconds();
  return sum;
}

std::string rate(double amount, double seconds, const char* unit) {
  return amount > 0 && seconds > 0 ? text(amount / seconds, Unit::count) + unit : "";
}

std::string op_table(const DeviceProfile& device) {
  Table table{{{"op"},
               {"module"},
               {"phase"},
               {"gradient of"},
               {"calls", true},
               {"time", true},
               {"share", true},
               {"FLOP/s", true},
               {"bytes/s", true},
               {"of the roofline", true}},
              {}};
  const double all = std::max(seconds_of(device), 1e-12);
  for (const OpProfile& op : device.ops) {
    const double share = op.seconds() / all, achieved = achieved_share(op, device.roofline);
    const Cell of_roofline = achieved > 0 ? Cell{text(achieved, Unit::share), achieved} : Cell{};
    table.rows.push_back({{op.op},
                          {op.module},
                          {name_of(op.phase)},
                          {op.forward_op},
                          {text(number(op.calls), Unit::count)},
                          {text(op.seconds(), Unit::seconds)},
                          {text(share, Unit::share), share},
                          {rate(op.flops, op.seconds(), "")},
                          {rate(op.bytes, op.seconds(), "")},
                          of_roofline});
  }
  return html(table);
}

// Time by op over all modules, the ten that take most on all devices together.
std::string op_bars(const Runs& runs) {
  constexpr size_t kMost = 10;
  std::vector<std::map<std::string, double>> seconds(runs.size());
  std::vector<std::string> names;
  std::map<std::string, double> sums;
  for (size_t r = 0; r < runs.size(); ++r)
    for (const OpProfile& op : runs[r].device->ops) {
      const std::string name = op.op + ", " + name_of(op.phase);
      seconds[r][name] += op.seconds();
      sums[name] += op.seconds();
    }
  for (const auto& [name, value] : sums) names.push_back(name);
  std::stable_sort(names.begin(), names.end(),
                   [&](const auto& a, const auto& b) { return sums[a] > sums[b]; });
  if (names.size() > kMost) names.resize(kMost);
  Bars bars{"Time by op", Unit::seconds, {}, {}, {}};
  for (const Run& run : runs) bars.names.push_back(run.label);
  for (const std::string& name : names) {
    BarRow row{name, {}};
    for (auto& of_run : seconds) row.values.push_back(of_run[name]);
    bars.rows.push_back(std::move(row));
  }
  return svg(bars);
}

std::string roofline_line(const Run& run) {
  const Roofline& roofline = run.device->roofline;
  if (roofline.flops_per_second <= 0) return "";
  return paragraph(run.label + " reached " + text(roofline.flops_per_second, Unit::count) +
                   "FLOP/s in matmul and " + text(roofline.bytes_per_second, Unit::count) +
                   "B/s in add; the last column is the least time that these allow over the time "
                   "taken.");
}

}  // namespace

std::string ops_section(const Runs& runs) {
  std::string body;
  if (!runs.empty()) body += op_bars(runs);
  for (const Run& run : runs) {
    if (runs.size() > 1) body += "<h3>" + escaped(run.label) + "</h3>\n";
    body += roofline_line(run) + op_table(*run.device);
  }
  return section("Ops",
                 "Most time first; times are sums over all calls, on the device where that is "
                 "known. FLOPs and bytes are those of the ops' cost functions.",
                 body);
}

std::string phases_section(const Runs& runs) {
  Bars bars{"Time of ops by phase", Unit::seconds, {}, {3, 2, 4}, {}, true};
  for (const Phase p : {Phase::forward, Phase::backward, Phase::optimizer})
    bars.names.push_back(name_of(p));
  Chart steps{"Time of each step, with the profiler",
              ChartKind::lines,
              {"step", Unit::count},
              {"seconds", Unit::seconds},
              {},
              {}};
  for (size_t r = 0; r < runs.size(); ++r) {
    const auto seconds = runs[r].device->phase_seconds();
    bars.rows.push_back({runs[r].label, {seconds.begin(), seconds.end()}});
    if (r && runs[r].profile == runs[r - 1].profile) continue;
    Series series{runs[r].profile_label, {}, runs[r].profile->step_seconds};
    for (size_t i = 0; i < series.y.size(); ++i) series.x.push_back(static_cast<double>(i + 1));
    steps.series.push_back(std::move(series));
  }
  return section("Phases and steps", "", svg(bars) + svg(steps));
}

}  // namespace tinytorch::report
