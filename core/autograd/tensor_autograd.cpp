// The autograd half of Tensor's methods, and the thread's modes.
#include "core/autograd/engine.h"
#include "core/autograd/extras.h"
#include "core/runtime/events.h"
#include "core/runtime/fork.h"

namespace tinytorch {

namespace {

const char* running_node() noexcept {
  const Node* n = thread_state().current;
  return n ? n->op : nullptr;
}
[[maybe_unused]] const bool installed = (current_node_name = running_node, true);

std::atomic<uint64_t> g_hook_id{0};

}  // namespace

bool Tensor::requires_grad() const noexcept { return tracked(*this); }
bool Tensor::is_leaf() const noexcept { return !tracked(*this) || impl_->link->leaf; }
const char* Tensor::grad_op() const noexcept { return is_leaf() ? "" : impl_->link->op; }

Tensor& Tensor::requires_grad_(bool on) {
  check_defined("requires_grad_", *this);
  if (on == requires_grad()) return *this;
  if (!on) {
    if (!impl_->link->leaf)
      throw AutogradError("[requires_grad_] of a result ('" + std::string(impl_->link->op) +
                          "'), needed: a leaf; use detach()");
    release(std::exchange(impl_->link, nullptr));
    return *this;
  }
  if (!is_floating(impl_->view.dtype))
    throw DtypeError("[requires_grad_] " + show(impl_->view) + ", needed: a floating dtype");
  if (impl_->storage->inference)
    throw AutogradError(
        "[requires_grad_] the tensor was made in InferenceMode; clone() it outside first");
  impl_->link = new_leaf(*this);
  impl_->output = 0;
  retag(impl_->storage, Category::parameter);
  return *this;
}

Tensor Tensor::grad() const {
  check_defined("grad", *this);
  if (!impl_->link) return {};
  if (impl_->link->leaf) return impl_->link->first.grad;
  if (impl_->link->extras)
    for (const auto& r : impl_->link->extras->retained)
      if (r.output == impl_->output) return r.grad;
  return {};
}

void Tensor::set_grad(const Tensor& g) {
  check_defined("set_grad", *this);
  if (!impl_->link || !impl_->link->leaf)
    throw AutogradError("[set_grad] needed: a leaf that requires a gradient");
  if (g.defined()) {
    check_device("set_grad", *this, g);
    if (!same_shape(impl_->view, view_of(g)))
      throw ShapeError("[set_grad] gradient " + show(view_of(g)) +
                       ", needed: " + show(impl_->view));
    if (impl_->view.dtype != view_of(g).dtype)
      throw DtypeError("[set_grad] gradient " + show(view_of(g)) +
                       ", needed: " + show(impl_->view));
  }
  impl_->link->first.grad = g;
}

void Tensor::zero_grad() {
  check_defined("zero_grad", *this);
  if (impl_->link && impl_->link->leaf) impl_->link->first.grad = Tensor();
}

Tensor& Tensor::retain_grad() {
  check_defined("retain_grad", *this);
  if (!impl_->link) throw AutogradError("[retain_grad] needed: a tensor that requires a gradient");
  if (impl_->link->leaf) return *this;
  NodeExtras& x = extras_of(impl_->link);
  for (const auto& r : x.retained)
    if (r.output == impl_->output) return *this;
  x.retained.push_back({impl_->output, Tensor()});
  return *this;
}

uint64_t Tensor::register_hook(std::function<Tensor(const Tensor&)> hook) const {
  check_defined("register_hook", *this);
  if (!impl_->link)
    throw AutogradError("[register_hook] needed: a tensor that requires a gradient");
  if (!hook) throw ValueError("[register_hook] the function is empty");
  const uint64_t id = g_hook_id.fetch_add(1, std::memory_order_relaxed) + 1;
  extras_of(impl_->link).hooks.push_back({id, impl_->output, std::move(hook)});
  return id;
}

void Tensor::remove_hook(uint64_t id) const {
  check_defined("remove_hook", *this);
  if (!impl_->link || !impl_->link->extras) return;
  std::erase_if(impl_->link->extras->hooks, [id](const auto& h) { return h.id == id; });
}

void Tensor::backward(bool retain_graph, bool create_graph) const {
  backward(Tensor(), retain_graph, create_graph);
}
void Tensor::backward(const Tensor& gradient, bool retain_graph, bool create_graph) const {
  check_defined("backward", *this);
  run_backward(*this, gradient, retain_graph, create_graph);
}

Tensor Tensor::detach() const {
  check_defined("detach", *this);
  return alias(*this, shape_of(*this), strides(), 0);
}

// ---- modes

bool grad_enabled() noexcept { return !thread_state().no_grad; }
bool set_grad_enabled(bool on) noexcept {
  ThreadState& t = thread_state();
  const bool was = !t.no_grad;
  t.no_grad = !on || t.inference;
  return was;
}

InferenceMode::InferenceMode() noexcept
    : before_grad_(set_grad_enabled(false)), before_(thread_state().inference) {
  thread_state().inference = true;
}
InferenceMode::~InferenceMode() {
  thread_state().inference = before_;
  set_grad_enabled(before_grad_);
}

// The hook bit is set while any thread is in the mode.
static void count_anomaly_users(int change) {
  static auto* mutex = new ForkSafeMutex<std::mutex>;
  static int users = 0;
  const std::lock_guard lock(*mutex);
  users += change;
  if (users) {
    detail::hooks.fetch_or(detail::kAnomaly);
  } else {
    detail::hooks.fetch_and(~detail::kAnomaly);
  }
}
AnomalyMode::AnomalyMode() : before_(thread_state().anomaly) {
  count_anomaly_users(1);
  thread_state().anomaly = true;
}
AnomalyMode::~AnomalyMode() {
  thread_state().anomaly = before_;
  count_anomaly_users(-1);
}

}  // namespace tinytorch
