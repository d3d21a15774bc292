// Nets, data and names of the training workloads; see workloads.h.
#include "benchmarks/workloads.h"

#include <algorithm>
#include <charconv>

#include <tinytorch/error.h>
#include <tinytorch/ops.h>
#include <tinytorch/random.h>

#include "examples/models/gpt.h"
#include "examples/models/resnet.h"

namespace bench {
namespace {

using namespace tinytorch;

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
TrainingTask classifier(Net net, const Shape& input, int64_t classes) {
  const CategoryGuard data(Category::input);
  return {owned(std::move(net)), randn(input), randint(0, classes, {input[0]}),
          std::make_unique<CrossEntropyLoss>(), nullptr};
}

TrainingTask exclusive_or(int64_t batch) {
  std::vector<float> inputs, outputs;
  for (int64_t i = 0; i < batch; ++i) {
    const int64_t a = i / 2 % 2, b = i % 2;
    inputs.insert(inputs.end(), {static_cast<float>(a), static_cast<float>(b)});
    outputs.push_back(static_cast<float>(a != b));
  }
  Sequential net{Linear(2, 8), Tanh(), Linear(8, 1), Sigmoid()};
  const CategoryGuard data(Category::input);
  return {owned(std::move(net)), tensor(inputs, Shape{batch, 2}), tensor(outputs, Shape{batch, 1}),
          std::make_unique<MSELoss>(), nullptr};
}

TrainingTask seed_cnn(int64_t batch) {
  return classifier(Sequential{Conv2d(1, 8, 3), ReLU(), MaxPool2d(2), Conv2d(8, 16, 2), ReLU(),
                               Flatten(), Linear(64, 3)},
                    {batch, 1, 8, 8}, 3);
}

TrainingTask large_mlp(int64_t batch) {
  return classifier(perceptron({512, 1024, 512, 256, 10}), {batch, 512}, 10);
}

TrainingTask lenet5(int64_t batch) {
  Sequential net{Conv2d(1, 6, 5, {.padding = 2}),
                 ReLU(),
                 MaxPool2d(2),
                 Conv2d(6, 16, 5),
                 ReLU(),
                 MaxPool2d(2),
                 Flatten()};
  return classifier(perceptron({400, 120, 84, 10}, std::move(net)), {batch, 1, 28, 28}, 10);
}

TrainingTask mnist_cnn(int64_t batch) {
  return classifier(
      Sequential{Conv2d(1, 32, 3), ReLU(), Conv2d(32, 64, 3), ReLU(), MaxPool2d(2), Dropout(0.25),
                 Flatten(), Linear(9216, 128), ReLU(), Dropout(0.5), Linear(128, 10)},
      {batch, 1, 28, 28}, 10);
}

TrainingTask resnet18(int64_t batch) {
  return classifier(models::ResNet18(10), {batch, 3, 32, 32}, 10);
}

TrainingTask gpt(int64_t batch) {
  constexpr int64_t kTokens = 512, kLength = 128;
  models::Gpt net({.tokens = kTokens, .context = kLength, .width = 256, .heads = 8, .layers = 4});
  const CategoryGuard data(Category::input);
  return {owned(std::move(net)), randint(0, kTokens, {batch, kLength}),
          randint(0, kTokens, {batch * kLength}), std::make_unique<CrossEntropyLoss>(), nullptr};
}

struct Family {
  const char* name;
  int64_t batch;  // where the name has none
  TrainingTask (*make)(int64_t batch);
};
constexpr Family kFamilies[] = {
    {"xor", 4, exclusive_or},     {"seed_cnn", 32, seed_cnn},   {"mlp_large", 128, large_mlp},
    {"lenet5", 64, lenet5},       {"mnist_cnn", 64, mnist_cnn}, {"resnet18_cifar", 32, resnet18},
    {"gpt_4l_d256_t128", 8, gpt},
};

[[noreturn]] void refuse(const std::string& name, const std::string& needed) {
  throw ValueError("[workload] '" + name + "' was given; needed is " + needed);
}

OptimizerFactory optimizer_of(const std::string& rule, const std::string& name) {
  if (rule == "sgd")
    return [](std::vector<Tensor> p) { return std::make_unique<SGD>(std::move(p), 0.01); };
  if (rule == "adam")
    return [](std::vector<Tensor> p) { return std::make_unique<Adam>(std::move(p), 1e-3); };
  refuse(name, "a name that ends in _sgd or _adam");
}

// "b64" -> 64.
int64_t batch_of(const std::string& text, const std::string& name) {
  int64_t batch = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 1, end, batch);
  if (text[0] != 'b' || error != std::errc() || stop != end || batch < 1)
    refuse(name, "a batch size such as _b64");
  return batch;
}

}  // namespace

