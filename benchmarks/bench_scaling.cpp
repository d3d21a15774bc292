// Sweeps batch x width x depth x threads of one net on one device or more: throughput, efficiency
// and memory, with the peak that a fit a + b * batch of two other batches predicts. The largest
// batch that the fit allows under a limit of memory is then run under that limit.
#include <tinytorch/tinytorch.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <tinytorch/profile.h>
#include <tinytorch/report.h>

#include "benchmarks/arguments.h"
#include "benchmarks/measure.h"
#include "benchmarks/scaling.h"
#include "benchmarks/workloads.h"

namespace {

using namespace tinytorch;
using bench::LargestBatch;
using bench::ScalingPoint;
using Points = std::vector<ScalingPoint>;

struct Sweep {
  std::string workload;
  std::vector<int64_t> batches, widths, depths, threads;
  double seconds;       // of timing, for each point
  int64_t limit_bytes;  // 0: four times the largest peak
};

void measure_time(ScalingPoint& point, const Sweep& sweep, const Device& device) {
  const bench::TrainingTask task =
      bench::scaling_workload(sweep.workload, point.batch, point.width, point.depth).make();
  point.step_seconds = bench::median(bench::measure(
      [&] { task.step(); }, [&] { device.synchronize(); }, {.total_seconds = sweep.seconds}));
}

// Of two steps from an empty cache: the first makes the gradients.
void measure_memory(ScalingPoint& point, const Sweep& sweep, const Device& device) {
  trim_memory(device);
  Profiler profiler;
  {
    const bench::TrainingTask task =
        bench::scaling_workload(sweep.workload, point.batch, point.width, point.depth).make();
    for (int i = 0; i < 2; ++i) task.step();
    device.synchronize();
  }
  const Profile profile = profiler.stop();
  const MemoryProfile& memory = profile.device(device.name()).memory;
  point.at_peak = memory.at_peak;
  point.peak_bytes = memory.peak_bytes;
  point.peak_reserved = memory.peak_reserved;
}

// The points of one net, which differ in their batch.
Points of_net(const Points& points, const ScalingPoint& like) {
  Points out;
  for (const ScalingPoint& p : points)
    if (p.device == like.device && p.width == like.width && p.depth == like.depth &&
        p.threads == like.threads)
      out.push_back(p);
  return out;
}

// Of the two batches of a net that lie nearest to `batch` and are not it: which tensors make the
// peak changes with the batch, so the line bends where that happens.
MemoryFit fit_near(Points net, int64_t batch) {
  std::erase_if(net, [&](const ScalingPoint& p) { return p.batch == batch; });
  const auto distance = [&](const ScalingPoint& p) {
    return std::abs(std::log(static_cast<double>(p.batch) / static_cast<double>(batch)));
  };
  std::stable_sort(net.begin(), net.end(), [&](const ScalingPoint& p, const ScalingPoint& q) {
    return distance(p) < distance(q);
  });
  return fit_memory({{net[0].batch, net[0].at_peak}, {net[1].batch, net[1].at_peak}});
}

void compare_points(Points& points) {
  const auto throughput = [&](const ScalingPoint& like, int64_t batch) {
    for (const ScalingPoint& p : points)
      if (p.device == like.device && p.width == like.width && p.depth == like.depth &&
          p.batch == batch && p.threads == 1)
        return p.samples_per_second();
    return 0.0;
  };
  for (ScalingPoint& p : points) {
    const double ideal = static_cast<double>(p.threads);
    p.efficiency = p.samples_per_second() / (ideal * throughput(p, p.batch));
    const double weak = p.batch % p.threads ? 0 : throughput(p, p.batch / p.threads);
    if (weak > 0) p.weak_efficiency = p.samples_per_second() / (ideal * weak);
    p.predicted_peak_bytes = total(fit_near(of_net(points, p), p.batch).predict(p.batch));
  }
}

Points run_sweep(const Sweep& sweep, const std::string& name) {
  const Device device(name);
  const DeviceGuard on(device);
  const bool threaded = device.backend() == "cpu";
  Points points;
  for (const int64_t width : sweep.widths)
    for (const int64_t depth : sweep.depths)
      for (const int64_t threads : threaded ? sweep.threads : std::vector<int64_t>{1})
        for (const int64_t batch : sweep.batches) {
          ScalingPoint point{
              .device = name, .batch = batch, .width = width, .depth = depth, .threads = threads};
          set_num_threads(static_cast<int>(threads));
          manual_seed(1);
          measure_time(point, sweep, device);
          measure_memory(point, sweep, device);
          points.push_back(point);
        }
  compare_points(points);
  return points;
}

class LimitGuard {
 public:
  LimitGuard(const Device& device, int64_t bytes) : device_(device) {
    trim_memory(device);
    set_memory_limit(device, static_cast<size_t>(bytes));
  }
  ~LimitGuard() { set_memory_limit(device_, 0); }
  LimitGuard(const LimitGuard&) = delete;
  LimitGuard& operator=(const LimitGuard&) = delete;

