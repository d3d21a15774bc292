// The differences are taken in f64, where they are good to about nine digits; the gradient under
// test is the f32 one that training uses. Both nets have the same parameters. No value leaves the
// device before all differences are there.
#include "examples/validate/gradient_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace validate {

using namespace tinytorch;

namespace {

constexpr double kStep = 1e-6;
constexpr double kAbsolute = 2e-6,
                 kRelative = 1e-3;  // f32 rounding of a loss of about 1 over a few hundred terms

// (loss(w + h) - loss(w - h)) / 2h for each element of w, which is restored.
std::vector<double> differences(Module& net, Tensor w, const Batch& batch) {
  const NoGrad guard;
  Tensor flat = w.view({-1});
  std::vector<Tensor> high, low;
  for (int64_t i = 0; i < flat.numel(); ++i) {
    Tensor element = flat.narrow(0, i, 1);
    const Tensor before = element.clone();
    element.add_(kStep);
    high.push_back(mse_loss(net(batch.x), batch.y));
    element.add_(-2 * kStep);
    low.push_back(mse_loss(net(batch.x), batch.y));
    element.copy_(before);
  }
  return ((stack(high) - stack(low)) * (1 / (2 * kStep))).to_vector<double>();
}

}  // namespace

void check_conv_gradients(Sequential& net, const Batch& batch, PartResult& result) {
  net.zero_grad();
  mse_loss(net(batch.x), batch.y).backward();
  std::vector<std::vector<double>> gradients;
  std::vector<std::string> weights;
  for (size_t i = 0; i < net.size(); ++i) {
    const auto* conv = dynamic_cast<const Conv2d*>(&net[static_cast<int64_t>(i)]);
    if (!conv) continue;
    weights.push_back(std::to_string(i) + ".weight");
    result.require(conv->weight.grad().defined(), weights.back() + " got no gradient");
    if (!conv->weight.grad().defined()) return;
    gradients.push_back(conv->weight.grad().to_vector<double>());
  }
  net.zero_grad();

  net.to(Dtype::f64);
  const Batch wide{batch.x.to(Dtype::f64), batch.y.to(Dtype::f64)};
  size_t checked = 0, zeros = 0, wrong = 0;
  double worst = 0;
  for (size_t layer = 0; layer < weights.size(); ++layer) {
    const std::vector<double> expected =
        differences(net, net.state_dict().at(weights[layer]), wide);
    for (size_t i = 0; i < expected.size(); ++i, ++checked) {
      const double error = std::abs(gradients[layer][i] - expected[i]);
      zeros += gradients[layer][i] == 0;
      wrong += !(error <= kAbsolute + kRelative * std::abs(expected[i]));
      worst = std::max(worst, error);
    }
  }
  net.to(Dtype::f32);

  char note[160];
  std::snprintf(note, sizeof note,
                "gradients of %zu convolution weights against finite differences: largest "
                "difference %.1e, %zu are 0",
                checked, worst, zeros);
  result.notes.push_back(note);
  result.require(wrong == 0, std::to_string(wrong) + " of " + std::to_string(checked) +
                                 " convolution weights have another gradient");
  result.require(2 * zeros < checked,
                 std::to_string(zeros) + " of " + std::to_string(checked) + " gradients are 0");
}

}  // namespace validate
