// The command line that bench_train and bench_ops share. Every workload runs in a process of its
// own (the program starts itself again with --one), so that its peak resident size is its own and
// nothing is warm from the workload before.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <tinytorch/device.h>

#include "benchmarks/measure.h"

namespace bench {

// Where a workload's lines go: stdout, or the file named by --json.
class Reporter {
 public:
  Reporter(std::string variant, int threads, std::string json_path, bool captured);

  bool captured() const { return captured_; }  // is the step to be captured and replayed?

  void times(const std::string& workload, const std::string& phase,
             const std::vector<double>& sorted,
             const std::vector<std::pair<const char*, double>>& extra = {}) const;
  void facts(const std::string& workload, const std::string& phase,
             const std::vector<std::pair<const char*, double>>& values) const;

 private:
  void write(const JsonLine& line) const;

  std::string variant_, json_path_;
  int threads_;
  bool captured_;
};

struct Workload {
  std::string name;
  std::function<void(const tinytorch::Device&, const Reporter&)> run;
  bool can_capture = false;
};

// main() of a benchmark program. Exit status: 0, 1 if a workload failed, 2 for bad arguments.
int run_benchmarks(int argc, char** argv, const char* about,
                   const std::vector<Workload>& workloads);

}  // namespace bench
