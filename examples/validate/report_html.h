// The results as one HTML page and as Markdown: the table, loss curves, and memory beside its floor
// and the published figure.
#pragma once

#include <string>
#include <vector>

#include "examples/validate/report.h"

namespace validate {

// Makes `folder` if there is none and checks that report.html can be written there, before hours of
// training. tinytorch::IoError if not.
void prepare_report(const std::string& folder);
// Writes report.html and report.md. tinytorch::IoError.
void write_report(const std::string& folder, const std::vector<DeviceReport>& reports);

}  // namespace validate
