// Part 3: convolutional nets on striped images, on handwritten digits and on MNIST. The gradient of
// every convolution weight is compared with finite differences: a net whose last layer alone learns
// would pass every other rule.
#include "examples/validate/datasets.h"
#include "examples/validate/gradient_check.h"
#include "examples/validate/measure.h"
#include "examples/validate/training.h"

namespace validate {

using namespace tinytorch;

namespace {

int64_t floor_of(const Module& net, const Split& data, const Tensor& targets) {
  constexpr int kCopies = 4;  // the parameter, its gradient, two moments
  return kCopies * bytes_of(net.parameters()) +
         bytes_of({data.train.x(), data.train.y(), data.test.x(), data.test.y()}) +
         (targets.defined() ? targets.nbytes() : 0);
}

Sequential stripes_net(const Generator& generator) {
  Sequential net{Conv2d(1, 8, 3), ReLU(),    MaxPool2D(2), Conv2d(8, 16, 2),
                 ReLU(),          Flatten(), Linear(64, 3)};
  for (const int layer : {0, 3}) {
    auto& conv = net.at<Conv2d>(layer);
    init::kaiming_normal_(conv.weight,
                          {.nonlinearity = init::Nonlinearity::relu, .generator = generator});
    init::zeros_(conv.bias);
  }
  auto& last = net.at<Linear>(6);
  init::xavier_normal_(last.weight, 1, generator);
  init::zeros_(last.bias);
  return net;
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
  result.floor_bytes = floor_of(net, data, train.y());
  result.initial_loss = history.front();
  result.final_loss = history.back();
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
  result.floor_bytes = floor_of(net, data, {});
  result.initial_loss = history.front();
  result.final_loss = history.back();
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
  Sequential net{Conv2d(1, 16, 3, {.padding = 1}),
                 ReLU(),
                 MaxPool2d(2),
                 Conv2d(16, 32, 3, {.padding = 1}),
                 ReLU(),
                 MaxPool2d(2),
                 Flatten(),
                 Linear(128, 10)};
  return train_classifier(context, net, data, memory, 3e-3,
                          {.epochs = 15, .batch = 32, .cooled_epochs = 5}, 0.97);
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
  Sequential net{Conv2d(1, 8, 5, {.padding = 2}),
                 ReLU(),
                 MaxPool2d(2),
                 Conv2d(8, 16, 5),
                 ReLU(),
                 MaxPool2d(2),
                 Flatten(),
                 Linear(400, 64),
                 ReLU(),
                 Linear(64, 10)};
  PartResult result = train_classifier(context, net, data, memory, 2e-3,
                                       {.epochs = 6, .batch = 64, .cooled_epochs = 2}, 0.96);
  if (!meant_for_speed(context.device)) return result;
  result.require(watch.seconds() < kMostSeconds,
                 "must take less than 60 s, it took " + number(watch.seconds(), 1) + " s");
  return result;
}

}  // namespace validate
