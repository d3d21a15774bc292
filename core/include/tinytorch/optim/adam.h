// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as PyTorch computes them.
#pragma once

#include <array>

#include <tinytorch/ops/fused.h>
#include <tinytorch/optim/optimizer.h>

namespace tinytorch {

struct AdamOptions {
  double learning_rate = 1e-3;
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8, weight_decay = 0;
  bool maximize = false;
};
struct AdamWOptions {
  double learning_rate = 1e-3;
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8, weight_decay = 1e-2;
  bool maximize = false;
};

// The part that both share.
class TT_API AdamBase : public Optimizer {
 protected:
  AdamBase();
  void add(std::vector<Tensor> parameters, const AdamOptions& options, bool decoupled);

 private:
  int slot_count(int group) const override;
  const char* slot_name(int slot) const override;
  void apply(int group, const Cohort& cohort) override;
  Options options(int group) const override;
  void set_options(int group, const Options& options) override;
  void check(const AdamStep& step) const;

  std::vector<AdamStep> steps_;  // of each group
};

// Weight decay is added to the gradient. ValueError for options out of range.
class TT_API Adam : public AdamBase {
 public:
  Adam(std::vector<Tensor> parameters, double learning_rate);
  Adam(std::vector<Tensor> parameters, const AdamOptions& options = {});
  explicit Adam(std::vector<ParameterGroup<AdamOptions>> groups);
  void add_param_group(std::vector<Tensor> parameters, const AdamOptions& options);

 private:
  const char* type_name() const override;
};

// Weight decay shrinks the parameter itself: p -= learning_rate weight_decay p. ValueError for
// options out of range.
class TT_API AdamW : public AdamBase {
 public:
  AdamW(std::vector<Tensor> parameters, double learning_rate);
  AdamW(std::vector<Tensor> parameters, const AdamWOptions& options = {});
  explicit AdamW(std::vector<ParameterGroup<AdamWOptions>> groups);
  void add_param_group(std::vector<Tensor> parameters, const AdamWOptions& options);

 private:
  const char* type_name() const override;
};

}  // namespace tinytorch
