// Training and evaluation shared by the parts. Losses stay on the device until an epoch is over.
#pragma once

#include <tinytorch/tinytorch.h>

#include <functional>
#include <vector>

#include "examples/validate/part.h"

namespace validate {

struct Training {
  int epochs = 1;
  int64_t batch = 32;
  bool shuffle = false;
  uint64_t seed = 0;      // of the shuffling
  int cooled_epochs = 0;  // the last ones, with a tenth of the learning rate
  std::function<void(int epoch)> before_epoch = nullptr;  // for progress
};

// Mean loss of every epoch over all elements.
std::vector<double> fit(tinytorch::Module& net, tinytorch::Loss& loss,
                        tinytorch::Optimizer& optimizer, const tinytorch::TensorDataset& data,
                        const Training& training);
// The net's outputs for all of x, batch by batch, in eval mode and without history.
tinytorch::Tensor predict(tinytorch::Module& net, const tinytorch::Tensor& x, int64_t batch = 256);
// Fraction of outputs [N, C] whose largest entry is at the class y i64 [N].
double class_accuracy(const tinytorch::Tensor& outputs, const tinytorch::Tensor& y);
// Fraction of probabilities on the right side of 1/2; shapes are equal, y is 0 or 1.
double binary_accuracy(const tinytorch::Tensor& probabilities, const tinytorch::Tensor& y);

// Runs one seed after the other; the part's figures are those of seed 1, its peak is the largest,
// and it passes if at least ceil(share N) seeds did.
PartResult over_seeds(const Context& context, double share,
                      const std::function<PartResult(uint64_t seed)>& run);

std::string percent(double fraction);  // "99.5 %"
std::string number(double value, int digits = 4);
std::string fall(double first, double last);  // "0.2499 -> 0.0012 (-99.5 %)"
std::string mib(int64_t bytes, int digits = 3);

}  // namespace validate
