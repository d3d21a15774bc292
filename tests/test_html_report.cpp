// Reports: values and their units, escaping, contrast of the colours in both schemes, charts that
// keep their peaks, and the page of real profiles. tests/check_html.py opens pages in a browser.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>

#include <tinytorch/report.h>
#include <tinytorch/tinytorch.h>

namespace tinytorch {
namespace {

using report::ChartKind;
using report::Unit;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(ReportText, ValuesCarryTheirUnits) {
  EXPECT_EQ(report::text(0, Unit::bytes), "0 B");
  EXPECT_EQ(report::text(1023, Unit::bytes), "1023 B");
  EXPECT_EQ(report::text(1536, Unit::bytes), "1.5 KiB");
  EXPECT_EQ(report::text(19.9 * 1048576, Unit::bytes), "19.9 MiB");
  EXPECT_EQ(report::text(1184010, Unit::count), "1.18 M");
  EXPECT_EQ(report::text(41310, Unit::count), "41,310");
  EXPECT_EQ(report::text(31516.7, Unit::count), "31,517");
  EXPECT_EQ(report::text(5e-11, Unit::bytes), "0 B");
  EXPECT_EQ(report::text(-41310, Unit::count), "-41,310");
  EXPECT_EQ(report::text(2.5e-6, Unit::seconds), "2.5 \xc2\xb5s");
  EXPECT_EQ(report::text(999.9e-6, Unit::seconds), "1 ms");
  EXPECT_EQ(report::text(0.125, Unit::share), "12.5 %");
  EXPECT_EQ(report::text(std::nan(""), Unit::bytes), "-");
  EXPECT_EQ(report::signed_text(2048, Unit::bytes), "+2 KiB");
  EXPECT_EQ(report::signed_text(-2048, Unit::bytes), "-2 KiB");
}

TEST(ReportText, EscapesWhatMarkupOrXmlWouldNotTake) {
  EXPECT_EQ(report::escaped("<a b=\"c\">&'"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
  EXPECT_EQ(report::escaped("\xc3\xa4 \xf0\x9f\x94\xa5"), "\xc3\xa4 \xf0\x9f\x94\xa5");
  const std::string bad = "\xef\xbf\xbd";  // U+FFFD
  EXPECT_EQ(report::escaped(std::string("a\0\x1f", 3)), "a" + bad + bad);
  EXPECT_EQ(report::escaped("\xff\xc0\x80"), bad + bad + bad);
  EXPECT_EQ(report::escaped("\xed\xa0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(report::escaped("\xe2\x82"), bad + bad) << "cut off";
}

// ---- charts

report::Chart area_of(const std::vector<double>& y) {
  report::Chart chart{"Live <bytes>", ChartKind::area, {"op"}, {"bytes", Unit::bytes}, {}, {}};
  report::Series series{"<script>", {}, y, 3};
  for (size_t i = 0; i < y.size(); ++i) series.x.push_back(static_cast<double>(i));
  chart.series.push_back(series);
  return chart;
}

TEST(ReportChart, NamesAreEscapedEverywhere) {
  report::Chart chart = area_of({1, 2, 3});
  chart.series.push_back({"a&b", chart.series[0].x, {1, 1, 1}});
  chart.marks.push_back({1, "<peak>"});
  chart.x.label = "<x>";
  const std::string svg = report::svg(chart);
  for (const char* raw : {"<script>", "<bytes>", "<peak>", "<x>", "a&b"})
    EXPECT_FALSE(contains(svg, raw)) << raw;
  for (const char* name : {"&lt;script&gt;", "&lt;bytes&gt;", "&lt;peak&gt;", "a&amp;b"})
    EXPECT_TRUE(contains(svg, name)) << name;
  const report::Bars bars{"<t>", Unit::bytes, {"<n>"}, {}, {{"<r>", {5}}}};
  EXPECT_FALSE(contains(report::svg(bars), "<n>"));
  EXPECT_FALSE(contains(report::svg(bars), "<r>"));
  EXPECT_TRUE(contains(report::html(report::Table{{{"<c>"}}, {{{"<d>"}}}}), "&lt;d&gt;"));
}

TEST(ReportChart, ThinningKeepsThePeak) {
  std::vector<double> y(100000, 1000);
  y[54321] = 50000;
  const std::string svg = report::svg(area_of(y));
  EXPECT_LT(svg.size(), 100000u);
  // The highest value stands at 1 / 1.05 of the plot's 230 units, whose bottom is at 264.
  EXPECT_TRUE(contains(svg, "V45.0"));
}

TEST(ReportChart, WhatCannotBeDrawnIsLeftOut) {
  EXPECT_TRUE(contains(report::svg(report::Chart{}), "nothing was recorded"));
  report::Chart chart{"", ChartKind::lines, {"x", Unit::count, true}, {"y"}, {}, {}};
  chart.series.push_back({"s", {0, 1, 10, 100}, {1, 2, NAN, 4}});
  const std::string svg = report::svg(chart);
  EXPECT_EQ(count(svg, "<circle"), 2u);  // neither the 0 of a logarithmic axis nor the NaN
  EXPECT_FALSE(contains(svg, "nan"));
  EXPECT_FALSE(contains(svg, "inf"));
  chart.series[0] = {"one point", {5}, {0}};
  EXPECT_FALSE(contains(report::svg(chart), "nan"));
}

TEST(ReportChart, ANarrowLogarithmicAxisHasTicks) {
  report::Chart chart{"", ChartKind::lines, {"x"}, {"y", Unit::count, true}, {}, {}};
  chart.series.push_back({"s", {1, 2}, {2100, 2400}});
  EXPECT_GE(count(report::svg(chart), "<path class=\"g\""), 2u + 2u);  // of y beside those of x
}

TEST(ReportChart, SizesThatDoNotFitAreErrors) {
  report::Chart chart = area_of({1, 2});
  chart.series[0].y.push_back(3);
  EXPECT_THROW(report::svg(chart), ValueError);
  chart = area_of({1, 2});
  chart.series.push_back({"other x", {0, 2}, {1, 1}});
  EXPECT_THROW(report::svg(chart), ValueError);
  EXPECT_THROW(report::svg(report::Bars{"", Unit::count, {"a", "b"}, {}, {{"r", {1}}}}),
               ValueError);
  EXPECT_THROW(report::html(report::Table{{{"a"}, {"b"}}, {{{"1"}}}}), ValueError);
  EXPECT_THROW(report::write("/nowhere/page.html", ""), IoError);
}

// ---- colours

// Relative luminance, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance.
double luminance(const std::string& hex) {
  double sum = 0;
  const double weights[] = {0.2126, 0.7152, 0.0722};
  const size_t digits = hex.size() == 3 ? 1 : 2;
  for (size_t i = 0; i < 3; ++i) {
    std::string part = hex.substr(i * digits, digits);
    if (digits == 1) part += part;
    const double c = std::stoi(part, nullptr, 16) / 255.0;
    sum += weights[i] * (c <= 0.03928 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4));
  }
  return sum;
}

std::string color(const std::string& style, const std::string& name) {
  const size_t at = style.find("--" + name + ":#") + name.size() + 4;
  return style.substr(at, style.find_first_of(";}", at) - at);
}

double contrast(const std::string& style, const std::string& name) {
  const double a = luminance(color(style, name)), b = luminance(color(style, "page"));
  return (std::max(a, b) + 0.05) / (std::min(a, b) + 0.05);
}

TEST(ReportPage, ColoursHaveContrastInBothSchemes) {
  const std::string page = report::page("t", "", "");
  const size_t dark_from = page.find("prefers-color-scheme:dark");
  ASSERT_NE(dark_from, std::string::npos);
  const std::string light = page.substr(0, dark_from), dark = page.substr(dark_from);
  for (const std::string& style : {light, dark}) {
    for (int c = 0; c < report::kColors; ++c)
      EXPECT_GE(contrast(style, "c" + std::to_string(c)), 3) << c;
    EXPECT_GE(contrast(style, "ink"), 7);
    EXPECT_GE(contrast(style, "soft"), 4.5);
  }
}

// ---- profiles

Profile profile_on(const Device& device) {
  const DeviceGuard on(device);
  Profiler profiler;
  Sequential net{Linear(16, 32), ReLU(), Linear(32, 4)};
  Adam optimizer(net.parameters(), 1e-3);
  const Tensor x = randn({8, 16}), y = randn({8, 4});
  for (int i = 0; i < 3; ++i) {
    const ModuleScope scope("<net> & \"co\"");
    optimizer.zero_grad();
    mse_loss(net(x), y).backward();
    optimizer.step();
    profiler.step();
  }
  return profiler.stop();
}

TEST(ReportPage, OfProfilesIsSelfContained) {
  Profile a = profile_on(Device("cpu"));
  a.settings["note"] = "<b>bold</b>";
  const Profile b = profile_on(Device("reference"));
  const std::string page = report::html({a, b}, "two <devices>");
  for (const char* part :
       {"Summary", "Differences", "optimizer state", "What lived at the peak", "Allocator",
        "What the profiler cost", "&lt;net&gt; &amp; &quot;co&quot;", "&lt;b&gt;bold",
        "two &lt;devices&gt;", "cpu:0", "reference:0"})
    EXPECT_TRUE(contains(page, part)) << part;
  for (const char* part : {"<net>", "<b>", "<script", "src=", "href=", "@import", "url("})
    EXPECT_FALSE(contains(page, part)) << part;
  EXPECT_EQ(count(page, "http"), count(page, "xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_EQ(count(page, "<svg"), count(page, "</svg>"));
  // Peaks, sums, two timelines for each device, ops, phases, steps.
  size_t busy = 0;  // others have the state of a generator only
  for (const Profile* p : {&std::as_const(a), &b})
    for (const DeviceProfile& d : p->devices) busy += !d.ops.empty();
  EXPECT_EQ(busy, 2u);
  EXPECT_EQ(count(page, "<svg"), 1 + 1 + 2 * busy + 1 + 2);
}

TEST(ReportPage, DevicesOfOneProfileAreNotCompared) {
  const Profile cpu = profile_on(Device("cpu"));
  Profile mixed = cpu;
  mixed.devices = {cpu.device("cpu"), profile_on(Device("reference")).device("reference")};
  EXPECT_FALSE(contains(report::html({mixed}, ""), "Differences"));
  const std::string page = report::html({mixed, mixed}, "", {{"before", "after"}, {}});
  for (const char* device : {"cpu:0", "reference:0"})
    EXPECT_TRUE(contains(page, std::string("before, ") + device + " and after, " + device));
  EXPECT_FALSE(contains(page, "before, cpu:0 and before"));
  EXPECT_FALSE(contains(page, "before, cpu:0 and after, reference:0"));
}

TEST(ReportPage, HasFurtherRowsAndNames) {
  Profile p = profile_on(Device("cpu"));
  p.devices = {p.device("cpu")};
  const report::ProfilePage with{{"old", "new"}, {{"a row", Unit::bytes, {NAN, 2048}}}};
  const std::string page = report::html({p, p}, "", with);
  for (const char* part : {"a row", "2 KiB", "old and new", "with the profiler"})
    EXPECT_TRUE(contains(page, part)) << part;
  EXPECT_THROW(report::html({p}, "", with), ValueError);
}

TEST(ReportPage, OneDeviceTwiceIsToldApartByItsSettings) {
  Profile a = profile_on(Device("cpu")), b = a;
  EXPECT_TRUE(contains(report::html({a, b}, ""), "cpu:0, run 2"));
  a.settings["threads"] = "1";
  b.settings["threads"] = "2";
  EXPECT_TRUE(contains(report::html({a, b}, ""), "cpu:0, threads 2"));
}

TEST(ReportPage, OfNothingIsAPage) {
  EXPECT_TRUE(contains(report::html({}, "empty"), "</html>"));
  EXPECT_TRUE(contains(report::html({Profile{}}, "empty"), "</html>"));
}

TEST(ReportPage, SvgFileBringsItsStyle) {
  const Profile p = profile_on(Device("cpu"));
  const std::string file = report::svg_file(report::svg(report::memory_timeline(p.devices[0])));
  EXPECT_EQ(file.find("<svg xmlns="), 0u);
  EXPECT_TRUE(contains(file, "<style>"));
  EXPECT_TRUE(contains(file, "prefers-color-scheme"));
  EXPECT_TRUE(contains(file, "peak "));
}

}  // namespace
}  // namespace tinytorch