 private:
  Device device_;
};

// Does a batch run under the limit? Then `point` has its memory.
bool runs(ScalingPoint& point, int64_t batch, const Sweep& sweep, const Device& device,
          int64_t limit) {
  const LimitGuard guard(device, limit);
  point.batch = batch;
  try {
    measure_memory(point, sweep, device);
    return true;
  } catch (const OutOfMemoryError&) {
    return false;
  }
}

// Of the largest net. The limit is on what is taken from the system, the fit on what is asked for:
// their ratio at the largest batch measured stands between the two.
LargestBatch find_largest(const Sweep& sweep, const Points& points) {
  const Device device(points.front().device);
  const DeviceGuard on(device);
  ScalingPoint point = points.back();
  const Points net = of_net(points, point);
  for (const ScalingPoint& p : net)
    if (p.peak_bytes > point.peak_bytes) point = p;
  LargestBatch out{
      .device = point.device, .width = point.width, .depth = point.depth, .threads = point.threads};
  out.limit_bytes = sweep.limit_bytes ? sweep.limit_bytes : 4 * point.peak_reserved;
  out.fit = fit_near(net, point.batch + 1);
  const double asked_share =
      static_cast<double>(point.peak_bytes) / static_cast<double>(point.peak_reserved);
  out.batch = out.fit.largest_batch(
      static_cast<int64_t>(static_cast<double>(out.limit_bytes) * std::min(asked_share, 1.0)));
  if (out.batch < 1) return out;
  out.predicted_peak_bytes = total(out.fit.predict(out.batch));
  out.fits = runs(point, out.batch, sweep, device, out.limit_bytes);
  if (out.fits) out.peak_bytes = point.peak_bytes;
  out.beyond = out.batch + out.batch / 4 + 1;
  out.beyond_fits = runs(point, out.beyond, sweep, device, out.limit_bytes);
  return out;
}

std::string row(const ScalingPoint& p) {
  bench::JsonLine line;
  line.text("device", p.device).bytes("batch", p.batch).bytes("width", p.width);
  line.bytes("depth", p.depth).bytes("threads", p.threads);
  line.number("step_seconds", p.step_seconds).number("samples_per_second", p.samples_per_second());
  line.number("efficiency", p.efficiency).bytes("peak_bytes", p.peak_bytes);
  line.bytes("predicted_peak_bytes", p.predicted_peak_bytes);
  if (p.weak_efficiency > 0) line.number("weak_efficiency", p.weak_efficiency);
  return line.str();
}

std::string row(const LargestBatch& l) {
  bench::JsonLine line;
  line.text("device", l.device).bytes("width", l.width).bytes("depth", l.depth);
  line.bytes("threads", l.threads).bytes("limit_bytes", l.limit_bytes);
  line.bytes("largest_batch", l.batch).json("fits", l.fits ? "true" : "false");
  line.bytes("peak_bytes", l.peak_bytes).bytes("predicted_peak_bytes", l.predicted_peak_bytes);
  line.bytes("beyond_batch", l.beyond).json("beyond_fits", l.beyond_fits ? "true" : "false");
  return line.str();
}

Sweep sweep_of(const bench::Arguments& arguments) {
  Sweep sweep{.workload = arguments.text("--workload"),
              .batches = arguments.numbers("--batches", 1, 1 << 24),
              .widths = arguments.numbers("--widths", 1, 1 << 16),
              .depths = arguments.numbers("--depths", 1, 1000),
              .threads = arguments.numbers("--threads", 1, 4096),
              .seconds = arguments.seconds("--seconds"),
              .limit_bytes = arguments.number("--limit", 0, int64_t{1} << 30) << 20};
  for (std::vector<int64_t>* list : {&sweep.batches, &sweep.threads}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  if (sweep.batches.size() < 3)
    throw ValueError("[--batches] needed are three or more: two predict the third");
  if (sweep.threads.front() != 1)
    throw ValueError("[--threads] needed is 1 too: efficiency is relative to it");
  bench::scaling_workload(sweep.workload, 1, 1, 1);  // is the name known?
  return sweep;
}

int run(const bench::Arguments& arguments) {
  const Sweep sweep = sweep_of(arguments);
  const std::vector<std::string> devices = arguments.list("--devices");
  for (const std::string& name : devices) Device{name};  // all are usable, before any runs
  const std::string folder = arguments.text("--out"), json = arguments.text("--json");
  if (!folder.empty()) std::filesystem::create_directories(folder);

  Points all;
  std::vector<LargestBatch> largest;
  for (const std::string& name : devices) {
    const Points points = run_sweep(sweep, name);
    largest.push_back(find_largest(sweep, points));
    all.insert(all.end(), points.begin(), points.end());
  }
  std::string rows, found;
  for (const ScalingPoint& p : all) rows += row(p) + '\n';
  for (const LargestBatch& l : largest) found += row(l) + '\n';
  std::cout << (json.empty() ? rows : "") << found;
  if (!json.empty()) report::write(json, rows);
  if (!folder.empty()) bench::write_scaling_page(folder, sweep.workload, all, largest);
  for (const LargestBatch& l : largest)
    if (!l.fits) return 1;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(
      argc, argv,
      "throughput, efficiency and memory over batch x width x depth x threads.\nRows are JSON "
      "lines; the last ones, on standard output, say which largest batch was predicted under\nthe "
      "limit and whether it ran. With --out DIR also DIR/report.html and plots as SVG files. Exit "
      "status: 0;\n1 if a run failed or the predicted batch did not fit; 2 for bad arguments.",
      {{"--devices", "D,...", "cpu", "cpu, reference, cuda, or names of plugins"},
       {"--workload", "NAME", "mlp", "mlp or cnn"},
       {"--batches", "N,...", "128,256,512,1024", "three or more: two predict the next"},
       {"--widths", "N,...", "128,256", "units or channels of a layer"},
       {"--depths", "N,...", "2,4", "layers before the last"},
       {"--threads", "N,...", "1,2", "of the CPU backend; other devices run once"},
       {"--seconds", "S", "0.3", "timing of each point"},
       {"--limit", "MIB", "0", "for the largest batch; 0: four times the largest measured"},
       {"--json", "FILE", "", "write the rows to FILE instead of standard output"},
       {"--out", "DIR", "", "folder of the page; made if it is not there"}},
      run);
}
