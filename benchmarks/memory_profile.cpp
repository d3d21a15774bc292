// Profiles one workload on one device or more and compares them: a page for people (report.html),
// profile.json, for each device its whole profile and a Chrome trace, or a check against limits for
// CI. Each profile begins before the model is made, on a device whose cache was emptied.
#include <tinytorch/tinytorch.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>

#include <tinytorch/profile.h>
#include <tinytorch/report.h>

#include "benchmarks/arguments.h"
#include "benchmarks/measure.h"
#include "benchmarks/workloads.h"

namespace {

using namespace tinytorch;

constexpr int kOverBudget = 3;  // exit status

struct Run {
  std::string name;  // of the device, as it was given; or "baseline"
  Profile profile;   // of this device alone
  // Of the baseline not known: NaN.
  double step_seconds = NAN;         // median, without the profiler
  double expected_peak_bytes = NAN;  // by predict_memory; of tensors alone where a backend cannot
                                     // tell its workspace

  const DeviceProfile& of() const { return profile.devices.front(); }
};

double median_step(const bench::TrainingTask& task, const Device& device, int64_t steps) {
  std::vector<double> seconds;
  for (int64_t i = 0; i < steps; ++i) {
    const double start = bench::now();
    task.step();
    device.synchronize();
    seconds.push_back(bench::now() - start);
  }
  std::sort(seconds.begin(), seconds.end());
  return bench::median(seconds);
}

// What a step is predicted to take before any runs; 0 for a backend that cannot tell its workspace.
int64_t predicted_peak(const bench::TrainingWorkload& workload) {
  try {
    return bench::predict_steps(workload.model_and_data(), workload.optimizer).peak_bytes;
  } catch (const DeviceError&) {
    return 0;
  }
}

Run profile_on(const std::string& name, const bench::TrainingWorkload& workload, int64_t steps,
               const std::string& trace) {
  const Device device(name);
  const DeviceGuard on(device);
  manual_seed(1);
  const int64_t expected = predicted_peak(workload);
  trim_memory(device);
  Profiler profiler({.roofline = true});
  const bench::TrainingTask task = workload.make();
  for (int64_t i = 0; i < steps; ++i) {
    task.step();
    device.synchronize();
    profiler.step();
  }
  Run run{name, profiler.stop()};
  if (!trace.empty()) profiler.write_chrome_trace(trace);
  run.profile.devices = {run.profile.device(name)};
  run.profile.settings["workload"] = workload.name;
  run.expected_peak_bytes =
      static_cast<double>(expected ? expected : run.of().memory.tensor_peak_bytes);
  run.step_seconds = median_step(task, device, steps);
  return run;
}

// A profile that an earlier run wrote, of the device `name` if it has several.
Run baseline_of(const std::string& path, const std::string& name) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ValueError("[--baseline] cannot open '" + path + "'");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Run run{"baseline", Profile::from_json(text)};
  if (run.profile.devices.size() != 1) run.profile.devices = {run.profile.device(name)};
  return run;
}

ProfileDifference difference_of(const Run& a, const Run& b) {
  return compare(a.of(), b.of(), a.name, b.name);
}

// ---- profile.json

std::string joined(const std::vector<std::string>& objects) {
  std::string out;
  for (const std::string& object : objects) out += (out.empty() ? "" : ",\n  ") + object;
  return "[" + out + "]";
}

std::string device_json(const Run& run) {
  const MemoryProfile& memory = run.of().memory;
  bench::JsonLine categories, out;
  for (size_t i = 0; i < memory.at_peak.size(); ++i)
    categories.bytes(name_of(static_cast<Category>(i)), memory.at_peak[i]);
  out.text("device", run.name).bytes("peak_bytes", memory.peak_bytes);
  out.number("expected_peak_bytes", run.expected_peak_bytes, "%.0f");
  out.json("by_category", categories.str());
  out.bytes("unknown_bytes", memory.unknown_bytes).bytes("reserved_bytes", memory.peak_reserved);
  out.number("allocs_per_step", memory.allocs_per_step).number("step_seconds", run.step_seconds);
  return out.str();
}

