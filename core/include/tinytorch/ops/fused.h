// Whole optimizer steps as ops: every parameter of a group in one call, in place, without a
// gradient of their own. Scalars that change between steps live in `hyper`, f64 [3] on the
// parameters' device: learning rate, step, gradient scale.
#pragma once

#include <vector>

#include <tinytorch/tensor.h>

namespace tinytorch {

struct SgdStep {
  double momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
};
struct AdamStep {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false, maximize = false;  // decoupled: weight decay as in AdamW
};

// One step for all parameters of a group, in place, by one fused kernel where the backend has it,
// else composed. params[i], grads[i], momenta[i] have equal shapes and dtype f32 or f64. `momenta`
// is empty without momentum. The first step (hyper[1] == 0) sets momentum = gradient; 1 is added to
// hyper[1]. Gradients are multiplied by hyper[2].
TT_API void sgd_step_(const std::vector<Tensor>& params, const std::vector<Tensor>& grads,
                      const std::vector<Tensor>& momenta, const Tensor& hyper,
                      const SgdStep& options);
// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019); adds 1 to hyper[1] first and
// corrects the bias with it.
TT_API void adam_step_(const std::vector<Tensor>& params, const std::vector<Tensor>& grads,
                       const std::vector<Tensor>& first, const std::vector<Tensor>& second,
                       const Tensor& hyper, const AdamStep& options);

}  // namespace tinytorch
