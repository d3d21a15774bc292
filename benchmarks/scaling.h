// What bench_scaling measures, and the page of it.
#pragma once

#include <string>
#include <vector>

#include <tinytorch/profile.h>

namespace bench {

struct ScalingPoint {
  std::string device;  // as it was given
  int64_t batch = 0, width = 0, depth = 0, threads = 0;
  double step_seconds = 0;             // median; of several passes the least
  tinytorch::CategoryBytes at_peak{};  // of live bytes
  int64_t peak_bytes = 0, peak_reserved = 0;
  int64_t predicted_peak_bytes = 0;  // by predict_memory
  double efficiency = 0;             // strong: throughput(n) / (n throughput(1))
  double weak_efficiency = 0;        // from batch / n on one thread; 0: not measured

  double samples_per_second() const { return static_cast<double>(batch) / step_seconds; }
};

// The points of one net, which differ in their batch.
std::vector<ScalingPoint> of_net(const std::vector<ScalingPoint>& points, const ScalingPoint& like);

// a + b * batch of the peaks of one net, and how far off it is. Which tensors make the peak changes
// with the batch, and the line cannot bend.
struct PeakFit {
  explicit PeakFit(const std::vector<ScalingPoint>& net);

  tinytorch::MemoryFit line{};
  tinytorch::CategoryBytes residual{};  // largest distance to a point
  int64_t residual_of_sum = 0;
};

// The largest batch that a limit of memory leaves, as predicted and as it ran.
struct LargestBatch {
  ScalingPoint net;         // with the largest batch that was measured
  int64_t limit_bytes = 0;  // of what is taken from the system
  // By predict_memory: fits with what an allocator may add for rounding; 0: none does.
  int64_t predicted = 0;
  bool predicted_ran = false;
  // By predict_memory: what lives at its peak alone exceeds the limit.
  int64_t too_large = 0;
  bool too_large_ran = false;
  // By runs: one sample more got an OutOfMemoryError. 0: none ran.
  int64_t largest = 0, peak_bytes = 0, predicted_peak_bytes = 0;
};

// Writes folder/report.html and the plots of it as files of their own, throughput_<device>.svg and
// peak_<device>.svg. IoError.
void write_scaling_page(const std::string& folder, const std::string& workload,
                        const std::vector<ScalingPoint>& points,
                        const std::vector<LargestBatch>& largest);

}  // namespace bench
