// What bench_scaling measures, and the page of it.
#pragma once

#include <string>
#include <vector>

#include <tinytorch/profile.h>

namespace bench {

struct ScalingPoint {
  std::string device;  // as it was given
  int64_t batch = 0, width = 0, depth = 0, threads = 0;
  double step_seconds = 0;             // median
  tinytorch::CategoryBytes at_peak{};  // of live bytes
  int64_t peak_bytes = 0, peak_reserved = 0;
  int64_t predicted_peak_bytes = 0;  // by a fit of the two nearest batches
  double efficiency = 0;             // strong: throughput(n) / (n throughput(1))
  double weak_efficiency = 0;        // from batch / n on one thread; 0: not measured

  double samples_per_second() const { return static_cast<double>(batch) / step_seconds; }
};

// The largest batch that a limit of memory leaves, as fitted, and what became of it when it ran.
struct LargestBatch {
  std::string device;
  int64_t width = 0, depth = 0, threads = 0;
  int64_t limit_bytes = 0;  // of what is taken from the system
  tinytorch::MemoryFit fit{};
  int64_t batch = 0, predicted_peak_bytes = 0;
  bool fits = false;       // it ran under the limit
  int64_t peak_bytes = 0;  // measured
  int64_t beyond = 0;      // a batch a quarter larger
  bool beyond_fits = false;
};

// Writes folder/report.html and the plots of it as files of their own, throughput_<device>.svg and
// peak_<device>.svg. IoError.
void write_scaling_page(const std::string& folder, const std::string& workload,
                        const std::vector<ScalingPoint>& points,
                        const std::vector<LargestBatch>& largest);

}  // namespace bench
