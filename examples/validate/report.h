// The table on standard output, with the published figure beside ours, and the JSON file.
#pragma once

#include <string>
#include <vector>

#include "examples/validate/part.h"

namespace validate {

struct DeviceReport {
  std::string device;       // "cpu"; "cuda:1"
  std::string description;  // for people
  std::vector<PartResult> parts;

  bool passed() const;
};

// What the published report says about a part; one without a figure has "-" and no peak.
struct Published {
  const char* text;
  std::optional<double> peak_mib;  // of traced Python allocations
};
Published published(const std::string& part_id);
// Columns of the table, and a part's row in it.
const std::vector<std::string>& column_titles();
std::vector<std::string> row_of(const PartResult& part);

void print_header(const DeviceReport& report);
void print_part(const PartResult& part);
void print_footer(const std::vector<DeviceReport>& reports, double seconds);
// tinytorch::IoError if the file cannot be written.
void write_json(const std::string& path, const std::vector<DeviceReport>& reports);

// One line that is written over and over; silent unless standard output is a terminal.
class ProgressLine {
 public:
  ProgressLine();
  void show(const std::string& text);
  void clear();

 private:
  bool terminal_;
  size_t width_ = 0;
};

}  // namespace validate
