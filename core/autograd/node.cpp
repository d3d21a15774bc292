// Life of nodes. Destroying a graph is iterative: a node dropped while another is being destroyed
// waits on the thread's list, so a chain of a million ops overflows no stack.
#include "core/autograd/node.h"

#include "core/autograd/extras.h"
#include "core/autograd/saved_tensor.h"

namespace tinytorch {

Node::~Node() { delete extras; }
void Node::apply(const Tensor*, Needs, Tensor*) {}

void destroy(Node* n) noexcept {
  ThreadState& t = thread_state();
  if (t.destroying) {
    n->next_doomed = t.doomed;
    t.doomed = n;
    return;
  }
  t.destroying = true;
  for (;;) {
    delete n;
    if (!t.doomed) break;
    n = t.doomed;
    t.doomed = n->next_doomed;
  }
  t.destroying = false;
}

void release_node(Node* n) noexcept { release(n); }

ListNode::ListNode(const char* name, ListFormula formula, size_t n)
    : Node(name), f(std::move(formula)), inputs(n) {
  n_inputs = static_cast<uint32_t>(n);
  leaf = false;
  edges = inputs.data();
}
ListNode::~ListNode() {
  for (Edge& e : inputs)
    if (e.node) release(e.node);
}
void ListNode::clear() noexcept {
  spent = true;
  f = nullptr;
}

void attach_list(std::vector<Tensor>& outputs, const char* op,
                 const std::vector<const Tensor*>& inputs, ListFormula f) {
  auto n = std::make_unique<ListNode>(op, std::move(f), inputs.size());
  n->n_outputs = static_cast<uint32_t>(outputs.size());
  if (outputs.size() > 1) n->more = std::make_unique<NodeOutput[]>(outputs.size() - 1);
  connect(n.get(), inputs.data(), inputs.size());
  Node* node = n.release();
  uint32_t linked = 0;
  for (uint32_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].defined()) continue;
    node->output(i).describe(outputs[i]);
    if (!is_floating(view_of(outputs[i]).dtype)) continue;
    outputs[i].impl()->link = node;
    outputs[i].impl()->output = i;
    if (linked++) node->refs.retain();
  }
  if (!linked) release(node);
}

Node* new_leaf(const Tensor& t) {
  auto* n = new Node("leaf");
  n->first.describe(t);
  return n;
}

NodeExtras& extras_of(Node* n) {
  if (!n->extras) {
    n->extras = new NodeExtras;
    // Somebody may read the leaf already, nobody knows since when: its turn is the last.
    if (n->leaf && !n->refs.unique()) n->extras->first_use.store(1, std::memory_order_relaxed);
  }
  return *n->extras;
}

void note_leaf_use(Node* leaf, uint64_t seq) noexcept {
  std::atomic<uint64_t>& first = leaf->extras->first_use;
  uint64_t have = first.load(std::memory_order_relaxed);
  while ((have == 0 || seq < have) &&
         !first.compare_exchange_weak(have, seq, std::memory_order_relaxed)) {
  }
}

void run_hooks(Node* n, uint32_t output, Tensor& grad) {
  if (!n->extras || !grad.defined()) return;
  const std::vector<NodeExtras::OneHook> hooks =
      n->extras->hooks;  // a hook may add or remove hooks
  for (const auto& h : hooks) {
    if (h.output != output) continue;
    Tensor replacement = h.hook(grad);
    if (!replacement.defined()) continue;
    if (!same_shape(view_of(replacement), view_of(grad)) ||
        view_of(replacement).dtype != view_of(grad).dtype)
      throw AutogradError("[hook] of '" + std::string(n->op) + "' returned " +
                          show(view_of(replacement)) + ", needed: " + show(view_of(grad)));
    grad = std::move(replacement);
  }
  for (auto& r : n->extras->retained)
    if (r.output == output) r.grad = grad;
}

void throw_changed(uint32_t saved, uint32_t now) {
  const Node* n = thread_state().current;
  throw AutogradError("[" + std::string(n ? n->op : "backward") +
                      "] a tensor needed for the gradient was changed in place: saved at version " +
                      std::to_string(saved) + ", now at " + std::to_string(now) +
                      "; change a clone() instead");
}
void throw_inference() {
  throw AutogradError(
      "[backward] a tensor made in InferenceMode cannot be saved for a gradient; clone() it "
      "outside first");
}

Tensor SavedOutput::operator()() const {
  Node* n = thread_state().current;
  if (s_->version != version_) throw_changed(version_, s_->version);
  NodeOutput& o = n->output(output_);
  TensorImpl* p = new_impl(o.dtype, o.rank, o.shape.d);
  s_->refs.retain();
  p->storage = s_;
  p->view.data = s_->block.data;
  if (!thread_state().no_grad) {
    n->refs.retain();
    p->link = n;
    p->output = output_;
  }
  return Tensor(p);
}

}  // namespace tinytorch
