// The page of bench_scaling: plots of throughput, efficiency and memory, the fits, and the rows.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include <tinytorch/report.h>

#include "benchmarks/scaling.h"

namespace bench {
namespace {

using namespace tinytorch;
using report::Unit;
using Points = std::vector<ScalingPoint>;

double number(int64_t value) { return static_cast<double>(value); }
std::string count(int64_t value) { return report::text(number(value), Unit::count); }
std::string bytes(int64_t value) { return report::text(number(value), Unit::bytes); }

std::string net_name(const ScalingPoint& p) {
  return count(p.width) + " wide, " + count(p.depth) + " deep";
}
std::string threads_name(const ScalingPoint& p) {
  return count(p.threads) + (p.threads == 1 ? " thread" : " threads");
}

// One line for each name, in the order of the points.
using Name = std::function<std::string(const ScalingPoint&)>;
using Value = std::function<double(const ScalingPoint&)>;
std::vector<report::Series> lines(const Points& points, const Name& name, const Value& x,
                                  const Value& y) {
  std::vector<report::Series> out;
  for (const ScalingPoint& p : points) {
    const std::string key = name(p);
    auto line = std::find_if(out.begin(), out.end(),
                             [&](const report::Series& series) { return series.name == key; });
    if (line == out.end()) {
      line = out.emplace(out.end());
      line->name = key;
    }
    line->x.push_back(x(p));
    line->y.push_back(y(p));
  }
  return out;
}

double batch_of(const ScalingPoint& p) { return number(p.batch); }

report::Chart throughput_chart(const Points& points) {
  const bool threaded = points.back().threads > 1;
  const auto name = [&](const ScalingPoint& p) {
    return net_name(p) + (threaded ? ", " + threads_name(p) : "");
  };
  report::Chart chart;
  chart.title = "Samples per second, " + points.front().device;
  chart.x = {.label = "batch", .logarithmic = true};
  chart.y = {.label = "samples per second", .logarithmic = true};
  chart.series =
      lines(points, name, batch_of, [](const ScalingPoint& p) { return p.samples_per_second(); });
  return chart;
}

report::Chart efficiency_chart(const Points& points, bool strong) {
  const ScalingPoint& net = points.back();
  Points shown;
  for (const ScalingPoint& p : points)
    if (p.depth == net.depth && p.width == net.width && (strong || p.weak_efficiency > 0))
      shown.push_back(p);
  const auto name = [&](const ScalingPoint& p) {
    return "batch " + (strong ? count(p.batch) : count(p.batch / p.threads) + " per thread");
  };
  report::Chart chart;
  chart.title =
      std::string(strong ? "Strong" : "Weak") + " scaling, " + net.device + ", " + net_name(net);
  chart.x.label = "threads";
  chart.y = {.label = "efficiency", .unit = Unit::share};
  chart.series = lines(
      shown, name, [](const ScalingPoint& p) { return number(p.threads); },
      [&](const ScalingPoint& p) { return strong ? p.efficiency : p.weak_efficiency; });
  std::erase_if(chart.series, [](const report::Series& line) { return line.x.size() < 2; });
  return chart;
}

// Measured, and dashed what the fit of two other batches says, on one thread.
report::Chart peak_chart(const Points& points) {
  Points shown;
  for (const ScalingPoint& p : points)
    if (p.threads == 1) shown.push_back(p);
  report::Chart chart;
  chart.title = "Peak of live bytes, " + points.front().device;
  chart.x.label = "batch";
  chart.y = {.label = "bytes", .unit = Unit::bytes};
  chart.series =
      lines(shown, net_name, batch_of, [](const ScalingPoint& p) { return number(p.peak_bytes); });
  std::vector<report::Series> predicted = lines(
      shown, [](const ScalingPoint& p) { return net_name(p) + ", predicted"; }, batch_of,
      [](const ScalingPoint& p) { return number(p.predicted_peak_bytes); });
  for (size_t i = 0; i < predicted.size(); ++i) {
    chart.series[i].color = static_cast<int>(i) % report::kColors;
    predicted[i].color = chart.series[i].color;
    predicted[i].dashed = true;
  }
  chart.series.insert(chart.series.end(), predicted.begin(), predicted.end());
  return chart;
}

report::Bars category_bars(const Points& points) {
  const ScalingPoint& net = points.back();
  report::Bars bars;
  bars.title = "At the peak by category, " + net.device + ", " + net_name(net);
  bars.unit = Unit::bytes;
  bars.stacked = true;
  std::vector<size_t> used;
  for (size_t c = 0; c < kCategoryCount; ++c)
    if (std::any_of(points.begin(), points.end(),
                    [&](const ScalingPoint& p) { return p.at_peak[c] > 0; }))
      used.push_back(c);
  for (const size_t c : used) {
    bars.names.emplace_back(name_of(static_cast<Category>(c)));
    bars.colors.push_back(static_cast<int>(c));
  }
  for (const ScalingPoint& p : points) {
    if (p.width != net.width || p.depth != net.depth || p.threads != 1) continue;
    report::BarRow& row = bars.rows.emplace_back();
    row.label = "batch " + count(p.batch);
    for (const size_t c : used) row.values.push_back(number(p.at_peak[c]));
  }
  return bars;
}

std::string largest_section(const LargestBatch& found) {
  report::Table fit;
  fit.columns = {{"category"}, {"fixed bytes", true}, {"bytes per sample", true}};
  for (size_t c = 0; c < kCategoryCount; ++c)
    if (found.fit.a[c] != 0 || found.fit.b[c] != 0)
      fit.rows.push_back({{name_of(static_cast<Category>(c)), -1, static_cast<int>(c)},
                          {report::text(found.fit.a[c], Unit::bytes)},
                          {report::text(found.fit.b[c], Unit::bytes)}});
  std::string text = "A limit of " + bytes(found.limit_bytes) +
                     " of memory taken from the system leaves a batch of " + count(found.batch) +
                     " by this fit, with a peak of " + bytes(found.predicted_peak_bytes) + ". ";
  text += found.fits ? "It ran under that limit with a peak of " + bytes(found.peak_bytes) + ". "
                     : "It did not run under that limit. ";
  text += "A batch of " + count(found.beyond) +
          (found.beyond_fits ? " ran under it too." : " did not.");
  return report::section("Largest batch, " + found.device + ", " + count(found.width) + " wide, " +
                             count(found.depth) + " deep",
                         text, report::html(fit));
}

std::string rows_section(const Points& points) {
  report::Table table;
  table.columns = {{"device"}};
  for (const char* title : {"batch", "width", "depth", "threads", "step", "samples/s", "strong",
                            "weak", "peak", "predicted"})
    table.columns.push_back({title, true});
  for (const ScalingPoint& p : points)
    table.rows.push_back(
        {{p.device},
         {count(p.batch)},
         {count(p.width)},
         {count(p.depth)},
         {count(p.threads)},
         {report::text(p.step_seconds, Unit::seconds)},
         {report::text(p.samples_per_second(), Unit::count)},
         {report::text(p.efficiency, Unit::share)},
         {p.weak_efficiency > 0 ? report::text(p.weak_efficiency, Unit::share) : ""},
         {bytes(p.peak_bytes)},
         {bytes(p.predicted_peak_bytes)}});
  return report::section("All rows", "", report::html(table));
}

std::string device_part(const std::string& folder, const Points& points) {
  const std::string throughput = report::svg(throughput_chart(points));
  const std::string peak = report::svg(peak_chart(points));
  const std::string& name = points.front().device;
  report::write(folder + "/throughput_" + name + ".svg", report::svg_file(throughput));
  report::write(folder + "/peak_" + name + ".svg", report::svg_file(peak));

  std::string out = report::section("Throughput", "", throughput);
  if (points.back().threads > 1)
    out += report::section(
        "Efficiency",
        "Throughput of n threads over n times that of one: strong with the same batch, weak with "
        "the same batch per thread.",
        report::svg(efficiency_chart(points, true)) + report::svg(efficiency_chart(points, false)));
  return out + report::section("Memory",
                               "Dashed is what a fit a + b * batch, by category, of the two "
                               "nearest other batches predicts.",
                               peak + report::svg(category_bars(points)));
}

}  // namespace

void write_scaling_page(const std::string& folder, const std::string& workload,
                        const std::vector<ScalingPoint>& points,
                        const std::vector<LargestBatch>& largest) {
  std::string body;
  for (const LargestBatch& found : largest) {
    Points of_device;
    for (const ScalingPoint& p : points)
      if (p.device == found.device) of_device.push_back(p);
    body += device_part(folder, of_device) + largest_section(found);
  }
  report::write(folder + "/report.html",
                report::page("Scaling of " + workload, "training steps, f32, SGD",
                             body + rows_section(points)));
}

}  // namespace bench
