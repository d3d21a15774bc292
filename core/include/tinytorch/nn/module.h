// Module: a node of a tree of named parameters, buffers and children; the base class of every layer
// and model. Tensors and children live in slots on the heap that never move: what register_*
// returns stays valid while the tree lives.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tinytorch/nn/state_dict.h>
#include <tinytorch/profiler.h>
#include <tinytorch/tensor.h>

namespace tinytorch {

// A model of one's own:
//
//   struct Net : Module {
//     Linear& hidden = register_module("hidden", Linear(64, 32));
//     Linear& out = register_module("out", Linear(32, 10));
//     Tensor& scale = register_parameter("scale", ones({1}));
//     Tensor forward(const Tensor& x) override { return out(hidden(x).relu()) * scale; }
//   };
//
// Ownership: a module owns its slots and shares its children (std::shared_ptr). Modules are moved,
// never copied. Where they were moved from is another name of the same slots and children, so that
// references into them stay valid on both sides. A module belongs to one thread at a time.
class TT_API Module {
 public:
  // Called after forward; may return a replacement of the output, or an undefined tensor to keep
  // it.
  using ForwardHook =
      std::function<Tensor(Module& module, const Tensor& input, const Tensor& output)>;

  Module();
  Module(Module&&) noexcept;
  Module(const Module&) = delete;
  virtual ~Module();

  // What the module computes. Call the module itself, not forward: that runs hooks and keeps the
  // profiler's module path. The default throws Error. Modules of several inputs declare a forward
  // of their own.
  virtual Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) {
    if (TT_LIKELY(hooks_.empty() && !naming_modules())) return forward(x);
    return call_observed(x);
  }

  // ---- the tree. Names are not empty, have no dot and are unique within the module: else
  // ValueError. Makes `tensor` a leaf that wants a gradient. Undefined: the name is taken, and
  // listed nowhere (a layer without bias). ValueError for a result with history, DtypeError if it
  // is not floating.
  Tensor& register_parameter(const std::string& name, Tensor tensor);
  // State that is saved and moved with the module but not trained.
  Tensor& register_buffer(const std::string& name, Tensor tensor);
  template <std::derived_from<Module> M>
  M& register_module(const std::string& name, std::shared_ptr<M> module) {
    M* child = module.get();
    add_child(name, std::move(module));
    return *child;
  }
  template <std::derived_from<Module> M>
  M& register_module(const std::string& name, M module) {
    return register_module(name, std::make_shared<M>(std::move(module)));
  }

  // Own ones first, then those of the children, in order of registration. A tensor shared by two
  // modules comes once.
  std::vector<Tensor> parameters() const;
  std::vector<std::pair<std::string, Tensor>> named_parameters() const;  // "0.weight"
  std::vector<Tensor> buffers() const;
  std::vector<std::pair<std::string, Tensor>> named_buffers() const;
  const std::vector<std::pair<std::string, std::shared_ptr<Module>>>& children() const {
    return tree_->children;
  }
  const std::string& name() const { return name_; }  // in its parent; empty at the root

  // ---- changes to the whole tree
  Module& train(bool on = true);
  Module& eval() { return train(false); }
  bool is_training() const { return training_; }
  // Moves parameters, their gradients and buffers. The tensors are new ones: make an optimizer
  // after moving. Shared tensors stay shared. If a copy fails (OutOfMemoryError) nothing has
  // changed.
  Module& to(const Device& device);
  Module& to(Dtype dtype);  // floating tensors only; DtypeError if `dtype` is not floating
  Module& requires_grad_(bool on);
  void zero_grad();  // clears the gradients of all parameters
  // Calls f for every descendant, children before their parent, and for the module itself last.
  Module& apply(const std::function<void(Module&)>& f);

  // ---- state
  // Parameters and buffers by name, without history; they share storage with the module.
  StateDict state_dict() const;
  // Copies values into the module's tensors (also from another device or dtype). One error lists
  // every missing, unexpected and mismatched name with both shapes, before anything is changed:
  // ValueError, or ShapeError if only shapes differ. Without `strict`, names may be missing or
  // unexpected; they are returned.
  LoadReport load_state_dict(const StateDict& state, bool strict = true);

  uint64_t register_forward_hook(ForwardHook hook);  // returns an id
  void remove_forward_hook(uint64_t id);
  bool has_hooks() const { return !hooks_.empty(); }

  virtual std::string type_name() const;   // name of the class, without namespaces
  virtual std::string extra_repr() const;  // what str() prints in the parentheses
  std::string str() const;                 // the tree, as PyTorch prints it

 protected:
  Module& operator=(Module&&) noexcept;

 private:
  struct Slot {
    std::string name;
    Tensor tensor;
    bool parameter;
  };
  struct Hook {
    uint64_t id;
    ForwardHook call;
  };
  using SlotVisitor = std::function<void(const std::string& name, Slot& slot)>;

  void take_own(Module& o) noexcept;
  Tensor call_observed(const Tensor& x);
  void add_child(const std::string& name, std::shared_ptr<Module> module);
  void check_name(std::string_view what, const std::string& name) const;
  Slot& add_slot(std::string name, Tensor tensor, bool parameter);
  void visit(const std::string& prefix, const SlotVisitor& f) const;
  std::vector<std::pair<std::string, Tensor>> collect(bool parameter) const;
  Module& convert(const std::function<Tensor(const Tensor&)>& f);

  struct Tree {
    std::vector<std::unique_ptr<Slot>> slots;
    std::vector<std::pair<std::string, std::shared_ptr<Module>>> children;
  };

  friend class SlotsKept;  // core/profile/predict.cpp

  std::shared_ptr<Tree> tree_;
  std::vector<Hook> hooks_;
  std::string name_;
  uint64_t next_hook_ = 1;
  bool training_ = true;
};

TT_API std::ostream& operator<<(std::ostream&, const Module&);

}  // namespace tinytorch
