// Part 3: convolutional nets on striped images, on handwritten digits and on MNIST. The gradient of
// every convolution weight is compared with finite differences: a net whose last layer alone learns
// would pass every other rule.
#include "examples/validate/datasets.h"
#include "examples/validate/gradient_check.h"
#include "examples/validate/measure.h"
#include "examples/validate/nets.h"
#include "examples/validate/training.h"

namespace validate {

using namespace tinytorch;

namespace {

// What Adam's training cannot do without: a parameter, its gradient and two moments, and the data
// that the part made.
int64_t floor_of(const Module& net, const std::vector<Tensor>& own_data) {
  constexpr int kCopies = 4;
  return kCopies * bytes_of(net.parameters()) + bytes_of(own_data);
}

std::vector<Tensor> tensors_of(const Split& data) {
  return {data.train.x(), data.train.y(), data.test.x(), data.test.y()};
}

PartResult stripes_seed(const Context& context, uint64_t seed) {
  constexpr double kLeastFall = 0.2, kLeastAccuracy = 0.8;
  const DeviceGuard on(context.device);
  const Generator generator(seed, context.device);
  const MemoryMeter memory(context.device);
  const Split data = striped_images(generator);
  const TensorDataset train(data.train.x(), one_hot(data.train.y(), 3));
  Sequential net = stripes_net(generator);

  PartResult result;
  if (seed == 1) {
    context.progress("finite differences");
    check_conv_gradients(net, train.range(0, 6), result);
  }
  memory.restart();
  Adam optimizer(net.parameters(), 0.01);
  MeanSquaredError loss;
  const std::vector<double> history = fit(net, loss, optimizer, train, {.epochs = 8, .batch = 16});
  result.peak_bytes = memory.peak();
  result.stable_bytes = memory.live();
  std::vector<Tensor> own_data = tensors_of(data);
  own_data.push_back(train.y());
  result.floor_bytes = floor_of(net, own_data);
  result.initial_loss = history.front();
  result.final_loss = history.back();
  result.losses = history;
  result.accuracy = class_accuracy(predict(net, data.train.x()), data.train.y());
  result.held_out_accuracy = class_accuracy(predict(net, data.test.x()), data.test.y());

  const double fallen = 1 - history.back() / history.front();
  result.require(fallen > kLeastFall, "the loss must fall by more than " + percent(kLeastFall) +
                                          ", it fell by " + percent(fallen));
  for (const double accuracy : {*result.accuracy, *result.held_out_accuracy})
    result.require(accuracy > kLeastAccuracy, "accuracy must exceed " + percent(kLeastAccuracy) +
                                                  ", it is " + percent(accuracy));
  return result;
}

// Trains with cross-entropy and Adam, with a tenth of the rate in the last epochs.
PartResult train_classifier(const Context& context, Sequential& net, const Split& data,
                            const MemoryMeter& memory, double rate, const Training& wanted,
                            double least_accuracy) {
  memory.restart();
  Training training = wanted;
  training.shuffle = true;
  training.seed = 1;
  training.before_epoch = [&](int epoch) {
    context.progress("epoch " + std::to_string(epoch + 1) + " of " + std::to_string(wanted.epochs));
  };
  Adam optimizer(net.parameters(), rate);
  CrossEntropyLoss loss;
  const std::vector<double> history = fit(net, loss, optimizer, data.train, training);

  PartResult result;
  result.peak_bytes = memory.peak();
  result.stable_bytes = memory.live();
  result.initial_loss = history.front();
  result.final_loss = history.back();
  result.losses = history;
  result.accuracy = class_accuracy(predict(net, data.train.x()), data.train.y());
  result.held_out_accuracy = class_accuracy(predict(net, data.test.x()), data.test.y());
  result.require(*result.held_out_accuracy >= least_accuracy,
                 "held-out accuracy must be at least " + percent(least_accuracy) + ", it is " +
                     percent(*result.held_out_accuracy));
  return result;
}

}  // namespace

PartResult cnn_stripes(const Context& context) {
  return over_seeds(context, 1, [&](uint64_t seed) { return stripes_seed(context, seed); });
}

PartResult cnn_digits(const Context& context) {
  const DeviceGuard on(context.device);
  const GeneratorGuard random(Generator(1, context.device));
  const MemoryMeter memory(context.device);
  const Split data = digits(context.device);
  Sequential net = digits_net();
  PartResult result = train_classifier(context, net, data, memory, 4e-3,
                                       {.epochs = 10, .batch = 32, .cooled_epochs = 3}, 0.97);
  result.floor_bytes = floor_of(net, tensors_of(data));
  return result;
}

PartResult cnn_mnist(const Context& context) {
  constexpr int64_t kTrain = 8000;
  constexpr double kMostSeconds = 60;
  const Stopwatch watch;
  const DeviceGuard on(context.device);
  const GeneratorGuard random(Generator(1, context.device));
  const MemoryMeter memory(context.device);
  const auto part = [&](int64_t start, int64_t count) {
    const TensorDataset rows = context.mnist->subset(start, count);
    return TensorDataset(rows.x().to(context.device), rows.y().to(context.device));
  };
  const Split data{part(0, kTrain), part(kTrain, context.mnist->size() - kTrain)};
  Sequential net = mnist_net();
  PartResult result = train_classifier(context, net, data, memory, 4e-3,
                                       {.epochs = 4, .batch = 64, .cooled_epochs = 1}, 0.96);
  // On the CPU the images were there before the part.
  const bool own = context.device != context.mnist->device();
  result.floor_bytes = floor_of(net, own ? tensors_of(data) : std::vector<Tensor>());
  result.require(!meant_for_speed(context.device) || watch.seconds() < kMostSeconds,
                 "must take less than 60 s, it took " + number(watch.seconds(), 1) + " s");
  return result;
}

}  // namespace validate