// Of every further run to the first; "device" says which where there are several.
std::vector<std::string> differences_json(const std::vector<Run>& compared) {
  std::vector<std::string> out;
  for (size_t i = 1; i < compared.size(); ++i)
    for (const ProfileDifference::Memory& row : difference_of(compared[0], compared[i]).memory) {
      if (row.a == row.b) continue;
      bench::JsonLine line;
      if (compared.size() > 2) line.text("device", compared[i].name);
      line.text("category", row.category).bytes("bytes", row.b - row.a).text("cause", row.cause);
      out.push_back(line.str());
    }
  return out;
}

std::string page_of(const std::vector<Run>& compared, const std::string& title, bool baseline) {
  report::ProfilePage page;
  report::SummaryRow expected{"expected peak, before the run", report::Unit::bytes, {}};
  report::SummaryRow step{
      "time of a step (median, without the profiler)", report::Unit::seconds, {}};
  std::vector<Profile> profiles;
  for (const Run& run : compared) {
    profiles.push_back(run.profile);
    expected.values.push_back(run.expected_peak_bytes);
    step.values.push_back(run.step_seconds);
    if (baseline) page.names.push_back(run.name);
  }
  page.rows = {expected, step};
  return report::html(profiles, title, page);
}

void write_reports(const std::string& folder, const std::string& workload,
                   const std::vector<Run>& runs, const std::vector<Run>& compared) {
  std::vector<std::string> devices;
  for (const Run& run : runs) {
    devices.push_back(device_json(run));
    run.profile.write_json(folder + "/profile_" + run.name + ".json");
    report::write(folder + "/timeline_" + run.name + ".svg",
                  report::svg_file(report::svg(report::memory_timeline(run.of()))));
  }
  bench::JsonLine all;
  all.text("workload", workload).json("devices", joined(devices));
  all.json("differences", joined(differences_json(compared)));
  report::write(folder + "/profile.json", all.str() + "\n");
  report::write(folder + "/report.html",
                page_of(compared, workload, compared.size() > runs.size()));
}

// ---- tables for people

using report::text, report::Unit;

std::string bytes(int64_t value) { return text(static_cast<double>(value), Unit::bytes); }

void print_summary(const std::vector<Run>& runs, const std::vector<Run>& compared) {
  const auto row = [](const std::string& name, const std::vector<std::string>& values) {
    std::cout << std::left << std::setw(14) << name << std::right;
    for (const std::string& value : values) {
      const auto wide = std::count_if(value.begin(), value.end(),
                                      [](char c) { return (c & 0xc0) == 0x80; });  // of UTF-8
      std::cout << std::setw(14 + static_cast<int>(wide)) << value;
    }
    std::cout << '\n';
  };
  row("device", {"peak", "expected", "reserved", "allocs/step", "step"});
  for (const Run& run : runs) {
    const MemoryProfile& memory = run.of().memory;
    row(run.name, {bytes(memory.peak_bytes), text(run.expected_peak_bytes, Unit::bytes),
                   bytes(memory.peak_reserved), text(memory.allocs_per_step, Unit::count),
                   text(run.step_seconds, Unit::seconds)});
  }
  for (size_t i = 1; i < compared.size(); ++i)
    for (const ProfileDifference::Memory& m : difference_of(compared[0], compared[i]).memory)
      if (m.a != m.b)
        std::cout << compared[i].name << " - " << compared[0].name << ", " << m.category << ": "
                  << report::signed_text(static_cast<double>(m.b - m.a), Unit::bytes)
                  << (m.cause.empty() ? "" : ", ") << m.cause << '\n';
}

// ---- budgets

using Budgets = std::map<std::string, Budget>;

std::string budget_name(const std::string& workload, const std::string& device) {
  return workload + "/" + Device(device).backend();
}

// Before anything runs: all limits are there, and of figures that the runs will have.
Budgets budgets_of(const std::string& path, const std::string& workload,
                   const std::vector<std::string>& devices, const Profile* baseline) {
  const Budgets budgets = read_budgets(path);
  Profile any;
  any.step_seconds = {1};
  any.devices.resize(1);
  for (const Phase phase : {Phase::forward, Phase::backward, Phase::optimizer}) {
    OpProfile& op = any.devices[0].ops.emplace_back();
    op.phase = phase;
    op.host_seconds = 1;
  }
  for (const std::string& device : devices) {
    const std::string name = budget_name(workload, device);
    const auto found = budgets.find(name);
    if (found == budgets.end())
      throw ValueError("[--budget] " + path + " has no limits for '" + name + "'");
    check_budget(metrics(any, "", baseline), found->second);
  }
  return budgets;
}

