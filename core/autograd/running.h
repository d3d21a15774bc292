// Which node's gradient a thread computes: profiles and anomaly mode name it.
#pragma once

#include "core/autograd/node.h"

namespace tinytorch {

// While it lives, what happens on the thread belongs to the gradient of this node, and to its
// module, in whatever scope the pass runs.
class Running {
 public:
  explicit Running(Node* n) : current_(t_.current), module_(t_.module) {
    t_.current = n;
    t_.module = n->module;
  }
  ~Running() {
    t_.current = current_;
    t_.module = module_;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  ThreadState& t_ = thread_state();
  Node* const current_;
  const char* const module_;
};

}  // namespace tinytorch
