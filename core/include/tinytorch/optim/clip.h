// Clipping gradients. Nothing here reads a value back from the device, so a whole training step can
// be captured.
#pragma once

#include <vector>

#include <tinytorch/tensor.h>

namespace tinytorch {

// Scales the gradients of `parameters` so that their common 2-norm is at most max_norm (Pascanu et
// al. 2013), and returns the norm before that, rank 0, on the device of the first gradient.
// Parameters without gradient are left out; 0 if there are none. ValueError unless max_norm >= 0.
// Norms are formed in each gradient's dtype (bf16 and f16: f32).
TT_API Tensor clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm);
// Limits every element of the gradients to [-limit, limit]. ValueError unless limit >= 0.
TT_API void clip_grad_value_(const std::vector<Tensor>& parameters, double limit);

}  // namespace tinytorch
