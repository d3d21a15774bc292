// Lines and stacked areas over two axes. Values show as tooltips of invisible strips, one per place
// on the x axis, so that no script is needed.
#include <algorithm>
#include <cmath>
#include <set>

#include <tinytorch/error.h>

#include "core/profile/html.h"

namespace tinytorch::report {

namespace {

constexpr double kLeft = 76, kRight = 14, kPlotHeight = 230;
constexpr size_t kMostStrips = 190, kFewPoints = 40, kFewPlaces = 12;

// One axis: from values to places in the picture.
struct Scale {
  double low, high, at_low, at_high;
  bool logarithmic;

  double operator()(double value) const {
    const double share =
        logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return at_low + share * (at_high - at_low);
  }
};

bool drawable(const Chart& chart, double x, double y) {
  return std::isfinite(x) && std::isfinite(y) && (x > 0 || !chart.x.logarithmic) &&
         (y > 0 || !chart.y.logarithmic);
}

struct Range {
  double low = INFINITY, high = -INFINITY;

  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void widen(bool logarithmic) {
    if (low > high) low = high = 1;
    if (low < high) return;
    if (logarithmic)
      low /= 2, high *= 2;
    else
      high = low + (low == 0 ? 1 : std::abs(low));
  }
};

void check(const Chart& chart) {
  for (const Series& s : chart.series) {
    if (s.x.size() != s.y.size())
      throw ValueError("[report] series '" + s.name + "' has " + std::to_string(s.x.size()) +
                       " x and " + std::to_string(s.y.size()) + " y, as many are needed");
    if (chart.kind == ChartKind::area && s.x != chart.series[0].x)
      throw ValueError("[report] stacked series '" + s.name + "' has x of its own, those of '" +
                       chart.series[0].name + "' are needed");
  }
}

// For each step of an area chart the sum of the first n series, n from 0 to their number.
using Stack = std::vector<std::vector<double>>;

struct Layout {
  Scale x, y;
  std::vector<double> places;  // x of the steps or points, ascending
};

// The steps that are drawn: per pixel the one with the highest sum.
std::vector<size_t> thinned(const Chart& chart, const std::vector<double>& sums, const Scale& x) {
  std::vector<size_t> kept;
  const std::vector<double>& at = chart.series[0].x;
  for (size_t i = 0; i < at.size(); ++i) {
    if (!std::isfinite(at[i])) continue;
    if (kept.empty() || std::floor(x(at[i])) != std::floor(x(at[kept.back()])))
      kept.push_back(i);
    else if (sums[i] > sums[kept.back()])
      kept.back() = i;
  }
  return kept;
}

void append_axes(std::string& out, const Chart& chart, const Layout& layout) {
  const Scale &x = layout.x, &y = layout.y;
  for (const double at : ticks(y.low, y.high, chart.y.unit, y.logarithmic, 5)) {
    append(out, "<path class=\"g\" d=\"M%.1f %.1fH%.1f\"/>", x.at_low, y(at), x.at_high);
    append(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", x.at_low - 6,
           y(at) + 4, text(at, chart.y.unit).c_str());
  }
  const bool few = chart.kind == ChartKind::lines && layout.places.size() <= kFewPlaces;
  double free_from = 0;
  for (const double at :
       few ? layout.places : ticks(x.low, x.high, chart.x.unit, x.logarithmic, 7)) {
    const std::string label = text(at, chart.x.unit);
    const double half = 3.5 * static_cast<double>(label.size());
    append(out, "<path class=\"g\" d=\"M%.1f %.1fv4\"/>", x(at), y.at_low);
    if (x(at) - half < free_from) continue;
    free_from = x(at) + half + 8;
    append(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
           std::min(x(at), kWidth - half), y.at_low + 17, label.c_str());
  }
  append(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
         (x.at_low + x.at_high) / 2, y.at_low + 36, escaped(chart.x.label).c_str());
  append(out,
         "<text transform=\"translate(12 %.1f)rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
         (y.at_low + y.at_high) / 2, escaped(chart.y.label).c_str());
}

void append_marks(std::string& out, const Chart& chart, const Layout& layout) {
  for (const Mark& mark : chart.marks) {
    if (!(mark.x >= layout.x.low && mark.x <= layout.x.high)) continue;
    const double at = layout.x(mark.x);
    const bool left = at > kWidth * 0.7;
    append(out, "<path class=\"m\" d=\"M%.1f %.1fV%.1f\"/>", at, layout.y.at_high, layout.y.at_low);
    append(out, "<text class=\"v\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", at + (left ? -5 : 5),
           layout.y.at_high + 12, left ? "end" : "start");
    out += escaped(mark.label) + "</text>\n";
  }
}

// Strips from one place to the next; `of(i)` is what stands in the tooltip of the i-th.
template <class Of>
void append_strips(std::string& out, const Layout& layout, bool centred, const Of& of) {
  const size_t count = layout.places.size(), step = (count + kMostStrips - 1) / kMostStrips;
  for (size_t i = 0; i < count; i += step) {
    const double here = layout.x(layout.places[i]);
    const double next = i + step < count ? layout.x(layout.places[i + step]) : layout.x.at_high;
    double from = here, to = next;
    if (centred) {
      const double before = i >= step ? layout.x(layout.places[i - step]) : here;
      from = (before + here) / 2;
      to = i + step < count ? (here + next) / 2 : layout.x.at_high;
    }
    append(out, "<rect class=\"h\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\"><title>",
           from, layout.y.at_high, std::max(1.0, to - from), kPlotHeight);
    out += of(i) + "</title></rect>\n";
  }
}

std::string value_line(const Series& series, double value, Unit unit) {
  return "\n" + escaped(series.name) + ": " + text(value, unit);
}

void append_area(std::string& out, const Chart& chart, const Layout& layout, const Stack& stack,
                 const std::vector<size_t>& steps) {
  const Scale &x = layout.x, &y = layout.y;
  const std::vector<double>& at = chart.series[0].x;
  for (size_t s = 0; s < chart.series.size(); ++s) {
    append(out, "<path class=\"a f%d\" d=\"M%.1f %.1f", chart.series[s].color, x(at[steps[0]]),
           y(stack[s + 1][steps[0]]));
    for (size_t i = 1; i < steps.size(); ++i)
      append(out, "H%.1fV%.1f", x(at[steps[i]]), y(stack[s + 1][steps[i]]));
    append(out, "H%.1f", x.at_high);
    for (size_t i = steps.size(); i-- > 0;)
      append(out, "V%.1fH%.1f", y(stack[s][steps[i]]), x(at[steps[i]]));
    out += "Z\"/>\n";
  }
}

std::string area(const Chart& chart, std::string& out, double top) {
  const size_t count = chart.series[0].x.size(), names = chart.series.size();
  Stack stack(names + 1, std::vector<double>(count, 0));
  for (size_t s = 0; s < names; ++s)
    for (size_t i = 0; i < count; ++i) {
      const double value = chart.series[s].y[i];
      stack[s + 1][i] = stack[s][i] + (std::isfinite(value) ? value : 0);
    }
  Range over_x, over_y;
  over_y.take(0);
  for (size_t i = 0; i < count; ++i) {
    if (std::isfinite(chart.series[0].x[i])) over_x.take(chart.series[0].x[i]);
    over_y.take(stack[names][i]);
  }
  over_x.widen(false);
  over_y.widen(false);
  Layout layout{{over_x.low, over_x.high, kLeft, kWidth - kRight, false},
                {0, over_y.high * 1.05, top + kPlotHeight, top, false},
                {}};
  const std::vector<size_t> steps = thinned(chart, stack[names], layout.x);
  for (const size_t i : steps) layout.places.push_back(chart.series[0].x[i]);
  append_axes(out, chart, layout);
  append_area(out, chart, layout, stack, steps);
  append_marks(out, chart, layout);
  append_strips(out, layout, false, [&](size_t place) {
    const size_t i = steps[place];
    std::string line = escaped(chart.x.label) + " " + text(chart.series[0].x[i], chart.x.unit) +
                       "\nsum: " + text(stack[names][i], chart.y.unit);
    for (const Series& s : chart.series)
      if (s.y[i] > 0) line += value_line(s, s.y[i], chart.y.unit);
    return line;
  });
  return close_svg(out, top + kPlotHeight + 44);
}

void append_line(std::string& out, const Chart& chart, const Series& series, const Layout& layout) {
  append(out, "<path class=\"l s%d%s\" d=\"", series.color, series.dashed ? " d" : "");
  bool gap = true;
  for (size_t i = 0; i < series.x.size(); ++i) {
    const bool here = drawable(chart, series.x[i], series.y[i]);
    if (here)
      append(out, "%c%.1f %.1f", gap ? 'M' : 'L', layout.x(series.x[i]), layout.y(series.y[i]));
    gap = !here;
  }
  out += "\"/>\n";
  if (series.x.size() > kFewPoints || series.dashed) return;
  for (size_t i = 0; i < series.x.size(); ++i)
    if (drawable(chart, series.x[i], series.y[i]))
      append(out, "<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", series.color,
             layout.x(series.x[i]), layout.y(series.y[i]));
}

std::string lines(const Chart& chart, std::string& out, double top) {
  Range over_x, over_y;
  std::set<double> places;
  if (!chart.y.logarithmic) over_y.take(0);
  for (const Series& s : chart.series)
    for (size_t i = 0; i < s.x.size(); ++i)
      if (drawable(chart, s.x[i], s.y[i])) {
        over_x.take(s.x[i]);
        over_y.take(s.y[i]);
        places.insert(s.x[i]);
      }
  over_x.widen(chart.x.logarithmic);
  over_y.widen(chart.y.logarithmic);
  const double above = chart.y.logarithmic ? 1.1 : 1.05;
  const Layout layout{
      {over_x.low, over_x.high, kLeft + 8, kWidth - kRight - 8, chart.x.logarithmic},
      {over_y.low, over_y.high * above, top + kPlotHeight, top, chart.y.logarithmic},
      {places.begin(), places.end()}};
  append_axes(out, chart, layout);
  for (const Series& s : chart.series) append_line(out, chart, s, layout);
  append_marks(out, chart, layout);
  append_strips(out, layout, true, [&](size_t place) {
    const double x = layout.places[place];
    std::string line = escaped(chart.x.label) + " " + text(x, chart.x.unit);
    for (const Series& s : chart.series)
      for (size_t i = 0; i < s.x.size(); ++i)
        if (s.x[i] == x) line += value_line(s, s.y[i], chart.y.unit);
    return line;
  });
  return close_svg(out, top + kPlotHeight + 44);
}

}  // namespace

std::string svg(const Chart& given) {
  check(given);
  Chart chart = given;
  int next = 1;
  std::vector<LegendEntry> legend;
  for (Series& s : chart.series) {
    if (s.color < 0) s.color = next++;
    s.color %= kColors;
    legend.push_back({s.name, s.color, s.dashed});
  }
  std::string out;
  const double top = open_svg(out, chart.title, legend);
  const bool drawn = std::any_of(chart.series.begin(), chart.series.end(), [&](const Series& s) {
    for (size_t i = 0; i < s.x.size(); ++i)
      if (drawable(chart, s.x[i], s.y[i])) return true;
    return false;
  });
  if (!drawn) {
    append(out, "<text x=\"%.0f\" y=\"%.0f\">nothing was recorded</text>\n", kLeft, top + 20);
    return close_svg(out, top + 40);
  }
  return chart.kind == ChartKind::area ? area(chart, out, top) : lines(chart, out, top);
}

}  // namespace tinytorch::report
