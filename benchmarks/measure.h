// Timing of a function, and the JSON line that all benchmarks and all peer scripts print: one line
// a measurement, with the same keys, so that compare.py can put any two of them side by side.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct MeasureOptions {
  double total_seconds = 0.6;  // of all rounds together
  int rounds = 9;              // 5 if one call takes longer than 0.1 s
  int64_t most_calls = 400000;
};

// Seconds per call, sorted: one sample a round, each the mean of as many calls as fill its share of
// the time. `finish` ends a round: on a device that runs behind the host it waits for it.
template <class F, class Finish>
std::vector<double> measure(F&& f, Finish&& finish, MeasureOptions options = {}) {
  const auto timed = [&](int64_t calls) {
    const double start = now();
    for (int64_t i = 0; i < calls; ++i) f();
    finish();
    return (now() - start) / static_cast<double>(calls);
  };
  timed(2);  // first calls fill caches: memory, plans, branch predictors
  double once = std::max(timed(1), 1e-9);
  if (once < 1e-4) once = std::max(timed(100), 1e-9);
  const int rounds = once > 0.1 ? 5 : options.rounds;
  const double calls = options.total_seconds / rounds / once;
  const int64_t n = std::clamp(static_cast<int64_t>(calls) + 1, int64_t{1}, options.most_calls);
  std::vector<double> samples;
  for (int r = 0; r < rounds; ++r) samples.push_back(timed(n));
  std::sort(samples.begin(), samples.end());
  return samples;
}

inline double quantile(const std::vector<double>& sorted, double p) {
  return sorted[std::min(sorted.size() - 1,
                         static_cast<size_t>(p * static_cast<double>(sorted.size())))];
}

inline double median(const std::vector<double>& sorted) {
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// A size of this process from /proc/self/status in KiB, such as "VmHWM:", its largest resident size
// so far, or "VmRSS:", that of now; 0 where the system does not tell.
inline double process_kib(const char* field) {
  double kib = 0;
  if (std::FILE* file = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, file))
      if (std::strncmp(line, field, std::strlen(field)) == 0)
        kib = std::strtod(line + std::strlen(field), nullptr);
    std::fclose(file);
  }
  return kib;
}
inline double peak_rss_mib() { return process_kib("VmHWM:") / 1024; }
inline int64_t resident_bytes() { return static_cast<int64_t>(process_kib("VmRSS:") * 1024); }

// One JSON object on one line, built key by key. Values need no escapes: they are names from our
// own tables.
class JsonLine {
 public:
  JsonLine& text(const char* key, const std::string& value) { return put(key, '"' + value + '"'); }
  JsonLine& number(const char* key, double value, const char* format = "%.6g") {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, format, value);
    return put(key, buffer);
  }
  JsonLine& bytes(const char* key, int64_t value) { return put(key, std::to_string(value)); }
  JsonLine& json(const char* key, const std::string& value) { return put(key, value); }
  std::string str() const { return '{' + body_ + '}'; }

 private:
  JsonLine& put(const char* key, const std::string& value) {
    body_ += (body_.empty() ? "\"" : ", \"") + std::string(key) + "\": " + value;
    return *this;
  }

  std::string body_;
};

}  // namespace bench
