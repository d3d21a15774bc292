// Parts 7, 8 and 9: parameters and bytes are what the shapes say, a large net trains fast and
// within its memory, and nothing is left.
#include "examples/validate/measure.h"
#include "examples/validate/training.h"

#include <set>

namespace validate {

using namespace tinytorch;

namespace {

constexpr double kMiB = 1 << 20;

int64_t parameter_count(const Module& net) {
  int64_t count = 0;
  for (const Tensor& p : net.parameters()) count += p.numel();
  return count;
}

struct Load {
  std::vector<double> losses;
  double seconds;
  int64_t peak, stable, floor, parameters;
};

// Part 8's training: five steps of Adam on one batch of noise.
Load train_large(const Device& device) {
  constexpr int kSteps = 5;
  constexpr int64_t kBatch = 128;
  const Generator generator(1, device);
  const GeneratorGuard random(generator);
  const MemoryMeter memory(device);
  const Tensor x = randn({kBatch, 512}), y = randn({kBatch, 10});
  Sequential net{Linear(512, 1024), ReLU(), Linear(1024, 512), ReLU(),
                 Linear(512, 256),  ReLU(), Linear(256, 10)};
  Adam optimizer(net.parameters(), 1e-3);
  MeanSquaredError loss;
  memory.restart();

  Load load;
  const Stopwatch watch;
  load.losses = fit(net, loss, optimizer, TensorDataset(x, y), {.epochs = kSteps, .batch = kBatch});
  device.synchronize();
  load.seconds = watch.seconds();
  load.peak = memory.peak();
  load.stable = memory.live();
  load.floor = 4 * bytes_of(net.parameters()) + bytes_of({x, y});
  load.parameters = parameter_count(net);
  return load;
}

}  // namespace

PartResult insight(const Context& context) {
  constexpr int64_t kBatch = 64, kParameters = 41310;
  constexpr int64_t kActivations = kBatch * (200 + 100 + 10) * 4;
  const DeviceGuard on(context.device);
  const GeneratorGuard random(Generator(1, context.device));
  const MemoryMeter memory(context.device);
  Sequential net{Linear(100, 200), ReLU(), Linear(200, 100), ReLU(), Linear(100, 10)};
  const int64_t of_model = memory.live();
  const Tensor x = randn({kBatch, 100}), y = randn({kBatch, 10});
  memory.restart();
  mse_loss(net(x), y).backward();

  PartResult result;
  const int64_t counted = parameter_count(net), estimated = 4 * counted;
  result.peak_bytes = memory.peak();
  result.stable_bytes = memory.live();
  result.floor_bytes = 2 * estimated + bytes_of({x, y});
  result.require(counted == kParameters,
                 "41310 parameters wanted, " + std::to_string(counted) + " counted");
  result.require(of_model == estimated, "the model must take " + std::to_string(estimated) +
                                            " B, it takes " + std::to_string(of_model));
  result.require(*result.stable_bytes == *result.floor_bytes,
                 "parameters, gradients and data must take " + std::to_string(*result.floor_bytes) +
                     " B, they take " + std::to_string(*result.stable_bytes));
  // Each activation and its gradient at once would be the worst order of freeing.
  const int64_t most = *result.floor_bytes + 2 * 2 * kActivations;
  result.require(*result.peak_bytes <= most, "the peak must be at most " + std::to_string(most) +
                                                 " B, it is " + std::to_string(*result.peak_bytes));
  result.notes.push_back(std::to_string(counted) + " parameters: " + mib(estimated, 2) +
                         " MiB estimated, " + mib(of_model, 2) + " measured; after one backward " +
                         mib(*result.stable_bytes) + " MiB stay");
  return result;
}

PartResult under_load(const Context& context) {
  constexpr double kMostSeconds = 10, kMostMiB = 20.1;
  constexpr int64_t kParameters = 1184010;
  const DeviceGuard on(context.device);
  const Load load = train_large(context.device);
  PartResult result;
  result.initial_loss = load.losses.front();
  result.final_loss = load.losses.back();
  result.losses = load.losses;
  result.peak_bytes = load.peak;
  result.stable_bytes = load.stable;
  result.floor_bytes = load.floor;
  result.require(load.parameters == kParameters,
                 "1184010 parameters wanted, " + std::to_string(load.parameters) + " counted");
  result.require(load.losses.back() < load.losses.front(), "the loss must fall");
  const bool limited = meant_for_speed(context.device);
  result.require(!limited || load.seconds < kMostSeconds,
                 "must take less than 10 s, it took " + number(load.seconds, 1) + " s");
  result.require(!limited || static_cast<double>(load.peak) <= kMostMiB * kMiB,
                 "the live peak must be at most 20.1 MiB, it is " + mib(load.peak) + " MiB");
  result.notes.push_back("five steps in " + number(load.seconds, 3) + " s; live peak " +
                         mib(load.peak, 2) + " MiB, after it " + mib(load.stable, 2) +
                         " MiB; the shapes make " + mib(load.floor, 2) + " MiB unavoidable");
  return result;
}

PartResult memory_consistency(const Context& context) {
  constexpr int kRounds = 3;
  constexpr double kMostGrowth = 1.5;
  const DeviceGuard on(context.device);
  const MemoryMeter memory(context.device);
  PartResult result;
  std::vector<int64_t> peaks, stable, left;
  for (int round = 0; round < kRounds; ++round) {
    context.progress("round " + std::to_string(round + 1) + " of " + std::to_string(kRounds));
    const Load load = train_large(context.device);
    peaks.push_back(load.peak);
    stable.push_back(load.stable);
    left.push_back(memory.live());
    result.peak_bytes = load.peak;
    result.stable_bytes = load.stable;
    result.floor_bytes = load.floor;
  }
  result.require(std::set(stable.begin(), stable.end()).size() == 1,
                 "live bytes with model and optimizer must be equal after every round");
  for (const int64_t bytes : left)
    result.require(bytes == 0, std::to_string(bytes) + " B are left when a round is over");
  result.require(
      static_cast<double>(peaks.back()) < kMostGrowth * static_cast<double>(peaks.front()),
      "the last peak must be less than 1.5 times the first");
  result.notes.push_back("three rounds: peaks " + mib(peaks[0], 2) + ", " + mib(peaks[1], 2) +
                         ", " + mib(peaks[2], 2) + " MiB, live in each " +
                         std::to_string(stable[0]) + " B, left afterwards " +
                         std::to_string(left.back()) + " B");
  return result;
}

}  // namespace validate
