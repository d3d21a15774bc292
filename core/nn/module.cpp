// Module: the tree itself (slots, children, hooks) and the call with profiler scope.
// module_state.cpp has what changes the whole tree, module_print.cpp its text.
#include <tinytorch/nn/module.h>

#include <algorithm>
#include <optional>
#include <unordered_set>

#include <tinytorch/error.h>

namespace tinytorch {

Module::Module() : tree_(std::make_shared<Tree>()) {}
Module::Module(Module&& o) noexcept : tree_(o.tree_) { take_own(o); }
Module& Module::operator=(Module&& o) noexcept {
  tree_ = o.tree_;
  take_own(o);
  return *this;
}
void Module::take_own(Module& o) noexcept {
  hooks_ = std::move(o.hooks_);
  name_ = std::move(o.name_);
  next_hook_ = o.next_hook_;
  training_ = o.training_;
}
Module::~Module() = default;

Tensor Module::forward(const Tensor&) {
  throw Error("[" + type_name() + "] has no forward of one input");
}

// The slow way of operator(): somebody watches. The path grows by this module's name in its parent;
// a root has none.
Tensor Module::call_observed(const Tensor& x) {
  std::optional<ModuleScope> scope;
  if (naming_modules() && !name_.empty()) scope.emplace(name_);
  Tensor out = forward(x);
  const size_t count = hooks_.size();
  for (size_t i = 0; i < count && i < hooks_.size(); ++i) {  // a hook may remove itself
    const ForwardHook call = hooks_[i].call;
    if (Tensor replaced = call(*this, x, out); replaced.defined()) out = std::move(replaced);
  }
  return out;
}

uint64_t Module::register_forward_hook(ForwardHook hook) {
  if (!hook) throw ValueError("[register_forward_hook] an empty function was given");
  hooks_.push_back({next_hook_, std::move(hook)});
  return next_hook_++;
}

void Module::remove_forward_hook(uint64_t id) {
  std::erase_if(hooks_, [id](const Hook& h) { return h.id == id; });
}

// ---- registration

void Module::check_name(std::string_view what, const std::string& name) const {
  const auto fail = [&](const std::string& why) {
    throw ValueError("[" + std::string(what) + "] '" + name + "' in " + type_name() + ": " + why);
  };
  if (name.empty()) fail("a name must not be empty");
  if (name.find('.') != std::string::npos) fail("a name must not have a dot");
  for (const auto& slot : tree_->slots)
    if (slot->name == name) fail("the name is taken");
  for (const auto& [child_name, child] : tree_->children)
    if (child_name == name) fail("the name is taken");
}

Module::Slot& Module::add_slot(std::string name, Tensor tensor, bool parameter) {
  tree_->slots.push_back(
      std::make_unique<Slot>(Slot{std::move(name), std::move(tensor), parameter}));
  return *tree_->slots.back();
}

Tensor& Module::register_parameter(const std::string& name, Tensor tensor) {
  check_name("register_parameter", name);
  if (tensor.defined()) {
    if (!is_floating(tensor.dtype())) {
      throw DtypeError("[register_parameter] '" + name + "' has dtype " + name_of(tensor.dtype()) +
                       ", a parameter needs a floating one");
    }
    if (!tensor.is_leaf()) {
      throw ValueError("[register_parameter] '" + name + "' is a result of " + tensor.grad_op() +
                       ", a parameter must be a leaf: use detach()");
    }
    tensor.requires_grad_(true);
  }
  return add_slot(name, std::move(tensor), true).tensor;
}

Tensor& Module::register_buffer(const std::string& name, Tensor tensor) {
  check_name("register_buffer", name);
  if (tensor.defined()) set_category(tensor, Category::other);
  return add_slot(name, std::move(tensor), false).tensor;
}

void Module::add_child(const std::string& name, std::shared_ptr<Module> module) {
  check_name("register_module", name);
  if (!module) throw ValueError("[register_module] '" + name + "' is null");
  module->apply([this, &name](Module& m) {
    if (m.tree_ == tree_)
      throw ValueError("[register_module] '" + name + "' contains its new parent");
  });
  module->name_ = name;
  tree_->children.emplace_back(name, std::move(module));
}

// ---- walking

void Module::visit(const std::string& prefix, const SlotVisitor& f) const {
  for (const auto& slot : tree_->slots)
    if (slot->tensor.defined()) f(prefix + slot->name, *slot);
  for (const auto& [name, child] : tree_->children) child->visit(prefix + name + ".", f);
}

std::vector<std::pair<std::string, Tensor>> Module::collect(bool parameter) const {
  std::vector<std::pair<std::string, Tensor>> found;
  std::unordered_set<const TensorImpl*> seen;
  visit("", [&](const std::string& name, Slot& slot) {
    if (slot.parameter == parameter && seen.insert(slot.tensor.impl()).second)
      found.emplace_back(name, slot.tensor);
  });
  return found;
}

std::vector<std::pair<std::string, Tensor>> Module::named_parameters() const {
  return collect(true);
}
std::vector<std::pair<std::string, Tensor>> Module::named_buffers() const { return collect(false); }

static std::vector<Tensor> without_names(std::vector<std::pair<std::string, Tensor>> named) {
  std::vector<Tensor> tensors;
  tensors.reserve(named.size());
  for (auto& [name, tensor] : named) tensors.push_back(std::move(tensor));
  return tensors;
}
std::vector<Tensor> Module::parameters() const { return without_names(collect(true)); }
std::vector<Tensor> Module::buffers() const { return without_names(collect(false)); }

Module& Module::apply(const std::function<void(Module&)>& f) {
  for (const auto& [name, child] : tree_->children) child->apply(f);
  f(*this);
  return *this;
}

}  // namespace tinytorch
