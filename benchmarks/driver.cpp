// The process per workload and the JSON lines; see driver.h.
#include "benchmarks/driver.h"

#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <fstream>
#include <iostream>

#include <tinytorch/error.h>

#include "benchmarks/arguments.h"

namespace bench {
namespace {

constexpr int64_t kMostThreads = 4096;

bool wanted(const std::string& name, const std::string& only) {
  if (only.empty()) return true;
  for (size_t start = 0; start <= only.size();) {
    const size_t comma = std::min(only.find(',', start), only.size());
    if (comma > start && name.compare(0, comma - start, only, start, comma - start) == 0)
      return true;
    start = comma + 1;
  }
  return false;
}

int run_here(const Workload& workload, const Arguments& arguments) {
  try {
    const int threads = static_cast<int>(arguments.number("--threads", 1, kMostThreads));
    tinytorch::set_num_threads(threads);
    const tinytorch::Device device(arguments.text("--device"));
    const bool captured = arguments.given("--captured");
    const std::string variant = device.name() + (captured ? " captured" : "");
    workload.run(device, Reporter(variant, threads, arguments.text("--json"), captured));
    return 0;
  } catch (const std::exception& e) {
    std::cerr << workload.name << ": " << e.what() << '\n';
    return 1;
  }
}

// Runs this program again for one workload and waits for it.
int run_in_child(const std::string& name, const Arguments& arguments) {
  std::vector<std::string> words = {"bench", "--one", name};
  for (const char* flag : {"--device", "--threads", "--json"})
    if (arguments.given(flag)) words.insert(words.end(), {flag, arguments.text(flag)});
  if (arguments.given("--captured")) words.push_back("--captured");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    execv("/proc/self/exe", pointers.data());
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) ||
      WEXITSTATUS(status) != 0) {
    std::cerr << name << ": failed\n";
    return 1;
  }
  return 0;
}

}  // namespace

Reporter::Reporter(std::string variant, int threads, std::string json_path, bool captured)
    : variant_(std::move(variant)),
      json_path_(std::move(json_path)),
      threads_(threads),
      captured_(captured) {}

void Reporter::times(const std::string& workload, const std::string& phase,
                     const std::vector<double>& sorted,
                     const std::vector<std::pair<const char*, double>>& extra) const {
  JsonLine line;
  line.text("workload", workload).text("phase", phase);
  line.number("median_s", median(sorted))
      .number("p10", quantile(sorted, 0.1))
      .number("p90", quantile(sorted, 0.9));
  for (const auto& [key, value] : extra) line.number(key, value, "%.10g");
  write(line);
}

void Reporter::facts(const std::string& workload, const std::string& phase,
                     const std::vector<std::pair<const char*, double>>& values) const {
  JsonLine line;
  line.text("workload", workload).text("phase", phase);
  for (const auto& [key, value] : values) line.number(key, value, "%.10g");
  write(line);
}

void Reporter::write(const JsonLine& line) const {
  JsonLine whole = line;
  whole.number("peak_rss_mb", peak_rss_mib(), "%.1f").number("threads", threads_, "%.0f");
  whole.text("variant", variant_).text("framework", "tinytorch");
  if (json_path_.empty()) {
    std::cout << whole.str() << std::endl;
    return;
  }
  std::ofstream file(json_path_, std::ios::app);
  file << whole.str() << '\n';
  if (!file.flush()) throw tinytorch::IoError("cannot write " + json_path_);
}

namespace {

int run(const Arguments& arguments, const std::vector<Workload>& workloads) {
  arguments.number("--threads", 1, kMostThreads);  // said once, and not by every child
  const std::string one = arguments.text("--one"), json = arguments.text("--json");
  std::vector<const Workload*> chosen;
  for (const Workload& workload : workloads)
    if ((one.empty() ? wanted(workload.name, arguments.text("--only")) : workload.name == one) &&
        (workload.can_capture || !arguments.given("--captured")))
      chosen.push_back(&workload);
  if (chosen.empty())
    throw tinytorch::ValueError("no workload of that name; --list prints the names");
  if (arguments.given("--list")) {
    for (const Workload* workload : chosen) std::cout << workload->name << '\n';
    return 0;
  }
  if (!one.empty()) return run_here(*chosen[0], arguments);
  tinytorch::Device{arguments.text("--device")};  // is it usable?
  if (!json.empty() && !std::ofstream(json, std::ios::trunc))
    throw tinytorch::ValueError("cannot write " + json);
  int failed = 0;
  for (const Workload* workload : chosen) failed |= run_in_child(workload->name, arguments);
  return failed;
}

}  // namespace

int run_benchmarks(int argc, char** argv, const char* about,
                   const std::vector<Workload>& workloads) {
  const std::string all =
      std::string(about) +
      "\n\nOne JSON line a measurement: seconds per call (median, 10th and 90th percentile of the "
      "rounds) and the peak\nresident size of the workload's process in MiB. Exit status: 0; 1 if "
      "a "
      "workload failed; 2 for bad arguments.";
  return run_program(
      argc, argv, all.c_str(),
      {kDeviceFlag,
       kThreadsFlag,
       {"--only", "NAME,...", "", "workloads whose names start with one of these"},
       kJsonFlag,
       {"--captured", "", "", "capture the step and time its replay (training steps only)"},
       kListFlag,
       {"--one", "NAME", "", ""}},
      [&](const Arguments& arguments) { return run(arguments, workloads); });
}

}  // namespace bench
