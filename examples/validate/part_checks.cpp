// Parts 4, 5 and 6: gradients reach every parameter and add up, an optimizer's state survives save
// and load, losses tell good from bad.
#include "examples/validate/files.h"
#include "examples/validate/measure.h"
#include "examples/validate/training.h"

#include <algorithm>
#include <cmath>

namespace validate {

using namespace tinytorch;

namespace {

// Linear 3-5-1 and a batch of 4. Tanh between the layers: unlike ReLU it stops no gradient.
struct SmallTask {
  Tensor x, y;
  Sequential net;

  explicit SmallTask(const Device& device) {
    const Generator generator(1, device);
    x = randn({4, 3}, {.generator = generator});
    y = randn({4, 1}, {.generator = generator});
    const GeneratorGuard random(generator);
    net = Sequential{Linear(3, 5), Tanh(), Linear(5, 1)};
  }
  Tensor loss(int64_t start, int64_t count) {
    return mse_loss(net(x.narrow(0, start, count)), y.narrow(0, start, count));
  }
};

std::vector<double> flat_gradients(const Module& net) {
  std::vector<double> all;
  for (const Tensor& p : net.parameters())
    for (const double g : p.grad().to_vector<double>()) all.push_back(g);
  return all;
}

std::vector<float> flat_values(const std::vector<Tensor>& tensors) {
  std::vector<float> all;
  for (const Tensor& t : tensors)
    for (const float v : t.to_vector<float>()) all.push_back(v);
  return all;
}

}  // namespace

PartResult gradient_flow(const Context& context) {
  const DeviceGuard on(context.device);
  const MemoryMeter memory(context.device);
  SmallTask task(context.device);
  memory.restart();
  PartResult result;

  task.loss(0, 4).backward();
  const std::vector<std::pair<std::string, Tensor>> parameters = task.net.named_parameters();
  for (const auto& [name, p] : parameters) {
    result.require(p.grad().defined(), name + " got no gradient");
    if (!result.passed) return result;
    result.require(all(ne(p.grad(), 0)), "a gradient of " + name + " is 0");
  }
  result.peak_bytes = memory.peak();
  result.stable_bytes = memory.live();
  result.floor_bytes = 2 * bytes_of(task.net.parameters()) + bytes_of({task.x, task.y});

  // The mean over four points is the mean of the means over two and two.
  const std::vector<double> whole = flat_gradients(task.net);
  task.net.zero_grad();
  (task.loss(0, 2) * 0.5).backward();
  (task.loss(2, 2) * 0.5).backward();
  const std::vector<double> halves = flat_gradients(task.net);
  double worst = 0;
  for (size_t i = 0; i < whole.size(); ++i) worst = std::max(worst, std::abs(whole[i] - halves[i]));
  result.require(
      worst < 1e-6,
      "gradients of two halves must add up to those of the whole batch, they differ by " +
          number(worst, 9));
  result.notes.push_back("all " + std::to_string(whole.size()) +
                         " gradients are there and not 0; two half batches add up to the whole");
  return result;
}

PartResult optimizer_state(const Context& context) {
  constexpr int kSteps = 5;
  constexpr double kRate = 0.05;
  const DeviceGuard on(context.device);
  const MemoryMeter memory(context.device);
  SmallTask task(context.device);
  memory.restart();
  Adam optimizer(task.net.parameters(), kRate);
  const auto steps = [&task](Optimizer& by) {
    double last = 0;
    for (int i = 0; i < kSteps; ++i) {
      by.zero_grad();
      const Tensor loss = task.loss(0, 4);
      loss.backward();
      by.step();
      last = loss.item();
    }
    return last;
  };

  PartResult result;
  const std::vector<float> initial = flat_values(task.net.parameters());
  result.initial_loss = task.loss(0, 4).item();
  steps(optimizer);
  const std::vector<float> saved = flat_values(task.net.parameters());
  result.require(std::equal(saved.begin(), saved.end(), initial.begin(), std::not_equal_to<>()),
                 "every parameter must change");
  const auto moment_of = [](const std::string& name) {
    return name.ends_with("exp_avg") || name.ends_with("exp_avg_sq");
  };
  size_t moments = 0;
  for (const auto& [name, t] : optimizer.state_dict())
    if (moment_of(name) && all(ne(t, 0))) ++moments;
  result.require(moments == 2 * task.net.parameters().size(),
                 "Adam must keep two moments of every parameter, found " + std::to_string(moments));

  const TemporaryFolder folder;
  save(folder / "model.safetensors", task.net);
  save(folder / "optimizer.safetensors", optimizer);
  result.final_loss = steps(optimizer);
  const std::vector<float> expected = flat_values(task.net.parameters());
  result.peak_bytes = memory.peak();
  result.stable_bytes = memory.live();
  result.floor_bytes = 4 * bytes_of(task.net.parameters()) + bytes_of({task.x, task.y});

  // A new net and a new optimizer, as in another process.
  task.net = Sequential{Linear(3, 5), Tanh(), Linear(5, 1)};
  Adam resumed(task.net.parameters(), 1.0);
  load(folder / "model.safetensors", task.net);
  load(folder / "optimizer.safetensors", resumed);
  result.require(flat_values(task.net.parameters()) == saved,
                 "a loaded model must equal the saved one");
  steps(resumed);
  result.require(flat_values(task.net.parameters()) == expected,
                 "training after load must equal training without a break, bit for bit");
  result.notes.push_back(
      "parameters change, two moments each; after save and load training goes on bit for bit");
  return result;
}

namespace {

struct LossCase {
  const char* name;
  Tensor (*of)(const Tensor& logits, const Tensor& target);
  double (*formula)(const std::vector<double>& logits, const std::vector<double>& target);
};

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

constexpr int kRows = 4, kClasses = 3;

// [4, 3] logits; targets are one-hot rows.
const LossCase kLosses[] = {
    {"MSE",
     [](const Tensor& logits, const Tensor& target) {
       return MeanSquaredError()(sigmoid(logits), target);
     },
     [](const std::vector<double>& logits, const std::vector<double>& target) {
       double sum = 0;
       for (size_t i = 0; i < logits.size(); ++i)
         sum += std::pow(logistic(logits[i]) - target[i], 2);
       return sum / static_cast<double>(logits.size());
     }},
    {"cross-entropy",
     [](const Tensor& logits, const Tensor& target) {
       return CrossEntropyLoss()(logits, target.argmax(1));
     },
     [](const std::vector<double>& logits, const std::vector<double>& target) {
       double sum = 0;
       for (int row = 0; row < kRows; ++row) {
         double total = 0, chosen = 0;
         for (int c = 0; c < kClasses; ++c) {
           total += std::exp(logits[row * kClasses + c]);
           chosen += target[row * kClasses + c] * logits[row * kClasses + c];
         }
         sum += std::log(total) - chosen;
       }
       return sum / kRows;
     }},
    {"BCE",
     [](const Tensor& logits, const Tensor& target) {
       return BinaryCrossEntropyLoss()(sigmoid(logits), target);
     },
     [](const std::vector<double>& logits, const std::vector<double>& target) {
       double sum = 0;
       for (size_t i = 0; i < logits.size(); ++i) {
         const double p = logistic(logits[i]);
         sum -= target[i] * std::log(p) + (1 - target[i]) * std::log(1 - p);
       }
       return sum / static_cast<double>(logits.size());
     }},
};

// Descends on the logits themselves; returns the loss after it.
double descend(const LossCase& loss, const Tensor& start, const Tensor& target) {
  Tensor logits = start.clone().requires_grad_();
  Adam optimizer({logits}, 0.1);
  for (int i = 0; i < 100; ++i) {
    optimizer.zero_grad();
    loss.of(logits, target).backward();
    optimizer.step();
  }
  return loss.of(logits.detach(), target).item();
}

}  // namespace

PartResult losses(const Context& context) {
  constexpr double kSure = 4;
  const DeviceGuard on(context.device);
  const MemoryMeter memory(context.device);
  const Tensor target = one_hot(tensor<int64_t>({0, 1, 2, 1}), kClasses);
  const Tensor good = (target * 2 - 1) * kSure, bad = -good;
  PartResult result;
  for (const LossCase& loss : kLosses) {
    const std::string name = loss.name;
    const double low = loss.of(good, target).item(), high = loss.of(bad, target).item();
    result.require(low < high, name + " of a good prediction must be less than of a bad one: " +
                                   number(low) + ", " + number(high));
    for (const auto& [logits, value] : {std::pair(good, low), std::pair(bad, high)}) {
      const double expected = loss.formula(logits.to_vector<double>(), target.to_vector<double>());
      result.require(
          std::abs(value - expected) <= 1e-5 * expected,
          name + " must be " + number(expected, 7) + " by its formula, it is " + number(value, 7));
    }
    const double reached = descend(loss, bad, target);
    result.require(reached < high / 2,
                   name + " must halve in descent from a bad prediction, it went from " +
                       number(high) + " to " + number(reached));
    result.notes.push_back(name + ": " + number(low) + " good against " + number(high) +
                           " bad; descent from bad reaches " + number(reached));
  }
  result.peak_bytes = memory.peak();
  return result;
}

}  // namespace validate
