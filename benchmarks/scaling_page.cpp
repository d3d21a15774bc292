// The page of bench_scaling: plots of throughput, efficiency and memory, the fits, and the rows.
#include <algorithm>
#include <cstdlib>
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

std::string title_of(size_t category) {
  std::string name = name_of(static_cast<Category>(category));
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

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

// Of the largest net; weak is dashed.
report::Chart efficiency_chart(const Points& points) {
  const ScalingPoint& net = points.back();
  report::Chart chart;
  chart.title = "Efficiency, " + net.device + ", " + net_name(net);
  chart.x = {.label = "batch", .logarithmic = true};
  chart.y = {.label = "efficiency", .unit = Unit::share};
  for (const bool weak : {false, true}) {
    Points shown;
    for (const ScalingPoint& p : points)
      if (p.depth == net.depth && p.width == net.width && p.threads > 1 &&
          (!weak || p.weak_efficiency > 0))
        shown.push_back(p);
    const auto name = [&](const ScalingPoint& p) {
      return (weak ? "weak, " : "strong, ") + threads_name(p);
    };
    int color = 0;
    for (report::Series& line : lines(shown, name, batch_of, [&](const ScalingPoint& p) {
           return weak ? p.weak_efficiency : p.efficiency;
         })) {
      color = color % (report::kColors - 1) + 1;
      line.color = color;
      line.dashed = weak;
      chart.series.push_back(std::move(line));
    }
  }
  return chart;
}

// Measured, and dashed the line fitted to it, on one thread.
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
  const size_t nets = chart.series.size();
  for (size_t i = 0; i < nets; ++i) {
    chart.series[i].color = 1 + static_cast<int>(i) % (report::kColors - 1);
    report::Series fitted = chart.series[i];
    fitted.name += ", fitted";
    fitted.dashed = true;
    const ScalingPoint& net = *std::find_if(shown.begin(), shown.end(), [&](const ScalingPoint& p) {
      return net_name(p) == chart.series[i].name;
    });
    const MemoryFit line = PeakFit(of_net(points, net)).line;
    for (size_t j = 0; j < fitted.x.size(); ++j)
      fitted.y[j] = number(total(line.predict(static_cast<int64_t>(fitted.x[j]))));
    chart.series.push_back(std::move(fitted));
  }
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
    bars.names.push_back(title_of(c));
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

std::string fit_section(const Points& net) {
  const PeakFit fit(net);
  double fixed = 0, growth = 0;
  report::Table table;
  table.columns = {
      {"category"}, {"fixed", true}, {"per sample", true}, {"largest error of the fit", true}};
  for (size_t c = 0; c < kCategoryCount; ++c) {
    if (fit.line.a[c] == 0 && fit.line.b[c] == 0) continue;
    fixed += fit.line.a[c];
    growth += fit.line.b[c];
    table.rows.push_back({{title_of(c), -1, static_cast<int>(c)},
                          {report::text(fit.line.a[c], Unit::bytes)},
                          {report::text(fit.line.b[c], Unit::bytes)},
                          {bytes(fit.residual[c])}});
  }
  table.rows.push_back({{"sum"},
                        {report::text(fixed, Unit::bytes)},
                        {report::text(growth, Unit::bytes)},
                        {bytes(fit.residual_of_sum)}});
  return report::section("Fit, " + net.front().device + ", " + net_name(net.front()),
                         "Bytes at the peak as a + b * batch. Which tensors make the peak changes "
                         "with the batch, so that the peaks may bend where the line cannot.",
                         report::html(table));
}

std::string largest_section(const LargestBatch& found) {
  const auto ran = [](bool did) { return did ? "ran" : "OutOfMemoryError"; };
  report::Table table;
  table.columns = {{"batch", true}, {"by prediction"}, {"run under the limit"}};
  const auto row = [&](int64_t batch, const std::string& predicted, const std::string& run) {
    table.rows.push_back({{count(batch)}, {predicted}, {run}});
  };
  const std::string fits = "fits with what an allocator may round up";
  if (found.predicted && (found.predicted != found.largest || found.too_large_ran))
    row(found.predicted, fits, ran(found.predicted_ran));
  if (found.largest && !found.too_large_ran) {
    row(found.largest,
        (found.predicted == found.largest ? fits + ", " : "") + "peak of " +
            bytes(found.predicted_peak_bytes),
        "ran, peak of " + bytes(found.peak_bytes));
    if (found.largest + 1 < found.too_large) row(found.largest + 1, "", ran(false));
  }
  row(found.too_large, "does not fit, rounded or not", ran(found.too_large_ran));
  return report::section(
      "Largest batch, " + found.net.device + ", " + net_name(found.net),
      "Under a limit of " + bytes(found.limit_bytes) + " on what is taken from the system.",
      report::html(table));
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
        "an n-th of it.",
        report::svg(efficiency_chart(points)));
  int64_t error = 0;
  for (const ScalingPoint& p : points)
    error = std::max(error, std::abs(p.predicted_peak_bytes - p.peak_bytes));
  return out + report::section("Memory",
                               "predict_memory said each of these peaks before it was measured, "
                               "within " +
                                   bytes(error) + ". Dashed is a + b * batch, fitted by category.",
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
      if (p.device == found.net.device) of_device.push_back(p);
    body += device_part(folder, of_device) + fit_section(of_net(of_device, found.net)) +
            largest_section(found);
  }
  report::write(folder + "/report.html",
                report::page("Scaling of " + workload, "training steps, f32, SGD",
                             body + rows_section(points)));
}

}  // namespace bench
