// Charts and tables of the report; see report_html.h. Parts whose peaks are far apart stand in
// charts of their own, so that every bar can be read.
#include "examples/validate/report_html.h"

#include <tinytorch/device.h>
#include <tinytorch/error.h>
#include <tinytorch/report.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "examples/validate/training.h"

namespace validate {

namespace report = tinytorch::report;

namespace {

constexpr double kMiB = 1 << 20;
constexpr const char* kMemoryText =
    "Peak: the most live bytes on the device above what was live before the part. Floor: what "
    "parameters, gradients, optimizer state and data take by their shapes. Published: peaks of "
    "traced Python allocations.";

std::string summary(const DeviceReport& device) {
  const auto passed = std::count_if(device.parts.begin(), device.parts.end(),
                                    [](const PartResult& p) { return p.passed; });
  return std::to_string(passed) + " of " + std::to_string(device.parts.size()) +
         " parts passed: " + device.description;
}

std::string results(const DeviceReport& device) {
  report::Table table{{}, {}};
  const std::vector<std::string>& titles = column_titles();
  for (size_t c = 0; c < titles.size(); ++c) table.columns.push_back({titles[c], c > 2 && c < 8});
  std::string remarks;
  for (const PartResult& part : device.parts) {
    std::vector<report::Cell> row;
    for (const std::string& text : row_of(part)) row.push_back({text});
    table.rows.push_back(std::move(row));
    for (const std::string& note : part.notes) remarks += report::paragraph(part.id + ": " + note);
    for (const std::string& failure : part.failures)
      remarks += report::paragraph(part.id + ": FAIL: " + failure);
  }
  return report::html(table) + remarks;
}

// Each part's losses as shares of its first one, so that all start at the same place.
std::string loss_curves(const DeviceReport& device) {
  report::Chart chart{"Loss, as a share of the first epoch's",
                      report::ChartKind::lines,
                      {"epoch (part 8: step)", report::Unit::count},
                      {"loss", report::Unit::share, true},
                      {},
                      {}};
  for (const PartResult& part : device.parts) {
    if (part.losses.empty()) continue;
    report::Series series{part.id + " " + part.name, {}, {}};
    for (size_t i = 0; i < part.losses.size(); ++i) {
      series.x.push_back(static_cast<double>(i + 1));
      series.y.push_back(part.losses[i] / part.losses[0]);
    }
    chart.series.push_back(std::move(series));
  }
  return report::svg(chart);
}

std::string memory_bars(const DeviceReport& device) {
  constexpr double kLimits[] = {0, 0.2, 5, INFINITY};  // MiB of the largest bar of a row
  std::string out;
  for (int chart = 0; chart < 3; ++chart) {
    report::Bars bars{"", report::Unit::bytes, {"peak", "floor", "published"}, {1, 6, 7}, {}};
    for (const PartResult& part : device.parts) {
      if (!part.peak_bytes || !part.floor_bytes) continue;
      const double peak = static_cast<double>(*part.peak_bytes) / kMiB;
      const double printed = published(part.id).peak_mib.value_or(NAN),
                   most = std::fmax(peak, printed);
      if (most < kLimits[chart] || most >= kLimits[chart + 1]) continue;
      bars.rows.push_back({part.id + " " + part.name,
                           {peak * kMiB, static_cast<double>(*part.floor_bytes), printed * kMiB}});
    }
    if (bars.rows.empty()) continue;
    bars.title = chart == 0 ? "Small parts" : chart == 1 ? "Parts of some MiB" : "Large parts";
    out += report::svg(bars);
  }
  return out;
}

std::string html(const std::vector<DeviceReport>& reports) {
  std::string body;
  for (const DeviceReport& device : reports)
    body += report::section(device.device, summary(device), results(device)) +
            report::section("Loss on " + device.device, "", loss_curves(device)) +
            report::section("Memory on " + device.device, kMemoryText, memory_bars(device));
  return report::page("Validation of TinyTorch",
                      "Version " + std::string(tinytorch::version()) +
                          "; the last column is the published report that the parts answer.",
                      body);
}

// ---- Markdown

std::string cell(std::string text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : c == '\n' ? " " : std::string(1, c);
  return out;
}

std::string line(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& text : cells) out += " " + cell(text) + " |";
  return out + "\n";
}

std::string markdown(const DeviceReport& device) {
  std::string out = "## " + device.device + "\n\n" + summary(device) + "\n\n";
  std::vector<std::string> titles = column_titles();
  titles.insert(titles.begin() + 6, "floor MiB");
  out += line(titles) + line(std::vector<std::string>(titles.size(), "---"));
  std::string remarks, curves;
  for (const PartResult& part : device.parts) {
    std::vector<std::string> row = row_of(part);
    row.insert(row.begin() + 6, part.floor_bytes ? mib(*part.floor_bytes) : "-");
    out += line(row);
    for (const std::string& note : part.notes) remarks += "- " + part.id + ": " + note + "\n";
    for (const std::string& failure : part.failures)
      remarks += "- " + part.id + ": **FAIL**: " + failure + "\n";
    if (part.losses.empty()) continue;
    curves += "- " + part.id + " " + part.name + ":";
    for (const double loss : part.losses) curves += " " + number(loss);
    curves += "\n";
  }
  return out + "\n" + remarks + "\nLoss of every epoch (part 8: step):\n\n" + curves + "\n" +
         kMemoryText + "\n";
}

}  // namespace

void prepare_report(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error || !std::ofstream(folder + "/report.html", std::ios::app))
    throw tinytorch::IoError("cannot write to the folder " + folder);
}

void write_report(const std::string& folder, const std::vector<DeviceReport>& reports) {
  std::string text = "# Validation of TinyTorch " + std::string(tinytorch::version()) + "\n";
  for (const DeviceReport& device : reports) text += "\n" + markdown(device);
  report::write(folder + "/report.html", html(reports));
  report::write(folder + "/report.md", text);
}

}  // namespace validate
