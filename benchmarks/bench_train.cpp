// Training steps of whole models: the workloads that benchmarks/peers measure in PyTorch and
// libtorch, net for net. A step is zero_grad, forward, loss, backward and optimizer; the phases are
// measured apart as well, and the allocator's work.
#include <tinytorch/tinytorch.h>

#include <memory>

#include "benchmarks/driver.h"
#include "examples/models/gpt.h"
#include "examples/models/resnet.h"

namespace {

using namespace tinytorch;
using bench::Reporter;

enum class Rule : uint8_t { sgd, adam };

struct Task {
  std::unique_ptr<Module> net;
  Tensor x, y;
  std::unique_ptr<Loss> loss;
  std::unique_ptr<Optimizer> optimizer;
};

Sequential perceptron(const std::vector<int64_t>& widths, Sequential net = Sequential()) {
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    if (i) net.push_back(ReLU());
    net.push_back(Linear(widths[i], widths[i + 1]));
  }
  return net;
}

template <class Net>
std::unique_ptr<Module> owned(Net net) {
  return std::make_unique<Net>(std::move(net));
}

template <class Net>
Task classifier(Net net, const Shape& input, int64_t classes) {
  return {owned(std::move(net)), randn(input), randint(0, classes, {input[0]}),
          std::make_unique<CrossEntropyLoss>(), nullptr};
}

Task xor_task() {
  return {owned(Sequential{Linear(2, 8), Tanh(), Linear(8, 1), Sigmoid()}),
          tensor<float>({{0, 0}, {0, 1}, {1, 0}, {1, 1}}), tensor<float>({{0}, {1}, {1}, {0}}),
          std::make_unique<MSELoss>(), nullptr};
}

Task seed_cnn() {
  return classifier(Sequential{Conv2d(1, 8, 3), ReLU(), MaxPool2d(2), Conv2d(8, 16, 2), ReLU(),
                               Flatten(), Linear(64, 3)},
                    {32, 1, 8, 8}, 3);
}

Task large_mlp() { return classifier(perceptron({512, 1024, 512, 256, 10}), {128, 512}, 10); }

Task lenet5() {
  Sequential net{Conv2d(1, 6, 5, {.padding = 2}),
                 ReLU(),
                 MaxPool2d(2),
                 Conv2d(6, 16, 5),
                 ReLU(),
                 MaxPool2d(2),
                 Flatten()};
  return classifier(perceptron({400, 120, 84, 10}, std::move(net)), {64, 1, 28, 28}, 10);
}

Task mnist_cnn() {
  return classifier(
      Sequential{Conv2d(1, 32, 3), ReLU(), Conv2d(32, 64, 3), ReLU(), MaxPool2d(2), Dropout(0.25),
                 Flatten(), Linear(9216, 128), ReLU(), Dropout(0.5), Linear(128, 10)},
      {64, 1, 28, 28}, 10);
}

Task resnet18() { return classifier(models::ResNet18(10), {32, 3, 32, 32}, 10); }

Task gpt() {
  constexpr int64_t kTokens = 512, kBatch = 8, kLength = 128;
  models::Gpt net({.tokens = kTokens, .context = kLength, .width = 256, .heads = 8, .layers = 4});
  return {owned(std::move(net)), randint(0, kTokens, {kBatch, kLength}),
          randint(0, kTokens, {kBatch * kLength}), std::make_unique<CrossEntropyLoss>(), nullptr};
}

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
  OpTable table;
  {
    const Subscription subscription(table);
    step();
  }
  double flops = 0, bytes = 0, calls = 0;
  for (const OpTable::Row& row : table.rows()) {
    flops += row.flops;
    bytes += row.bytes;
    calls += static_cast<double>(row.calls);
  }
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

void train(const std::string& name, Task (*make)(), Rule rule, const Device& device,
           const Reporter& report) {
  const DeviceGuard on(device);
  manual_seed(1);
  Task task = make();
  if (rule == Rule::adam)
    task.optimizer = std::make_unique<Adam>(task.net->parameters(), 1e-3);
  else
    task.optimizer = std::make_unique<SGD>(task.net->parameters(), 0.01);
  const auto finish = [&] { device.synchronize(); };
  const auto objective = [&] { return (*task.loss)((*task.net)(task.x), task.y); };
  const auto step = [&] {
    task.optimizer->zero_grad();
    objective().backward();
    task.optimizer->step();
  };
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

bench::Workload workload(const char* name, Task (*make)(), Rule rule) {
  return {name,
          [=](const Device& device, const Reporter& report) {
            train(name, make, rule, device, report);
          },
          true};
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_benchmarks(
      argc, argv, "times training steps of whole models",
      {workload("xor_sgd", xor_task, Rule::sgd), workload("xor_adam", xor_task, Rule::adam),
       workload("seed_cnn_b32_sgd", seed_cnn, Rule::sgd),
       workload("mlp_large_b128_sgd", large_mlp, Rule::sgd),
       workload("mlp_large_b128_adam", large_mlp, Rule::adam),
       workload("lenet5_b64_sgd", lenet5, Rule::sgd),
       workload("mnist_cnn_b64_sgd", mnist_cnn, Rule::sgd),
       workload("resnet18_cifar_b32_sgd", resnet18, Rule::sgd),
       workload("gpt_4l_d256_t128_b8_adam", gpt, Rule::adam)});
}
