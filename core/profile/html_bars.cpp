// Horizontal bars, and the frame of every chart: title and legend above, the height known at last.
#include <algorithm>
#include <cmath>

#include <tinytorch/error.h>

#include "core/profile/html.h"

namespace tinytorch::report {

namespace {
constexpr double kPerCharacter = 6.7;  // about, of the 12 px font
}

double open_svg(std::string& out, const std::string& title,
                const std::vector<LegendEntry>& legend) {
  out += "<title>" + escaped(title) + "</title>\n<text class=\"t\" x=\"8\" y=\"18\">" +
         escaped(title) + "</text>\n";
  if (legend.size() < 2) return 34;
  constexpr double kLine = 20;
  double x = 8, y = 40;
  for (const LegendEntry& entry : legend) {
    const double width = 32 + kPerCharacter * static_cast<double>(entry.name.size());
    if (x > 8 && x + width > kWidth) x = 8, y += kLine;
    if (entry.dashed)
      append(out, "<path class=\"l d s%d\" d=\"M%.0f %.0fh14\"/>", entry.color, x - 2, y - 4);
    else
      append(out, "<rect class=\"f%d\" x=\"%.0f\" y=\"%.0f\" width=\"11\" height=\"11\"/>",
             entry.color, x, y - 10);
    append(out, "<text x=\"%.0f\" y=\"%.0f\">", x + 16, y);
    out += escaped(entry.name) + "</text>\n";
    x += width;
  }
  return y + 16;
}

std::string close_svg(const std::string& body, double height) {
  std::string out;
  append(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %.0f %.0f\">\n",
         kWidth, height);
  return out + body + "</svg>\n";
}

namespace {

constexpr double kValues = 90, kThick = 14, kBetween = 10;
constexpr size_t kLongestLabel = 44;

// What the labels take, so that the longest fits.
double label_width(const Bars& bars) {
  size_t longest = 10;
  for (const BarRow& row : bars.rows) longest = std::max(longest, row.label.size());
  return 16 + kPerCharacter * static_cast<double>(std::min(longest, kLongestLabel));
}

struct Drawing {
  const Bars& bars;
  std::string& out;
  double left;      // of the bars
  double per_unit;  // pixels

  int color(size_t name) const {
    const int wanted = bars.colors.empty() ? static_cast<int>(name) + 1 : bars.colors[name];
    return wanted % kColors;
  }
  void bar(const BarRow& row, size_t name, double x, double y) const {
    append(out, "<rect class=\"a f%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\">",
           color(name), x, y, std::max(1.0, row.values[name] * per_unit), kThick - 2);
    out += "<title>" + escaped(row.label) + ", " + escaped(bars.names[name]) + ": " +
           text(row.values[name], bars.unit) + "</title></rect>";
  }
  void value(double amount, double x, double y) const {
    append(out, "<text class=\"v\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + 6, y + 10.5,
           text(amount, bars.unit).c_str());
  }
  void label(const BarRow& row, double y) const {
    append(out, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">", left - 8, y);
    out += escaped(row.label) + "</text>\n";
  }

  double stacked(const BarRow& row, double y) const {
    label(row, y + 10.5);
    double sum = 0;
    for (size_t n = 0; n < row.values.size(); ++n) {
      if (!(row.values[n] > 0)) continue;
      bar(row, n, left + sum * per_unit, y);
      sum += row.values[n];
    }
    value(sum, left + sum * per_unit, y);
    return y + kThick;
  }
  double beside(const BarRow& row, double y) const {
    const auto count = std::count_if(row.values.begin(), row.values.end(),
                                     [](double v) { return std::isfinite(v); });
    label(row, y + kThick * static_cast<double>(count) / 2 + 3);
    for (size_t n = 0; n < row.values.size(); ++n) {
      if (!std::isfinite(row.values[n])) continue;
      bar(row, n, left, y);
      value(row.values[n], left + row.values[n] * per_unit, y);
      y += kThick;
    }
    return y;
  }
};

void check(const Bars& bars) {
  const auto mismatch = [](const std::string& what, size_t given, size_t needed) {
    throw ValueError("[report] " + what + " has " + std::to_string(given) + " entries, " +
                     std::to_string(needed) + " are needed, one per name");
  };
  if (!bars.colors.empty() && bars.colors.size() != bars.names.size())
    mismatch("'colors'", bars.colors.size(), bars.names.size());
  for (const BarRow& row : bars.rows)
    if (row.values.size() != bars.names.size())
      mismatch("row '" + row.label + "'", row.values.size(), bars.names.size());
}

}  // namespace

std::string svg(const Bars& bars) {
  check(bars);
  double longest = 0;
  for (const BarRow& row : bars.rows) {
    double sum = 0;
    for (const double v : row.values) {
      if (!std::isfinite(v)) continue;
      sum += v;
      longest = std::max(longest, bars.stacked ? sum : v);
    }
  }
  std::string out;
  const double left = label_width(bars);
  const Drawing drawing{bars, out, left, longest > 0 ? (kWidth - left - kValues) / longest : 0};
  std::vector<LegendEntry> legend;
  for (size_t n = 0; n < bars.names.size(); ++n)
    legend.push_back({bars.names[n], drawing.color(n)});
  double y = open_svg(out, bars.title, legend);
  for (const BarRow& row : bars.rows)
    y = (bars.stacked ? drawing.stacked(row, y) : drawing.beside(row, y)) + kBetween;
  return close_svg(out, y);
}

}  // namespace tinytorch::report