MemoryPrediction predict_steps(const TrainingTask& task, const OptimizerFactory& optimizer) {
  return predict_steps(task, optimizer, task.x.size(0));
}

MemoryPrediction predict_steps(const TrainingTask& task, const OptimizerFactory& optimizer,
                               int64_t batch) {
  Shape input = task.x.shape(), target = task.y.shape();
  target[0] = target[0] / input[0] * batch;
  input[0] = batch;
  Loss& loss = *task.loss;
  return predict_memory(*task.net, input, optimizer,
                        {.dtype = task.x.dtype(),
                         .loss = [&](const Tensor& o, const Tensor& t) { return loss(o, t); },
                         .target = target,
                         .target_dtype = task.y.dtype()});
}

std::vector<std::string> training_names() {
  return {"xor_sgd",
          "xor_adam",
          "seed_cnn_b32_sgd",
          "seed_cnn_b32_adam",
          "mlp_large_b32_adam",
          "mlp_large_b128_sgd",
          "mlp_large_b128_adam",
          "mlp_large_b512_adam",
          "lenet5_b64_sgd",
          "mnist_cnn_b64_sgd",
          "resnet18_cifar_b32_sgd",
          "gpt_4l_d256_t128_b8_adam"};
}

TrainingWorkload training_workload(const std::string& name) {
  const size_t last = std::min(name.rfind('_'), name.size());
  for (const Family& family : kFamilies) {
    const std::string start = std::string(family.name) + '_';
    if (name.compare(0, start.size(), start) != 0) continue;
    const OptimizerFactory optimizer = optimizer_of(name.substr(last + 1), name);
    const bool sized = last > start.size();
    const int64_t batch =
        sized ? batch_of(name.substr(start.size(), last - start.size()), name) : family.batch;
    return {name, batch, [make = family.make, batch] { return make(batch); }, optimizer};
  }
  std::string known;
  for (const std::string& one : training_names()) known += (known.empty() ? "" : ", ") + one;
  refuse(name, "one of " + known + ", or one of them with another batch size");
}

TrainingWorkload scaling_workload(const std::string& name, int64_t batch, int64_t width,
                                  int64_t depth) {
  std::function<TrainingTask()> make;
  if (name == "mlp") {
    make = [=] {
      std::vector<int64_t> widths(static_cast<size_t>(depth) + 1, width);
      widths.push_back(10);
      return classifier(perceptron(widths), {batch, width}, 10);
    };
  } else if (name == "cnn") {
    make = [=] {
      Sequential net;
      for (int64_t i = 0; i < depth; ++i) {
        net.push_back(Conv2d(i ? width : 3, width, 3, {.padding = 1}));
        net.push_back(ReLU());
      }
      net.push_back(AdaptiveAvgPool2d(1));
      net.push_back(Flatten());
      net.push_back(Linear(depth ? width : 3, 10));
      return classifier(std::move(net), {batch, 3, 16, 16}, 10);
    };
  } else {
    refuse(name, "mlp or cnn");
  }
  return {name, batch, make, optimizer_of("sgd", name)};
}

}  // namespace bench
