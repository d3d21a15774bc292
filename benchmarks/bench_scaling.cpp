// Sweeps batch x width x depth x threads of one net on one device or more: throughput, efficiency
// and memory, beside the peak that predict_memory says before anything runs. The largest batch that
// it allows under a limit of memory is then run under that limit, and so are its neighbours.
#include <tinytorch/tinytorch.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <optional>

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
  double seconds;  // of timing, for each point and pass
  int64_t passes;
  int64_t limit_bytes;  // 0: four times the largest peak
};

bench::TrainingWorkload workload(const Sweep& sweep, const ScalingPoint& of) {
  return bench::scaling_workload(sweep.workload, of.batch, of.width, of.depth);
}

double measure_time(const ScalingPoint& point, const Sweep& sweep, const Device& device) {
  const bench::TrainingTask task = workload(sweep, point).make();
  return bench::median(bench::measure([&] { task.step(); }, [&] { device.synchronize(); },
                                      {.total_seconds = sweep.seconds}));
}

// Of two steps from an empty cache: the first makes the gradients.
void measure_memory(ScalingPoint& point, const Sweep& sweep, const Device& device) {
  trim_memory(device);
  Profiler profiler;
  {
    const bench::TrainingTask task = workload(sweep, point).make();
    for (int i = 0; i < 2; ++i) task.step();
    device.synchronize();
  }
  const Profile profile = profiler.stop();
  const MemoryProfile& memory = profile.device(device.name()).memory;
  point.at_peak = memory.at_peak;
  point.peak_bytes = memory.peak_bytes;
  point.peak_reserved = memory.peak_reserved;
}

// Says the peaks of one net on as many threads as are set now.
class Prediction {
 public:
  Prediction(const Sweep& sweep, const ScalingPoint& net)
      : workload_(bench::scaling_workload(sweep.workload, 1, net.width, net.depth)),
        task_(workload_.model_and_data()) {}

  int64_t peak(int64_t batch) const {
    return bench::predict_steps(task_, workload_.optimizer, batch).peak_bytes;
  }

