// The points of one net and the line through their peaks; see scaling.h.
#include "benchmarks/scaling.h"

#include <algorithm>
#include <cstdlib>

namespace bench {

using namespace tinytorch;

std::vector<ScalingPoint> of_net(const std::vector<ScalingPoint>& points,
                                 const ScalingPoint& like) {
  std::vector<ScalingPoint> out;
  for (const ScalingPoint& p : points)
    if (p.device == like.device && p.width == like.width && p.depth == like.depth &&
        p.threads == like.threads)
      out.push_back(p);
  return out;
}

PeakFit::PeakFit(const std::vector<ScalingPoint>& net) {
  std::vector<std::pair<int64_t, CategoryBytes>> samples;
  for (const ScalingPoint& p : net) samples.emplace_back(p.batch, p.at_peak);
  line = fit_memory(samples);
  for (const ScalingPoint& p : net) {
    const CategoryBytes fitted = line.predict(p.batch);
    for (size_t c = 0; c < fitted.size(); ++c)
      residual[c] = std::max(residual[c], std::abs(fitted[c] - p.at_peak[c]));
    residual_of_sum = std::max(residual_of_sum, std::abs(total(fitted) - p.peak_bytes));
  }
}

}  // namespace bench
