// One loop for all parts; see training.h.
#include "examples/validate/training.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace validate {

using namespace tinytorch;

std::vector<double> fit(Module& net, Loss& loss, Optimizer& optimizer, const TensorDataset& data,
                        const Training& training) {
  DataLoader loader(
      data, {.batch_size = training.batch, .shuffle = training.shuffle, .seed = training.seed});
  std::vector<double> history;
  net.train();
  for (int epoch = 0; epoch < training.epochs; ++epoch) {
    if (training.before_epoch) training.before_epoch(epoch);
    if (training.cooled_epochs && epoch == training.epochs - training.cooled_epochs)
      optimizer.set_learning_rate(optimizer.learning_rate() / 10);
    Tensor sum = zeros({}, {.device = data.device()});
    for (const auto& [x, y] : loader) {
      optimizer.zero_grad();
      const Tensor value = loss(net(x), y);
      value.backward();
      optimizer.step();
      sum.add_(value.detach(), static_cast<double>(x.size(0)) / static_cast<double>(data.size()));
    }
    history.push_back(sum.item());
  }
  return history;
}

Tensor predict(Module& net, const Tensor& x, int64_t batch) {
  const NoGrad guard;
  const bool was_training = net.is_training();
  net.eval();
  std::vector<Tensor> outputs;
  for (const Tensor& rows : split(x, batch)) outputs.push_back(net(rows));
  net.train(was_training);
  return outputs.size() == 1 ? outputs[0] : cat(outputs);
}

double class_accuracy(const Tensor& outputs, const Tensor& y) {
  return eq(outputs.argmax(1), y).to(Dtype::f32).mean().item();
}

double binary_accuracy(const Tensor& probabilities, const Tensor& y) {
  return eq(gt(probabilities, 0.5), gt(y, 0.5)).to(Dtype::f32).mean().item();
}

PartResult over_seeds(const Context& context, double share,
                      const std::function<PartResult(uint64_t seed)>& run) {
  PartResult total;
  int passed = 0;
  std::string failed;
  for (int seed = 1; seed <= context.seeds; ++seed) {
    if (context.seeds > 1)
      context.progress("seed " + std::to_string(seed) + " of " + std::to_string(context.seeds));
    PartResult one = run(static_cast<uint64_t>(seed));
    passed += one.passed;
    if (!one.passed) failed += (failed.empty() ? "" : ", ") + std::to_string(seed);
    if (seed == 1)
      total = std::move(one);
    else
      total.peak_bytes = std::max(total.peak_bytes, one.peak_bytes);
  }
  if (context.seeds > 1) {
    const int wanted = static_cast<int>(std::ceil(share * context.seeds - 1e-9));
    if (!failed.empty()) total.notes.push_back("seeds that failed: " + failed);
    total.passed = passed >= wanted;
    if (total.passed) {
      total.failures.clear();
    } else {
      total.failures.push_back(std::to_string(passed) + " seeds passed, " + std::to_string(wanted) +
                               " wanted");
    }
  }
  total.seeds = context.seeds;
  total.seeds_passed = passed;
  return total;
}

std::string number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string percent(double fraction) { return number(100 * fraction, 1) + " %"; }

std::string fall(double first, double last) {
  char text[96];
  std::snprintf(text, sizeof text, "%.4f -> %.4f (%+.1f %%)", first, last,
                100 * (last / first - 1));
  return text;
}

std::string mib(int64_t bytes, int digits) {
  return number(static_cast<double>(bytes) / (1 << 20), digits);
}

}  // namespace validate
