// What the files of reports share. Markup is built by appending printf formats to one string, so
// that no stream is instantiated in the library.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tinytorch/report.h>

namespace tinytorch::report {

[[gnu::format(printf, 2, 3)]] void append(std::string& out, const char* format, ...);

// What UTF-8 or XML does not allow becomes U+FFFD.
std::string valid_utf8(std::string_view text);
// For tables of text: without line breaks, cut after `most` characters.
std::string one_line(std::string_view text, size_t most = 48);

// Rules of all charts and pages: colours of both schemes as variables, classes f0 to f7 (filled)
// and s0 to s7 (stroked).
std::string_view chart_style();

// Opens an <svg> of width 760 with title and legend and returns the y below them; the caller
// appends its marks and "</svg>". The height is inserted by close_svg.
inline constexpr double kWidth = 760;
struct LegendEntry {
  std::string name;
  int color;
  bool dashed = false;
};
double open_svg(std::string& out, const std::string& title, const std::vector<LegendEntry>& legend);
std::string close_svg(const std::string& body, double height);

// Places of an axis from low to high: round values inside, about `wanted` of them.
std::vector<double> ticks(double low, double high, Unit unit, bool logarithmic, int wanted);

}  // namespace tinytorch::report
