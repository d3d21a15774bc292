// The backward pass.
#pragma once

#include "core/autograd/node.h"

namespace tinytorch {

// From now on what happens on the thread belongs to the gradient of this node, and to its module,
// in whatever scope the pass runs.
inline void enter(Node* n) noexcept {
  ThreadState& t = thread_state();
  t.current = n;
  t.module = n->module;
}

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
