// How many processors this process may use. A container often sees all processors of its host but
// may run on few of them at a time: threads above the quota would be stopped for the rest of each
// period, in the middle of a region.
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "backends/cpu/thread_pool.h"

namespace tinytorch::cpu {
namespace {

int affinity_count() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  // The fixed set holds 1024 processors; a larger machine needs a larger one.
  for (int count = 4096; count <= 1 << 18; count *= 4) {
    cpu_set_t* big = CPU_ALLOC(count);
    if (!big) break;
    const size_t bytes = CPU_ALLOC_SIZE(count);
    const bool ok = sched_getaffinity(0, bytes, big) == 0;
    const int n = ok ? CPU_COUNT_S(bytes, big) : 0;
    CPU_FREE(big);
    if (ok) return std::max(1, n);
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

bool read_words(const std::string& path, std::string* first, std::string* second) {
  std::ifstream in(path);
  if (!(in >> *first)) return false;
  if (second && !(in >> *second)) second->clear();
  return true;
}

// Processors of `quota` microseconds in each `period`; 0: no limit.
double processors_of(const std::string& quota, const std::string& period) {
  if (quota.empty() || quota == "max") return 0;
  const double q = std::atof(quota.c_str()), p = std::atof(period.c_str());
  return q > 0 && p > 0 ? q / p : 0;
}

void tighten(double* limit, double value) {
  if (value > 0 && (*limit == 0 || value < *limit)) *limit = value;
}

// A group's limit holds for all groups below it, so every step up to the root counts.
void walk_up(const std::string& root, std::string group, bool v2, double* limit) {
  for (;;) {
    const std::string dir = root + group;
    std::string quota, period;
    if (v2) {
      if (read_words(dir + "/cpu.max", &quota, &period))
        tighten(limit, processors_of(quota, period));
    } else if (read_words(dir + "/cpu.cfs_quota_us", &quota, nullptr) &&
               read_words(dir + "/cpu.cfs_period_us", &period, nullptr)) {
      tighten(limit, processors_of(quota, period));
    }
    if (group.empty() || group == "/") return;
    group.resize(group.rfind('/'));
  }
}

// Where a cgroup hierarchy is mounted, from /proc/self/mountinfo; empty: not mounted.
std::string mount_of(bool v2) {
  std::ifstream in("/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream head(line.substr(0, dash)), tail(line.substr(dash + 3));
    std::string skip, mount, type, source, options;
    head >> skip >> skip >> skip >> skip >> mount;
    tail >> type >> source >> options;
    if (v2 && type == "cgroup2") return mount;
    if (!v2 && type == "cgroup" && ("," + options + ",").find(",cpu,") != std::string::npos)
      return mount;
  }
  return {};
}

double quota_limit() {
  double limit = 0;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {  // hierarchy:controllers:group
    const size_t a = line.find(':'), b = line.find(':', a + 1);
    if (a == std::string::npos || b == std::string::npos) continue;
    const std::string controllers = "," + line.substr(a + 1, b - a - 1) + ",",
                      group = line.substr(b + 1);
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    const std::string root = mount_of(v2);
    if (!root.empty()) walk_up(root, group, v2, &limit);
  }
  return limit;
}

}  // namespace

int usable_processors() {
  const int affinity = affinity_count();
  const double quota = quota_limit();
  return quota > 0 ? std::clamp(static_cast<int>(quota), 1, affinity) : affinity;
}

std::string describe_processors() {
  const double quota = quota_limit();
  char text[96];
  if (quota > 0) {
    std::snprintf(text, sizeof text, "%d (affinity %d, quota %.2f)", usable_processors(),
                  affinity_count(), quota);
  } else {
    std::snprintf(text, sizeof text, "%d (affinity %d, no quota)", usable_processors(),
                  affinity_count());
  }
  return text;
}

}  // namespace tinytorch::cpu
