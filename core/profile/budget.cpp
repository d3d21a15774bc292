// Limits on the numbers of a profile, and the growth of memory with the batch.
#include <algorithm>
#include <cmath>

#include <tinytorch/error.h>
#include <tinytorch/profile.h>

#include "core/profile/html.h"

namespace tinytorch {

// ---- budgets

Metrics metrics(const Profile& profile, std::string_view device, const Profile* baseline) {
  const DeviceProfile& d = profile.device(device);
  const MemoryProfile& m = d.memory;
  const std::array<double, 3> phases = d.phase_seconds();
  const double all = phases[0] + phases[1] + phases[2];
  Metrics out = {{"peak_bytes", static_cast<double>(m.peak_bytes)},
                 {"tensor_peak_bytes", static_cast<double>(m.tensor_peak_bytes)},
                 {"reserved_bytes", static_cast<double>(m.peak_reserved)},
                 {"unknown_bytes", static_cast<double>(m.unknown_bytes)}};
  if (phases[0] > 0) out["backward_per_forward"] = phases[1] / phases[0];
  if (all > 0) out["optimizer_share"] = phases[2] / all;
  if (profile.step_seconds.empty()) return out;
  out["allocs_per_step"] = m.allocs_per_step;
  out["system_calls_per_step"] = m.system_calls_per_step;
  out["leak_bytes_per_step"] = m.leak_bytes_per_step;
  out["overhead_share"] = profile.overhead_share();
  out["step_seconds"] = profile.median_step_seconds();
  if (baseline && !baseline->step_seconds.empty())
    out["step_ratio"] = profile.median_step_seconds() / baseline->median_step_seconds();
  return out;
}

std::vector<std::string> check_budget(const Metrics& metrics, const Budget& budget) {
  std::vector<std::string> exceeded;
  for (const auto& [name, limit] : budget) {
    const auto it = metrics.find(name);
    if (it == metrics.end())
      throw ValueError("[check_budget] a limit of '" + name +
                       "', needed: the name of a metric that the profile has (those of steps need "
                       "step(), step_ratio a baseline with steps)");
    if (it->second <= limit) continue;
    report::append(exceeded.emplace_back(), "%s is %.10g, limit %.10g (%+.1f %%)", name.c_str(),
                   it->second, limit, limit != 0 ? 100 * (it->second / limit - 1) : INFINITY);
  }
  return exceeded;
}

// ---- growth with the batch

MemoryFit fit_memory(const std::vector<std::pair<int64_t, CategoryBytes>>& samples) {
  const auto n = static_cast<double>(samples.size());
  double mean = 0, spread = 0;
  for (const auto& [batch, bytes] : samples) mean += static_cast<double>(batch) / n;
  for (const auto& [batch, bytes] : samples)
    spread += std::pow(static_cast<double>(batch) - mean, 2);
  if (!(spread > 0))
    throw ValueError("[fit_memory] " + std::to_string(samples.size()) +
                     " samples, needed: at least two different batches");
  MemoryFit fit;
  for (size_t c = 0; c < kCategoryCount; ++c) {
    double mean_bytes = 0, product = 0;
    for (const auto& [batch, bytes] : samples) mean_bytes += static_cast<double>(bytes[c]) / n;
    for (const auto& [batch, bytes] : samples)
      product += (static_cast<double>(batch) - mean) * (static_cast<double>(bytes[c]) - mean_bytes);
    fit.b[c] = product / spread;
    fit.a[c] = mean_bytes - fit.b[c] * mean;
  }
  return fit;
}

CategoryBytes MemoryFit::predict(int64_t batch) const {
  if (batch < 0)
    throw ValueError("[predict] a batch of " + std::to_string(batch) + ", needed: at least 0");
  constexpr double kMost = 0x1p62 / kCategoryCount;  // so that they can be added
  CategoryBytes bytes{};
  for (size_t c = 0; c < kCategoryCount; ++c)
    bytes[c] = std::llround(std::clamp(a[c] + b[c] * static_cast<double>(batch), 0.0, kMost));
  return bytes;
}

// By halves: predict() is not a line where a category would be negative.
int64_t MemoryFit::largest_batch(int64_t limit_bytes) const {
  const bool grows =
      std::any_of(b.begin(), b.end(), [](double per_sample) { return per_sample > 0; });
  if (!grows) return total(predict(1)) <= limit_bytes ? INT64_MAX : 0;
  int64_t fits = 0, above = int64_t{1} << 50;
  while (above - fits > 1) {
    const int64_t middle = fits + (above - fits) / 2;
    (total(predict(middle)) <= limit_bytes ? fits : above) = middle;
  }
  return fits;
}

}  // namespace tinytorch
