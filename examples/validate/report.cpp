// Formatting; see report.h.
#include "examples/validate/report.h"

#include <tinytorch/device.h>
#include <tinytorch/error.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>

#include "examples/validate/training.h"

namespace validate {
namespace {

std::string loss_text(const PartResult& part) {
  if (!part.initial_loss || !part.final_loss) return "-";
  return fall(*part.initial_loss, *part.final_loss);
}
std::string accuracy_text(const std::optional<double>& accuracy) {
  return accuracy ? percent(*accuracy) : "-";
}
std::string seeds_text(const PartResult& part) {
  if (!part.seeds || !part.seeds_passed) return "-";
  return std::to_string(*part.seeds_passed) + "/" + std::to_string(*part.seeds);
}

void print_row(const std::vector<std::string>& row) {
  std::printf("%-9s %-19s %-29s %8s %8s %9s %8s %7s  %-6s  %s\n", row[0].c_str(), row[1].c_str(),
              row[2].c_str(), row[3].c_str(), row[4].c_str(), row[5].c_str(), row[6].c_str(),
              row[7].c_str(), row[8].c_str(), row[9].c_str());
}

// ---- JSON

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string json(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}
std::string json(int64_t value) { return std::to_string(value); }
std::string json(int value) { return std::to_string(value); }
std::string json(bool value) { return value ? "true" : "false"; }
template <class T>
std::string json(const std::optional<T>& value) {
  return value ? json(*value) : "null";
}

std::string json(const PartResult& p) {
  return "{\"id\": " + quoted(p.id) + ", \"name\": " + quoted(p.name) +
         ", \"passed\": " + json(p.passed) + ", \"initial_loss\": " + json(p.initial_loss) +
         ", \"final_loss\": " + json(p.final_loss) + ", \"accuracy\": " + json(p.accuracy) +
         ", \"held_out_accuracy\": " + json(p.held_out_accuracy) +
         ", \"peak_bytes\": " + json(p.peak_bytes) + ", \"stable_bytes\": " + json(p.stable_bytes) +
         ", \"floor_bytes\": " + json(p.floor_bytes) + ", \"seconds\": " + json(p.seconds) +
         ", \"seeds_passed\": " + json(p.seeds_passed) + ", \"seeds\": " + json(p.seeds) + "}";
}

}  // namespace

Published published(const std::string& part_id) {
  static const std::map<std::string, Published> kFigures = {
      {"1", {"0.2499 -> 0.0012 (-99.5 %), 100 %; peak 0.04 MB", 0.04}},
      {"2", {"0.2495 -> 0.0002 (-99.9 %), 100 %; peak 0.04 MB", 0.04}},
      {"3", {"0.0535 -> 0.0034 (-94.1 %), train 100 %; peak 0.08 MB", 0.08}},
      {"4", {"pass", {}}},
      {"5", {"pass", {}}},
      {"6", {"0.0031 good against 15.9328 bad", {}}},
      {"7", {"0.16 MB estimated; peak 0.79 MB, stable 0.57 MB", 0.79}},
      {"8", {"0.08 s; peak 36.74 MB, after it 22.74 MB", 36.74}},
      {"9", {"peak 36.74 MB, later 36.48 MB", 36.74}},
      {"10", {"pass", {}}},
  };
  const auto found = kFigures.find(part_id);
  return found == kFigures.end() ? Published{"-", {}} : found->second;
}

const std::vector<std::string>& column_titles() {
  static const std::vector<std::string> kTitles = {
      "part",     "",         "loss, first -> last epoch",
      "train",    "held out", "peak MiB",
      "seconds",  "seeds",    "result",
      "published"};
  return kTitles;
}

std::vector<std::string> row_of(const PartResult& part) {
  return {part.id,
          part.name,
          loss_text(part),
          accuracy_text(part.accuracy),
          accuracy_text(part.held_out_accuracy),
          part.peak_bytes ? mib(*part.peak_bytes) : "-",
          number(part.seconds, 2),
          seeds_text(part),
          part.passed ? "pass" : "FAIL",
          published(part.id).text};
}

bool DeviceReport::passed() const {
  return std::all_of(parts.begin(), parts.end(), [](const PartResult& p) { return p.passed; });
}

void print_header(const DeviceReport& report) {
  std::printf("\nTinyTorch %s on %s: %s\n\n", tinytorch::version(), report.device.c_str(),
              report.description.c_str());
  print_row(column_titles());
  std::fflush(stdout);
}

void print_part(const PartResult& part) {
  print_row(row_of(part));
  for (const std::string& note : part.notes) std::printf("%9s   %s\n", "", note.c_str());
  for (const std::string& failure : part.failures)
    std::printf("%9s   FAIL: %s\n", "", failure.c_str());
  std::fflush(stdout);
}

void print_footer(const std::vector<DeviceReport>& reports, double seconds) {
  std::printf("\n");
  for (const DeviceReport& report : reports) {
    const auto passed = std::count_if(report.parts.begin(), report.parts.end(),
                                      [](const PartResult& p) { return p.passed; });
    std::printf("%s: %s, %d of %zu parts\n", report.device.c_str(),
                report.passed() ? "passed" : "FAILED", static_cast<int>(passed),
                report.parts.size());
  }
  std::printf("%.1f s\n", seconds);
}

void write_json(const std::string& path, const std::vector<DeviceReport>& reports) {
  const bool passed =
      std::all_of(reports.begin(), reports.end(), [](const DeviceReport& r) { return r.passed(); });
  std::string text = "{\"version\": " + quoted(tinytorch::version()) +
                     ", \"passed\": " + json(passed) + ", \"devices\": [";
  for (size_t d = 0; d < reports.size(); ++d) {
    const DeviceReport& report = reports[d];
    text += std::string(d ? "," : "") + "\n  {\"device\": " + quoted(report.device) +
            ", \"passed\": " + json(report.passed()) + ", \"parts\": [";
    for (size_t i = 0; i < report.parts.size(); ++i)
      text += (i ? ",\n    " : "\n    ") + json(report.parts[i]);
    text += "]}";
  }
  text += "]}\n";
  std::ofstream file(path, std::ios::trunc);
  file << text;
  if (!file.flush()) throw tinytorch::IoError("cannot write " + path);
}

ProgressLine::ProgressLine() : terminal_(isatty(STDOUT_FILENO) == 1) {}

void ProgressLine::show(const std::string& text) {
  if (!terminal_) return;
  std::printf("\r%-*s", static_cast<int>(width_), text.c_str());
  width_ = std::max(width_, text.size());
  std::fflush(stdout);
}

void ProgressLine::clear() {
  if (!terminal_ || width_ == 0) return;
  std::printf("\r%*s\r", static_cast<int>(width_), "");
  width_ = 0;
}

}  // namespace validate
