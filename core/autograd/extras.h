// Hooks and retained gradients of a node.
#pragma once

#include "core/autograd/node.h"

namespace tinytorch {

struct NodeExtras {
  struct OneHook {
    uint64_t id;
    uint32_t output;
    Hook hook;
  };
  std::vector<OneHook> hooks;
  struct Retained {
    uint32_t output;
    Tensor grad;
  };
  std::vector<Retained> retained;
  Tensor pending;  // of a leaf with hooks: what has arrived in this pass
  // Of a leaf: not greater than the seq of any node that reads it; 0 if none does.
  std::atomic<uint64_t> first_use{0};
};

NodeExtras& extras_of(Node* n);
// Runs the hooks of one output on its complete gradient.
void run_hooks(Node* n, uint32_t output, Tensor& grad);

}  // namespace tinytorch
