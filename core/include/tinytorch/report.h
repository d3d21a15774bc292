// Reports that people look at: the page of a Profile (html, at the end), and what it is made of:
// SVG charts, tables and self-contained pages. No script, no network; dark and light follow
// prefers-color-scheme. To make a page of your own, and a chart as a file for a README:
//   write(path, page("title", "subtitle", section("Heading", "text", svg(chart) + html(table))));
//   write("plot.svg", svg_file(svg(chart)));
// All text in the structs is escaped; only what svg, html, section and page return is markup.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tinytorch/export.h>
#include <tinytorch/profile.h>

namespace tinytorch::report {

// How values are written: count "1,234" or "1.2 G"; bytes in powers of 1024; seconds from ns to s;
// share: a fraction of 1 in percent.
enum class Unit : uint8_t { count, bytes, seconds, share };
TT_API std::string text(double value, Unit unit);
// With a sign, for differences: "+1.5 KiB", "-3 %".
TT_API std::string signed_text(double value, Unit unit);
// For markup and attributes; what UTF-8 or XML does not allow becomes U+FFFD.
TT_API std::string escaped(std::string_view text);

struct Axis {
  std::string label;
  Unit unit = Unit::count;
  bool logarithmic = false;  // points that are not positive are left out
};

// Colours 0 to 7 are those of the memory categories (see Category in profiler.h).
inline constexpr int kColors = 8;

struct Series {
  std::string name;
  std::vector<double> x, y;  // as many of each; points that are not finite are left out
  int color = -1;            // -1: the next one that no earlier series has
  bool dashed = false;       // of lines: predicted or ideal values
};

// A vertical line with a word, such as the peak.
struct Mark {
  double x = 0;
  std::string label;
};

// lines: x and y as given, a dot at each point while they are few.
// area: series are stacked and constant from one x to the next; all have the same ascending x, and
// y >= 0. Where there are more points than pixels the highest sum of each pixel is drawn.
enum class ChartKind : uint8_t { lines, area };
struct Chart {
  std::string title;
  ChartKind kind = ChartKind::lines;
  Axis x, y;
  std::vector<Series> series;
  std::vector<Mark> marks;
};

// Horizontal bars: for each row one value per name, beside each other or stacked.
struct BarRow {
  std::string label;
  std::vector<double> values;  // >= 0, as many as names; not finite: no bar
};
struct Bars {
  std::string title;
  Unit unit = Unit::count;
  std::vector<std::string> names;
  std::vector<int> colors;  // one per name; empty: 1, 2, ...
  std::vector<BarRow> rows;
  bool stacked = false;
};

// Markup of one chart, for a page. ValueError if sizes do not fit.
TT_API std::string svg(const Chart& chart);
TT_API std::string svg(const Bars& bars);
// The same as a document of its own, with its style; `svg` is what svg() returned.
TT_API std::string svg_file(std::string_view svg);

struct Column {
  std::string title;
  bool number = false;  // aligned to the right
};
struct Cell {
  std::string text;
  double share = -1;  // 0 to 1: a bar behind the text
  int color = -1;     // 0 to 7: a swatch before the text
};
struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // ValueError unless as many cells as columns
  size_t shown = 25;                    // further rows are folded away
};
TT_API std::string html(const Table& table);

// `text` is plain and becomes a paragraph; `body` is markup.
TT_API std::string paragraph(std::string_view text);
TT_API std::string section(std::string_view title, std::string_view text, std::string_view body);
TT_API std::string page(std::string_view title, std::string_view subtitle, std::string_view body);

// Replaces the file. IoError if it cannot be written.
TT_API void write(const std::string& path, std::string_view content);

// ---- pages of profiles

// Live bytes by category, stacked, over the op index or over the time, with the peak marked.
TT_API Chart memory_timeline(const DeviceProfile& device, bool over_time = false);

// A further row of a page's summary; not finite: "-".
struct SummaryRow {
  std::string name;
  Unit unit = Unit::count;
  std::vector<double> values;  // one per profile
};
struct ProfilePage {
  std::vector<std::string> names;  // one per profile; empty: the devices' names, with the settings
                                   // that differ where a device comes twice
  std::vector<SummaryRow> rows;
};

// Everything in one page: summary, timelines, what lived at the peak, ops with the achieved share
// of the roofline, phases, allocator, overhead. Several profiles, such as one per device, stand
// side by side and are compared with the first: each device with that of its name, or the only
// device of one with the only device of the other. ValueError if sizes do not fit.
TT_API std::string html(const std::vector<Profile>& profiles, std::string_view title,
                        const ProfilePage& with = {});

}  // namespace tinytorch::report
