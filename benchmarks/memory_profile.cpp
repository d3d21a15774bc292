// Profiles one workload on one device or more and compares them: a page for people (report.html), a
// Chrome trace for each device and profile.json, or a check against limits for CI. Each profile
// begins before the model is made, on a device whose cache was emptied.
#include <tinytorch/tinytorch.h>

#include <filesystem>
#include <iomanip>
#include <iostream>

#include <tinytorch/profile.h>
#include <tinytorch/report.h>

#include "benchmarks/arguments.h"
#include "benchmarks/measure.h"
#include "benchmarks/workloads.h"

namespace {

using namespace tinytorch;

constexpr int kOverBudget = 3;  // exit status

struct Run {
  std::string device;           // as it was given
  Profile profile;              // of this device alone
  double step_seconds;          // median, without the profiler
  int64_t expected_peak_bytes;  // by predict_memory, or else of tensors alone

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
  Run run{name, profiler.stop(), 0, expected};
  if (!trace.empty()) profiler.write_chrome_trace(trace);
  run.profile.devices = {run.profile.device(name)};
  run.profile.settings["workload"] = workload.name;
  if (!expected) run.expected_peak_bytes = run.of().memory.expected_peak_bytes;
  run.step_seconds = median_step(task, device, steps);
  return run;
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
  out.text("device", run.device).bytes("peak_bytes", memory.peak_bytes);
  out.bytes("expected_peak_bytes", run.expected_peak_bytes).json("by_category", categories.str());
  out.bytes("unknown_bytes", memory.unknown_bytes).bytes("reserved_bytes", memory.peak_reserved);
  out.number("allocs_per_step", memory.allocs_per_step).number("step_seconds", run.step_seconds);
  return out.str();
}

// Of every further device to the first; "device" says which where there are several.
std::vector<std::string> differences_json(const std::vector<Run>& runs) {
  std::vector<std::string> out;
  for (size_t i = 1; i < runs.size(); ++i)
    for (const ProfileDifference::Memory& row : compare(runs[0].of(), runs[i].of()).memory) {
      if (row.a == row.b) continue;
      bench::JsonLine line;
      if (runs.size() > 2) line.text("device", runs[i].device);
      line.text("category", row.category).bytes("bytes", row.b - row.a).text("cause", row.cause);
      out.push_back(line.str());
    }
  return out;
}

void write_reports(const std::string& folder, const std::string& workload,
                   const std::vector<Run>& runs) {
  std::vector<std::string> devices;
  std::vector<Profile> profiles;
  for (const Run& run : runs) {
    devices.push_back(device_json(run));
    profiles.push_back(run.profile);
    report::write(folder + "/timeline_" + run.device + ".svg",
                  report::svg_file(report::svg(report::memory_timeline(run.of()))));
  }
  bench::JsonLine all;
  all.text("workload", workload).json("devices", joined(devices));
  all.json("differences", joined(differences_json(runs)));
  report::write(folder + "/profile.json", all.str() + "\n");
  report::write(folder + "/report.html", report::html(profiles, workload));
}

// ---- tables for people

void print_summary(const std::vector<Run>& runs) {
  const auto row = [](const std::string& name, auto... values) {
    std::cout << std::left << std::setw(14) << name << std::right;
    ((std::cout << std::setw(14) << values), ...);
    std::cout << '\n';
  };
  row("device", "peak bytes", "expected", "reserved", "allocs/step", "step us");
  for (const Run& run : runs) {
    const MemoryProfile& memory = run.of().memory;
    row(run.device, memory.peak_bytes, run.expected_peak_bytes, memory.peak_reserved,
        memory.allocs_per_step, run.step_seconds * 1e6);
  }
  for (size_t i = 1; i < runs.size(); ++i)
    for (const ProfileDifference::Memory& m : compare(runs[0].of(), runs[i].of()).memory)
      if (m.a != m.b)
        std::cout << runs[i].device << " - " << runs[0].device << ", " << m.category << ": "
                  << std::showpos << m.b - m.a << std::noshowpos << " bytes, " << m.cause << '\n';
}

// The limits of "<workload>/<backend>" in the file; the exit status.
int check_budgets(const std::string& path, const std::string& workload,
                  const std::vector<Run>& runs) {
  const auto budgets = read_budgets(path);
  bool kept = true;
  for (const Run& run : runs) {
    const std::string name = workload + "/" + Device(run.device).backend();
    const auto found = budgets.find(name);
    if (found == budgets.end())
      throw ValueError("[--budget] " + path + " has no limits for '" + name + "'");
    const Metrics measured = metrics(run.profile, run.device);
    const std::vector<std::string> exceeded = check_budget(measured, found->second);
    std::cout << '\n' << name << (exceeded.empty() ? ": within its budget\n" : ": OVER BUDGET\n");
    for (const auto& [metric, limit] : found->second)
      std::cout << "  " << std::left << std::setw(24) << metric << std::right << std::setw(14)
                << measured.at(metric) << " of " << std::setw(14) << limit
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
  if (!folder.empty()) std::filesystem::create_directories(folder);

  std::vector<Run> runs;
  for (const std::string& name : devices)
    runs.push_back(profile_on(name, workload, steps,
                              folder.empty() ? "" : folder + "/trace_" + name + ".json"));
  std::cout << std::setprecision(10) << workload.name << ", " << steps << " steps\n";
  print_summary(runs);
  if (!folder.empty()) {
    write_reports(folder, workload.name, runs);
    std::cout << "written to " << folder << ": report.html, profile.json, traces, timelines\n";
  }
  if (!arguments.given("--budget")) return 0;
  return check_budgets(arguments.text("--budget"), workload.name, runs);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(
      argc, argv,
      "time and memory of a workload's training steps; further devices are compared with the "
      "first.\n"
      "With --out DIR writes DIR/report.html, DIR/profile.json and for each device "
      "DIR/trace_<device>.json\n(https://ui.perfetto.dev opens it) and DIR/timeline_<device>.svg. "
      "With --budget FILE checks the "
      "limits that FILE has for\n\"<workload>/<backend>\". Exit status: 0; 1 if a run or a file "
      "failed; 2 for bad arguments; 3 over budget.",
      {bench::kDevicesFlag,
       {"--workload", "NAME", "mlp_large_b128_adam", "see --list; any batch size may stand there"},
       {"--steps", "N", "10", "of which the first makes gradients and state"},
       bench::kThreadsFlag,
       bench::kOutFlag,
       {"--budget", "FILE", "", "limits to check"},
       bench::kListFlag},
      run);
}
