// The backward pass.
#pragma once

#include "core/autograd/node.h"

namespace tinytorch {

struct Root {
  Tensor output, grad;  // an undefined grad stands for ones
};
// Accumulates into the leaves' grad() if `inputs` is null, else gives their gradients to `results`
// and changes nobody's.
void run_backward(const std::vector<Root>& roots, const GradOptions& options,
                  const std::vector<Tensor>* inputs = nullptr,
                  std::vector<Tensor>* results = nullptr);
void run_backward(const Tensor& output, const Tensor& grad, bool retain_graph,
                  bool create_graph);  // one root, no captures

}  // namespace tinytorch
