// The sections of a profile's page. Each takes the devices of all runs, so that they stand side by
// side; labels differ.
#pragma once

#include "core/profile/html.h"

namespace tinytorch::report {

struct Run {
  std::string label;          // "cpu:0"; with the setting that differs where a device comes twice
  std::string profile_label;  // of all its profile's devices
  const Profile* profile;
  const DeviceProfile* device;
};
using Runs = std::vector<Run>;

inline Cell number_cell(double value, Unit unit) { return {text(value, unit)}; }
inline double number(int64_t value) { return static_cast<double>(value); }
// "optimizer state" for people.
std::string title_of(Category category);

std::string memory_section(const Runs& runs);
std::string allocator_section(const Runs& runs);
std::string ops_section(const Runs& runs);
std::string phases_section(const Runs& runs);
std::string differences_section(const Runs& runs);

}  // namespace tinytorch::report