 private:
  bench::TrainingWorkload workload_;
  bench::TrainingTask task_;
};

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
          point.predicted_peak_bytes = Prediction(sweep, point).peak(batch);
          measure_memory(point, sweep, device);
          points.push_back(point);
        }
  for (int64_t pass = 0; pass < sweep.passes; ++pass)
    for (ScalingPoint& point : points) {
      set_num_threads(static_cast<int>(point.threads));
      const double seconds = measure_time(point, sweep, device);
      if (pass == 0 || seconds < point.step_seconds) point.step_seconds = seconds;
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

// The memory of a batch under the limit; nothing if it does not run.
std::optional<ScalingPoint> run_limited(ScalingPoint point, int64_t batch, const Sweep& sweep,
                                        const Device& device, int64_t limit) {
  const LimitGuard guard(device, limit);
  point.batch = batch;
  try {
    measure_memory(point, sweep, device);
    return point;
  } catch (const OutOfMemoryError&) {
    return {};
  }
}

// One that does and whose next does not, by halves between such two: peaks need not grow with every
// sample, since kernels choose how they work.
template <class Fits>
int64_t last_between(int64_t does, int64_t does_not, const Fits& fits) {
  while (does_not - does > 1) {
    const int64_t middle = does + (does_not - does) / 2;
    (fits(middle) ? does : does_not) = middle;
  }
  return does;
}

// Allocators round a block up, by an eighth at most, and take pieces of the system's memory that no
// block fills, here as many as in the sweep.
void predict_largest(LargestBatch& out, const Sweep& sweep) {
  const Prediction prediction(sweep, out.net);
  const int64_t unfilled = out.net.peak_reserved - out.net.peak_bytes;
  const auto lives = [&](int64_t batch) { return prediction.peak(batch) <= out.limit_bytes; };
  const auto fits = [&](int64_t batch) {
    const int64_t peak = prediction.peak(batch);
    return peak + peak / 8 + unfilled <= out.limit_bytes;
  };
  int64_t beyond = 1;
  while (lives(beyond)) beyond *= 2;
  out.too_large = last_between(beyond / 2, beyond, lives) + 1;
  out.predicted = last_between(0, out.too_large, fits);
}

// Of the largest net on the most threads.
LargestBatch find_largest(const Sweep& sweep, const Points& points) {
  const Device device(points.front().device);
  const DeviceGuard on(device);
  LargestBatch out{.net = points.back()};
  set_num_threads(static_cast<int>(out.net.threads));
  out.limit_bytes = sweep.limit_bytes ? sweep.limit_bytes : 4 * out.net.peak_reserved;
  trim_memory(device);  // what stays, such as a random state's segment, was taken already
  out.limit_bytes = std::max(out.limit_bytes, memory_stats(device).reserved);
  predict_largest(out, sweep);
  const auto runs = [&](int64_t batch) {
    const auto point = run_limited(out.net, batch, sweep, device, out.limit_bytes);
    if (point && batch > out.largest) {
      out.largest = batch;
      out.peak_bytes = point->peak_bytes;
    }
    return point.has_value();
  };
  out.predicted_ran = out.predicted > 0 && runs(out.predicted);
  out.too_large_ran = runs(out.too_large);
  if (!out.too_large_ran) last_between(out.largest, out.too_large, runs);
  if (out.largest) out.predicted_peak_bytes = Prediction(sweep, out.net).peak(out.largest);
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

double tenths(double value) { return std::round(10 * value) / 10 + 0.0; }  // and no -0

std::string truth(bool value) { return value ? "true" : "false"; }

std::string row(const LargestBatch& l, const bench::PeakFit& fit) {
  bench::JsonLine line, categories;
  for (size_t c = 0; c < kCategoryCount; ++c) {
    if (fit.line.a[c] == 0 && fit.line.b[c] == 0) continue;
    bench::JsonLine category;
    category.number("fixed_bytes", tenths(fit.line.a[c]), "%.15g");
    category.number("bytes_per_sample", tenths(fit.line.b[c]), "%.15g");
    category.bytes("residual_bytes", fit.residual[c]);
    categories.json(name_of(static_cast<Category>(c)), category.str());
  }
  line.text("device", l.net.device).bytes("width", l.net.width).bytes("depth", l.net.depth);
  line.bytes("threads", l.net.threads).json("fit", categories.str());
  line.bytes("limit_bytes", l.limit_bytes).bytes("predicted_batch", l.predicted);
  line.json("predicted_ran", truth(l.predicted_ran)).bytes("largest_batch", l.largest);
  line.bytes("peak_bytes", l.peak_bytes).bytes("predicted_peak_bytes", l.predicted_peak_bytes);
  line.bytes("too_large_batch", l.too_large).json("too_large_ran", truth(l.too_large_ran));
  return line.str();
}

Sweep sweep_of(const bench::Arguments& arguments) {
  Sweep sweep{.workload = arguments.text("--workload"),
              .batches = arguments.numbers("--batches", 1, 1 << 24),
              .widths = arguments.numbers("--widths", 1, 1 << 16),
              .depths = arguments.numbers("--depths", 1, 1000),
              .threads = arguments.numbers("--threads", 1, 4096),
              .seconds = arguments.seconds("--seconds"),
              .passes = arguments.number("--passes", 1, 1000),
              .limit_bytes = arguments.number("--limit", 0, int64_t{1} << 30) << 20};
  for (auto* list : {&sweep.batches, &sweep.widths, &sweep.depths, &sweep.threads}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  if (sweep.batches.size() < 2)
    throw ValueError("[--batches] needed are two or more: a line is fitted to them");
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
  if (!json.empty()) report::write(json, "");  // can it be written?

  Points all;
  std::vector<LargestBatch> largest;
  for (const std::string& name : devices) {
    const Points points = run_sweep(sweep, name);
    largest.push_back(find_largest(sweep, points));
    all.insert(all.end(), points.begin(), points.end());
  }
  std::string rows, found;
  for (const ScalingPoint& p : all) rows += row(p) + '\n';
  bool as_predicted = true;
  for (const LargestBatch& l : largest) {
    found += row(l, bench::PeakFit(bench::of_net(all, l.net))) + '\n';
    as_predicted &= (l.predicted_ran || !l.predicted) && !l.too_large_ran;
  }
  std::cout << (json.empty() ? rows : "") << found;
  if (!json.empty()) report::write(json, rows);
  if (!folder.empty()) bench::write_scaling_page(folder, sweep.workload, all, largest);
  return as_predicted ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(
      argc, argv,
      "throughput, efficiency and memory over batch x width x depth x threads.\nRows are JSON "
      "lines; the last ones, on standard output, say which largest batch was predicted under\na "
      "limit of memory, whether it ran, and up to which batch others did. With --out DIR also "
      "DIR/report.html\nand plots as SVG files. Exit status: 0; 1 if a run failed, the predicted "
      "batch did not run, or one did\nthat was predicted not to; 2 for bad arguments.",
      {bench::kDevicesFlag,
       {"--workload", "NAME", "mlp", "mlp or cnn"},
       {"--batches", "N,...", "128,256,512,1024", "two or more: a line is fitted to their peaks"},
       {"--widths", "N,...", "128,256", "units or channels of a layer"},
       {"--depths", "N,...", "2,4", "layers before the last"},
       {"--threads", "N,...", "1,2", "of the CPU backend; other devices run once"},
       {"--seconds", "S", "0.3", "timing of each point in a pass"},
       {"--passes", "N", "1", "timings of the whole sweep; the fastest of each point counts"},
       {"--limit", "MIB", "0", "for the largest batch; 0: four times the largest measured"},
       bench::kJsonFlag,
       bench::kOutFlag},
      run);
}