std::string digits(double value) {
  std::ostringstream out;
  out << std::setprecision(value == std::floor(value) ? 15 : 4) << value;
  return out.str();
}

// The limits of "<workload>/<backend>"; the exit status.
int check_budgets(const Budgets& budgets, const std::string& workload, const std::vector<Run>& runs,
                  const Profile* baseline) {
  bool kept = true;
  for (const Run& run : runs) {
    const std::string name = budget_name(workload, run.name);
    const Budget& limits = budgets.at(name);
    const Metrics measured = metrics(run.profile, run.name, baseline);
    const std::vector<std::string> exceeded = check_budget(measured, limits);
    std::cout << '\n' << name << (exceeded.empty() ? ": within its budget\n" : ": OVER BUDGET\n");
    for (const auto& [metric, limit] : limits)
      std::cout << "  " << std::left << std::setw(24) << metric << std::right << std::setw(14)
                << digits(measured.at(metric)) << " of " << std::setw(14) << digits(limit)
                << (measured.at(metric) > limit ? "  exceeded\n" : "  ok\n");
    for (const std::string& line : exceeded) std::cerr << name << ": " << line << '\n';
    kept &= exceeded.empty();
  }
  return kept ? 0 : kOverBudget;
}

int run(const bench::Arguments& arguments) {
  if (arguments.given("--list")) {
    for (const std::string& name : bench::training_names()) std::cout << name << '\n';
    return 0;
  }
  const std::vector<std::string> devices = arguments.list("--devices");
  for (const std::string& name : devices) Device{name};  // all are usable, before any runs
  const bench::TrainingWorkload workload = bench::training_workload(arguments.text("--workload"));
  const int64_t steps = arguments.number("--steps", 2, 1000000);
  const std::string folder = arguments.text("--out");
  set_num_threads(static_cast<int>(arguments.number("--threads", 1, 4096)));
  std::vector<Run> compared;
  if (arguments.given("--baseline"))
    compared.push_back(baseline_of(arguments.text("--baseline"), devices[0]));
  const std::optional<Profile> baseline =
      compared.empty() ? std::nullopt : std::optional(compared[0].profile);
  const Profile* to = baseline ? &*baseline : nullptr;
  Budgets budgets;
  if (arguments.given("--budget"))
    budgets = budgets_of(arguments.text("--budget"), workload.name, devices, to);
  if (!folder.empty()) std::filesystem::create_directories(folder);

  std::vector<Run> runs;
  for (const std::string& name : devices)
    runs.push_back(profile_on(name, workload, steps,
                              folder.empty() ? "" : folder + "/trace_" + name + ".json"));
  compared.insert(compared.end(), runs.begin(), runs.end());
  std::cout << workload.name << ", " << steps << " steps\n";
  print_summary(runs, compared);
  if (!folder.empty()) {
    write_reports(folder, workload.name, runs, compared);
    std::cout << "written to " << folder << ": report.html, profile.json, profiles, traces, "
              << "timelines\n";
  }
  if (!arguments.given("--budget")) return 0;
  return check_budgets(budgets, workload.name, runs, to);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(
      argc, argv,
      "time and memory of a workload's training steps; further devices are compared with the "
      "first.\n"
      "With --out DIR writes DIR/report.html, DIR/profile.json and for each device "
      "DIR/profile_<device>.json (its\nwhole profile), DIR/trace_<device>.json "
      "(https://ui.perfetto.dev opens it) and DIR/timeline_<device>.svg.\nWith --baseline FILE, a "
      "profile_<device>.json of another run, all are compared with that. With --budget\nFILE "
      "checks the limits that FILE has for \"<workload>/<backend>\". Exit status: 0; 1 if a run or "
      "a file\nfailed; 2 for bad arguments; 3 over budget.",
      {bench::kDevicesFlag,
       {"--workload", "NAME", "mlp_large_b128_adam", "see --list; any batch size may stand there"},
       {"--steps", "N", "10", "of which the first makes gradients and state"},
       bench::kThreadsFlag,
       bench::kOutFlag,
       {"--baseline", "FILE", "", "profile of another commit or setting to compare with"},
       {"--budget", "FILE", "", "limits to check"},
       bench::kListFlag},
      run);
}
