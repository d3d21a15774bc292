// Argument parsing and the process per workload; see driver.h.
#include "benchmarks/driver.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>

#include <tinytorch/error.h>

namespace bench {
namespace {

struct Arguments {
  std::string device = "cpu", only, json, one;
  int threads = 1;
  bool list = false, help = false, captured = false;
};

void print_help(const char* program, const char* about) {
  std::cout
      << program << ": " << about << "\n\nusage: " << program
      << " [--device D] [--threads N] [--only NAME,...] [--json FILE] [--captured] [--list]\n\n"
         "  --device D      cpu, reference, cuda, or the name of a plugin (default cpu)\n"
         "  --threads N     threads of the CPU backend (default 1)\n"
         "  --only NAME,... workloads whose names start with one of these\n"
         "  --json FILE     write the lines to FILE instead of standard output\n"
         "  --captured      capture the step and time its replay (training steps only)\n"
         "  --list          print the names of the workloads\n\n"
         "One JSON line a measurement: seconds per call (median, 10th and 90th percentile of "
         "the rounds) and the peak\n"
         "resident size of the workload's process in MiB.\n";
}

std::optional<std::string> parse(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--help" || flag == "-h") {
      out.help = true;
      return {};
    }
    if (flag == "--list") {
      out.list = true;
      continue;
    }
    if (flag == "--captured") {
      out.captured = true;
      continue;
    }
    std::string* value = flag == "--device" ? &out.device
                         : flag == "--only" ? &out.only
                         : flag == "--json" ? &out.json
                         : flag == "--one"  ? &out.one
                                            : nullptr;
    if (!value && flag != "--threads") return "unknown argument '" + flag + "'";
    if (i + 1 == argc) return flag + " needs a value";
    const std::string text = argv[++i];
    if (value) {
      *value = text;
      continue;
    }
    char* end = nullptr;
    const long threads = std::strtol(text.c_str(), &end, 10);
    if (text.empty() || *end || threads < 1 || threads > 4096)
      return "--threads needs a number from 1 to 4096, not '" + text + "'";
    out.threads = static_cast<int>(threads);
  }
  return {};
}

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
    tinytorch::set_num_threads(arguments.threads);
    const tinytorch::Device device(arguments.device);
    const std::string variant = device.name() + (arguments.captured ? " captured" : "");
    workload.run(device, Reporter(variant, arguments.threads, arguments.json, arguments.captured));
    return 0;
  } catch (const std::exception& e) {
    std::cerr << workload.name << ": " << e.what() << '\n';
    return 1;
  }
}

// Runs this program again for one workload and waits for it.
int run_in_child(const std::string& name, const Arguments& arguments) {
  std::vector<std::string> words = {"bench",
                                    "--one",
                                    name,
                                    "--device",
                                    arguments.device,
                                    "--threads",
                                    std::to_string(arguments.threads)};
  if (!arguments.json.empty()) words.insert(words.end(), {"--json", arguments.json});
  if (arguments.captured) words.push_back("--captured");
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

int run_benchmarks(int argc, char** argv, const char* about,
                   const std::vector<Workload>& workloads) {
  Arguments arguments;
  if (const auto problem = parse(argc, argv, arguments)) {
    std::cerr << argv[0] << ": " << *problem << "; --help lists the arguments\n";
    return 2;
  }
  if (arguments.help) {
    print_help(argv[0], about);
    return 0;
  }
  std::vector<const Workload*> chosen;
  for (const Workload& workload : workloads)
    if ((arguments.one.empty() ? wanted(workload.name, arguments.only)
                               : workload.name == arguments.one) &&
        (workload.can_capture || !arguments.captured))
      chosen.push_back(&workload);
  if (chosen.empty()) {
    std::cerr << argv[0] << ": no workload of that name; --list prints the names\n";
    return 2;
  }
  if (arguments.list) {
    for (const Workload* workload : chosen) std::cout << workload->name << '\n';
    return 0;
  }
  if (!arguments.one.empty()) return run_here(*chosen[0], arguments);
  if (!arguments.json.empty() && !std::ofstream(arguments.json, std::ios::trunc)) {
    std::cerr << argv[0] << ": cannot write " << arguments.json << '\n';
    return 2;
  }
  int failed = 0;
  for (const Workload* workload : chosen) failed |= run_in_child(workload->name, arguments);
  return failed;
}

}  // namespace bench
