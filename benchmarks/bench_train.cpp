// Training steps of whole models: the workloads that benchmarks/peers measure in PyTorch and
// libtorch, net for net. A step is zero_grad, forward, loss, backward and optimizer; the phases are
// measured apart as well, and the allocator's work.
#include <tinytorch/tinytorch.h>

#include "benchmarks/driver.h"
#include "benchmarks/workloads.h"

namespace {

using namespace tinytorch;
using bench::Reporter;
using bench::TrainingTask;

std::vector<double> measure_backward(const std::function<Tensor()>& objective, const Device& device,
                                     double step_seconds) {
  std::vector<double> samples;
  for (int i = 0, n = std::clamp(static_cast<int>(0.6 / step_seconds), 5, 400); i < n; ++i) {
    const Tensor value = objective();
    device.synchronize();
    const double start = bench::now();
    value.backward();
    device.synchronize();
    samples.push_back(bench::now() - start);
  }
  std::sort(samples.begin(), samples.end());
  return samples;
}

// Live bytes and calls of the allocator in one step, after many: nothing should come from the
// system any more.
void report_memory(const std::string& name, const Device& device, const std::function<void()>& step,
                   const Reporter& report) {
  constexpr double kMiB = 1 << 20;
  device.synchronize();
  reset_peak_memory(device);
  const MemoryStats before = memory_stats(device);
  step();
  device.synchronize();
  const MemoryStats after = memory_stats(device);
  report.facts(
      name, "allocator",
      {{"step_peak_mb", static_cast<double>(after.peak) / kMiB},
       {"live_mb", static_cast<double>(after.in_use) / kMiB},
       {"reserved_mb", static_cast<double>(after.peak_reserved) / kMiB},
       {"allocs_per_step", static_cast<double>(after.allocs - before.allocs)},
       {"raw_allocs_per_step", static_cast<double>(after.raw_allocs - before.raw_allocs)}});
}

// What a step computes and moves by the cost of its rows: the figures for a floor.
void report_work(const std::string& name, const std::function<void()>& step,
                 const Reporter& report) {
  EventLog log;
  {
    const Subscription subscription(log);
    step();
  }
  double flops = 0, bytes = 0, calls = 0;
  log.for_each([&](const Event& e) {
    if (e.kind != EventKind::op) return;
    flops += e.flops;
    bytes += static_cast<double>(e.bytes);
    ++calls;
  });
  report.facts(name, "work", {{"flops", flops}, {"bytes", bytes}, {"kernel_calls", calls}});
}

void train_captured(const std::string& name, const Device& device,
                    const std::function<void()>& step, const Reporter& report) {
  step();  // makes the state that a first step makes
  Graph graph = capture(device, step);
  const auto replay = [&] { graph.replay(); };
  report.times(name, "step",
               bench::measure(replay, [&] { device.synchronize(); }, {.total_seconds = 1.2}),
               {{"launches", static_cast<double>(graph.launches())},
                {"arena_mb", static_cast<double>(graph.arena_bytes()) / (1 << 20)}});
  report_memory(name, device, replay, report);
  report_work(name, replay, report);
}

void train(const std::string& name, const Device& device, const Reporter& report) {
  const DeviceGuard on(device);
  manual_seed(1);
  const TrainingTask task = bench::training_workload(name).make();
  const auto finish = [&] { device.synchronize(); };
  const auto objective = [&] { return task.objective(); };
  const auto step = [&] { task.step(); };
  if (report.captured()) return train_captured(name, device, step, report);
  const auto evaluate = [&] {
    const NoGrad guard;
    (*task.net)(task.x);
  };

  double parameters = 0;
  for (const Tensor& p : task.net->parameters()) parameters += static_cast<double>(p.numel());
  const std::vector<double> steps = bench::measure(step, finish, {.total_seconds = 1.2});
  report.times(name, "step", steps, {{"params", parameters}});
  report.times(name, "forward_eval", bench::measure(evaluate, finish));
  report.times(name, "forward+loss", bench::measure(objective, finish));
  report.times(name, "backward", measure_backward(objective, device, steps[0]));
  report.times(name, "optimizer", bench::measure([&] { task.optimizer->step(); }, finish));
  report_memory(name, device, step, report);
  report_work(name, step, report);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Workload> workloads;
  for (const std::string& name : bench::training_names())
    workloads.push_back(
        {name,
         [name](const Device& device, const Reporter& report) { train(name, device, report); },
         true});
  return bench::run_benchmarks(argc, argv, "times training steps of whole models", workloads);
}
