// Part 10: everything in one go, as a user's program would have it: files, loader, net, training,
// evaluation, save and load, and mistakes that are answered with a typed error after which the
// program goes on.
#include "examples/validate/datasets.h"
#include "examples/validate/files.h"
#include "examples/validate/measure.h"
#include "examples/validate/training.h"

namespace validate {

using namespace tinytorch;

namespace {

Sequential make_net() {
  return Sequential{Flatten(), Linear(64, 48), Tanh(), Dropout(0.1), Linear(48, 10)};
}

// The digits, written as IDX files and read again.
Split load_from_files(const TemporaryFolder& folder, const Device& device) {
  const TensorDataset bytes = digit_bytes();
  write_idx(folder / "images.idx", bytes.x());
  write_idx(folder / "labels.idx", bytes.y());
  const Tensor x =
      (read_idx(folder / "images.idx").to(Dtype::f32) * (1.0 / 16)).unsqueeze(1).to(device);
  const Tensor y = read_idx(folder / "labels.idx").to(Dtype::i64).to(device);
  const TensorDataset all(x, y);
  constexpr int64_t kTrain = 1400;
  return {all.subset(0, kTrain), all.subset(kTrain, all.size() - kTrain)};
}

// `f` must throw an E whose text contains `word`.
template <class E, class F>
void expect_error(PartResult& result, const std::string& what, const std::string& word, F&& f) {
  try {
    f();
    result.require(false, what + ": no error");
  } catch (const E& e) {
    result.require(std::string(e.what()).find(word) != std::string::npos,
                   what + ": the error does not say '" + word + "': " + e.what());
  } catch (const std::exception& e) {
    result.require(false, what + ": an error of another type: " + e.what());
  }
}

void check_errors(PartResult& result, const Device& device, const TemporaryFolder& folder) {
  expect_error<ShapeError>(result, "a product of shapes that do not fit", "[2, 3]", [&] {
    matmul(zeros({2, 3}, {.device = device}), zeros({4, 5}, {.device = device}));
  });
  expect_error<IndexError>(result, "a class that does not exist", "12", [&] {
    cross_entropy(zeros({2, 10}, {.device = device}),
                  tensor<int64_t>({3, 12}, {}, {.device = device}));
    device.synchronize();
  });
  expect_error<AutogradError>(result, "a second backward through a freed graph", "", [&] {
    const Tensor w = ones({2}, {.device = device, .requires_grad = true});
    const Tensor loss = (w * w).sum();
    loss.backward();
    loss.backward();
  });
  write_idx(folder / "short.idx", digit_bytes().y(), 7);
  expect_error<IoError>(result, "a truncated file", "short.idx",
                        [&] { read_idx(folder / "short.idx"); });
  expect_error<DeviceError>(result, "a device that does not exist", "abacus",
                            [] { Device("abacus"); });
}

}  // namespace

PartResult integration(const Context& context) {
  constexpr double kLeastAccuracy = 0.85;
  const DeviceGuard on(context.device);
  const GeneratorGuard random(Generator(1, context.device));
  const MemoryMeter memory(context.device);
  const TemporaryFolder folder;
  PartResult result;

  const Split data = load_from_files(folder, context.device);
  memory.restart();
  Sequential net = make_net();
  Adam optimizer(net.parameters(), 3e-3);
  CrossEntropyLoss loss;
  const std::vector<double> history = fit(net, loss, optimizer, data.train,
                                          {.epochs = 12, .batch = 32, .shuffle = true, .seed = 1});
  result.peak_bytes = memory.peak();
  result.stable_bytes = memory.live();
  result.floor_bytes = 4 * bytes_of(net.parameters()) +
                       bytes_of({data.train.x(), data.train.y(), data.test.x(), data.test.y()});
  result.initial_loss = history.front();
  result.final_loss = history.back();
  result.losses = history;
  result.accuracy = class_accuracy(predict(net, data.train.x()), data.train.y());
  const Tensor outputs = predict(net, data.test.x());
  result.held_out_accuracy = class_accuracy(outputs, data.test.y());
  result.require(*result.held_out_accuracy > kLeastAccuracy,
                 "held-out accuracy must exceed " + percent(kLeastAccuracy) + ", it is " +
                     percent(*result.held_out_accuracy));

  save(folder / "net.safetensors", net);
  Sequential again = make_net();
  load(folder / "net.safetensors", again);
  result.require(predict(again, data.test.x()).to_vector<float>() == outputs.to_vector<float>(),
                 "a loaded net must give the same outputs");

  check_errors(result, context.device, folder);
  const double later = fit(net, loss, optimizer, data.train, {.epochs = 1, .batch = 32}).back();
  result.require(later < history.front(), "training must go on after the errors");
  result.notes.push_back(
      "files, loader, training, evaluation, save and load agree; five mistakes gave typed errors "
      "and the program went on");
  return result;
}

}  // namespace validate
