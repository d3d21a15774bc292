// Parts 1 and 2: XOR with a 2-8-4-1 net, by SGD and by Adam.
#include "examples/validate/datasets.h"
#include "examples/validate/measure.h"
#include "examples/validate/nets.h"
#include "examples/validate/training.h"

#include <memory>

namespace validate {

using namespace tinytorch;

namespace {

struct Task {
  int epochs;
  int copies;  // floats that a parameter needs: itself, its gradient, the optimizer's state
  double least_fall, least_accuracy, least_seeds;
  std::unique_ptr<Optimizer> (*optimizer)(const std::vector<Tensor>& parameters);
};

PartResult run_seed(const Context& context, const Task& task, uint64_t seed) {
  const DeviceGuard on(context.device);
  const Generator generator(seed, context.device);
  const MemoryMeter memory(context.device);
  const Split data = xor_points(generator);
  memory.restart();

  Sequential net = xor_net(generator);
  const auto optimizer = task.optimizer(net.parameters());
  MeanSquaredError loss;
  const std::vector<double> history =
      fit(net, loss, *optimizer, data.train, {.epochs = task.epochs, .batch = 32});

  PartResult result;
  result.peak_bytes = memory.peak();
  result.stable_bytes = memory.live();
  result.floor_bytes = task.copies * bytes_of(net.parameters()) +
                       bytes_of({data.train.x(), data.train.y(), data.test.x(), data.test.y()});
  result.initial_loss = history.front();
  result.final_loss = history.back();
  result.losses = history;
  result.accuracy = binary_accuracy(predict(net, data.train.x()), data.train.y());
  result.held_out_accuracy = binary_accuracy(predict(net, data.test.x()), data.test.y());

  const double fallen = 1 - history.back() / history.front();
  result.require(fallen > task.least_fall, "the loss must fall by more than " +
                                               percent(task.least_fall) + ", it fell by " +
                                               percent(fallen));
  result.require(*result.held_out_accuracy > task.least_accuracy,
                 "held-out accuracy must exceed " + percent(task.least_accuracy) + ", it is " +
                     percent(*result.held_out_accuracy));
  return result;
}

PartResult run(const Context& context, const Task& task) {
  return over_seeds(context, task.least_seeds,
                    [&](uint64_t seed) { return run_seed(context, task, seed); });
}

}  // namespace

PartResult xor_sgd(const Context& context) {
  return run(context,
             {.epochs = 20,
              .copies = 2,
              .least_fall = 0.3,
              .least_accuracy = 0.7,
              .least_seeds = 0.8,
              .optimizer = [](const std::vector<Tensor>& parameters) -> std::unique_ptr<Optimizer> {
                return std::make_unique<SGD>(parameters, 1.0);
              }});
}

PartResult xor_adam(const Context& context) {
  return run(context,
             {.epochs = 15,
              .copies = 4,
              .least_fall = 0.5,
              .least_accuracy = 0.8,
              .least_seeds = 0.725,
              .optimizer = [](const std::vector<Tensor>& parameters) -> std::unique_ptr<Optimizer> {
                return std::make_unique<Adam>(parameters, 0.01);
              }});
}

}  // namespace validate
