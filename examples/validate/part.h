// What a part of the validation gets and what it returns. Each part is a function from Context to
// PartResult.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tinytorch/data.h>
#include <tinytorch/device.h>

namespace validate {

// Called now and then on long parts: what is being done, for people.
using Progress = std::function<void(const std::string& what)>;

struct Context {
  tinytorch::Device device;
  int seeds = 1;
  const tinytorch::TensorDataset* mnist = nullptr;  // on the CPU; null: not asked for
  Progress progress;
};

struct PartResult {
  std::string id, name;
  bool passed = true;
  // Unset where a figure has no meaning. Losses are means over an epoch, accuracies fractions of 1.
  std::optional<double> initial_loss, final_loss, accuracy, held_out_accuracy;
  std::vector<double> losses;  // of every epoch or step, where the part trains
  std::optional<int64_t> peak_bytes, stable_bytes, floor_bytes;
  std::optional<int> seeds_passed, seeds;
  double seconds = 0;
  std::vector<std::string> notes;     // figures that have no column
  std::vector<std::string> failures;  // rules that were broken

  // A rule of the part: `rule` says what was wanted and what was found.
  void require(bool kept, const std::string& rule) {
    if (kept) return;
    passed = false;
    failures.push_back(rule);
  }
};

using PartFunction = PartResult (*)(const Context&);
struct Part {
  const char *id, *name;
  PartFunction run;
  bool needs_mnist = false;
};
// In the order in which they run and are printed.
const std::vector<Part>& parts();

PartResult xor_sgd(const Context&);
PartResult xor_adam(const Context&);
PartResult cnn_stripes(const Context&);
PartResult cnn_digits(const Context&);
PartResult cnn_mnist(const Context&);
PartResult gradient_flow(const Context&);
PartResult optimizer_state(const Context&);
PartResult losses(const Context&);
PartResult insight(const Context&);
PartResult under_load(const Context&);
PartResult memory_consistency(const Context&);
PartResult integration(const Context&);

}  // namespace validate
