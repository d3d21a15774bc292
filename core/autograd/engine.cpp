// The backward pass: nodes wait in a heap, youngest first, so when a node comes up all its
// gradients have arrived; no discovery pass, no recursion. Gradient buffers die as they are
// consumed. Runs on the calling thread and may be entered again from a formula.
#include "core/autograd/engine.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/reduce.h>

#include "core/autograd/extras.h"
#include "core/runtime/events.h"

namespace tinytorch {

namespace {

// Leaves with hooks take part with the place of their first reader, so that they come up right
// after it.
uint64_t place_of(const Node* n) {
  return n->leaf ? (n->extras ? n->extras->first_use.load(std::memory_order_relaxed) : 0) : n->seq;
}
bool older(const Node* a, const Node* b) {
  const uint64_t x = place_of(a), y = place_of(b);
  return x != y ? x < y : a->leaf && !b->leaf;
}

void drop_gradients(Node* n) noexcept {
  if (n->leaf) {
    if (n->extras) n->extras->pending = Tensor();
    return;
  }
  for (uint32_t i = 0; i < n->n_outputs; ++i) n->output(i).grad = Tensor();
}

// Holds a reference to every node in it. Small graphs stay in the inline array.
class Ready {
 public:
  Ready() = default;
  Ready(const Ready&) = delete;
  Ready& operator=(const Ready&) = delete;
  ~Ready() {  // not empty only after an exception
    for (size_t i = 0; i < size_; ++i) {
      drop_gradients(at_[i]);
      release(at_[i]);
    }
    if (at_ != inline_.data()) delete[] at_;
  }
  bool empty() const { return size_ == 0; }
  void make_room() {  // for one push, which then cannot fail
    if (size_ == capacity_) grow();
  }
  void push(Node* n) noexcept {
    at_[size_++] = n;
    if (size_ > 1) std::push_heap(at_, at_ + size_, older);
  }
  Node* pop() {
    if (size_ > 1) std::pop_heap(at_, at_ + size_, older);
    return at_[--size_];
  }

 private:
  void grow() {
    auto* bigger = new Node*[2 * capacity_];
    std::copy(at_, at_ + size_, bigger);
    if (at_ != inline_.data()) delete[] at_;
    at_ = bigger;
    capacity_ *= 2;
  }
  std::array<Node*, 32> inline_;
  Node** at_ = inline_.data();
  size_t size_ = 0, capacity_ = 32;
};

// A reference to a node that somebody has to release, also when an allocation fails on the way.
struct NodeRef {
  Node* n = nullptr;
  explicit NodeRef(Node* owned) : n(owned) {}
  NodeRef(NodeRef&& o) noexcept : n(std::exchange(o.n, nullptr)) {}
  NodeRef& operator=(NodeRef&&) = delete;
  ~NodeRef() {
    if (n) release(n);
  }
};

void accumulate(Tensor& into, Tensor&& g, bool leaf) {
  const bool plain = thread_state().no_grad;
  const Dtype dtype = view_of(g).dtype;
  if (!into.defined()) {
    into = !leaf || sole(g) ? std::move(g) : g.clone();  // a leaf never shares its gradient
  } else if (TT_UNLIKELY(is_storage_only(dtype))) {      // storage: sum in f32
    into = add(into.to(Dtype::f32), g.to(Dtype::f32)).to(dtype);
  } else if (plain && (sole(into) || (leaf && fixed_place(into)))) {
    into.add_(g);
  } else if (plain && sole(g)) {
    g.add_(into);
    into = std::move(g);
  } else {
    into = add(into, g);
  }
}

bool fits(const Tensor& g, const NodeOutput& o) {
  const View& v = view_of(g);
  if (v.rank != o.rank || v.dtype != o.dtype) return false;
  for (int i = 0; i < v.rank; ++i)
    if (v.shape[i] != o.shape[i]) return false;
  return true;
}

// Sums down what broadcasting stretched; refuses a gradient that cannot belong to the output.
TT_COLD void make_fit(Tensor& g, const NodeOutput& o, const char* op) {
  const Shape wanted(o.rank, o.shape.d);
  if (device_of(g) != o.device)
    throw AutogradError("[" + std::string(op) + "] gradient on " + device_of(g)->name +
                        ", needed: on " + o.device->name);
  if (!(shape_of(g) == wanted)) {
    bool reducible = view_of(g).rank >= o.rank;
    for (int i = 0; reducible && i < o.rank; ++i) {
      const int64_t have = view_of(g).shape[view_of(g).rank - o.rank + i];
      reducible = have == o.shape[i] || o.shape[i] == 1;
    }
    if (!reducible)
      throw AutogradError("[" + std::string(op) + "] gradient " + show(view_of(g)) +
                          ", needed: " + name_of(o.dtype) + " " + wanted.str());
    g = sum_to(g, wanted);
  }
  if (g.dtype() != o.dtype) g = g.to(o.dtype);
}

class Pass {
 public:
  Pass(const GradOptions& options, const std::vector<Tensor>* inputs, std::vector<Tensor>* results)
      : keep_(options.retain_graph || options.create_graph), inputs_(inputs), results_(results) {}

  void start(const Tensor& output, const Tensor& grad);
  void find_needed(const std::vector<Root>& roots);
  void run();

 private:
  void visit(Node* n);
  void finish_leaf(Node* n);
  void deliver(const Edge& e, Tensor&& g, NodeRef edge_reference);
  bool needed(const Node* n) const { return !inputs_ || needed_.count(n) != 0; }
  void capture(const Node* n, uint32_t output, const Tensor& g);

  Ready ready_;
  const bool keep_;
  const std::vector<Tensor>* inputs_;
  std::vector<Tensor>* results_;
  std::unordered_set<const Node*> needed_;  // the nodes on a way to an input
};

void Pass::start(const Tensor& output, const Tensor& grad) {
  if (!tracked(output))
    throw AutogradError(
        "[backward] the tensor has no history: no input required a gradient, or it was made under "
        "NoGrad");
  Node* n = output.impl()->link;
  if (!needed(n)) return;
  enter(n);
  Tensor g = grad;
  if (!g.defined()) {
    if (output.numel() != 1)
      throw AutogradError(
          "[backward] " + show(view_of(output)) +
          " has no gradient given, needed: a single element, or a gradient of that shape");
    g = ones_like(output);
  } else if (!fits(g, n->output(output.impl()->output)) || device_of(g) != device_of(output)) {
    throw AutogradError("[backward] gradient " + show(view_of(g)) + " on " + device_of(g)->name +
                        ", needed: " + show(view_of(output)) + " on " + device_of(output)->name);
  }
  deliver({n, output.impl()->output}, std::move(g), NodeRef(nullptr));
}

// Hands a gradient to the node that made the tensor. The edge's reference comes along where the
// graph is not kept.
void Pass::deliver(const Edge& e, Tensor&& g, NodeRef edge_reference) {
  Node* n = e.node;
  if (n->leaf && inputs_) {
    for (size_t i = 0; i < inputs_->size(); ++i)
      if ((*inputs_)[i].impl()->link == n) accumulate((*results_)[i], Tensor(g), false);
    return;
  }
  if (n->leaf && !n->extras) return accumulate(n->first.grad, std::move(g), true);
  ready_.make_room();
  bool waiting = n->leaf && n->extras->pending.defined();
  for (uint32_t i = 0; !n->leaf && i < n->n_outputs && !waiting; ++i)
    waiting = n->output(i).grad.defined();
  accumulate(n->leaf ? n->extras->pending : n->output(e.output).grad, std::move(g), false);
  if (waiting) return;
  if (!edge_reference.n) n->refs.retain();
  edge_reference.n = nullptr;  // the heap's now
  ready_.push(n);
}

void Pass::capture(const Node* n, uint32_t output, const Tensor& g) {
  for (size_t i = 0; i < inputs_->size(); ++i) {
    const TensorImpl* p = (*inputs_)[i].impl();
    if (p->link == n && p->output == output) (*results_)[i] = g;
  }
}

void Pass::finish_leaf(Node* n) {
  Tensor g = std::move(n->extras->pending);
  // Readers of other graphs keep their place; two references are the tensor's and the heap's.
  if (n->refs.count() <= 2) n->extras->first_use.store(0, std::memory_order_relaxed);
  run_hooks(n, 0, g);
  accumulate(n->first.grad, std::move(g), true);
}

[[noreturn]] TT_COLD void throw_spent(const Node* n) {
  throw AutogradError(
      "[" + std::string(n->op) +
      "] this graph was already walked and freed; pass retain_graph the first time");
}

void Pass::visit(Node* n) {
  if (n->spent) {
    drop_gradients(n);
    throw_spent(n);
  }
  enter(n);
  Tensor one;
  std::vector<Tensor> many;
  const Tensor* grads_out = &one;
  if (n->n_outputs == 1) {
    one = std::move(n->first.grad);
  } else {
    for (uint32_t i = 0; i < n->n_outputs; ++i) many.push_back(std::move(n->output(i).grad));
    grads_out = many.data();
  }
  auto grad_of = [&](uint32_t i) -> Tensor& { return n->n_outputs == 1 ? one : many[i]; };
  if (TT_UNLIKELY(n->extras != nullptr))
    for (uint32_t i = 0; i < n->n_outputs; ++i) run_hooks(n, i, grad_of(i));
  if (TT_UNLIKELY(inputs_ != nullptr))
    for (uint32_t i = 0; i < n->n_outputs; ++i) capture(n, i, grad_of(i));

  Needs need{0};
  for (uint32_t i = 0; i < n->n_inputs; ++i) {
    const Node* e = n->edges[i].node;
    if (e && needed(e) && i < 64) need.bits |= uint64_t{1} << i;
  }
  std::array<Tensor, kMaxFormulaInputs> few;
  std::vector<Tensor> more;
  Tensor* grads_in = few.data();
  if (n->n_inputs > kMaxFormulaInputs) {
    more.resize(n->n_inputs);
    grads_in = more.data();
  }
  const bool walked = need.bits || n->n_inputs > 64;  // else an input of grad(): stays as it is
  if (walked) n->apply(grads_out, need, grads_in);
  one = Tensor();
  many.clear();
  if (!walked) return;
  if (!keep_) n->clear();  // what the formula kept dies before the gradients move on

  for (uint32_t i = 0; i < n->n_inputs; ++i) {
    Edge& e = n->edges[i];
    if (!e.node) continue;
    Tensor& g = grads_in[i];
    if (g.defined() && needed(e.node)) {
      const NodeOutput& o = e.node->output(e.output);
      if (TT_UNLIKELY(!fits(g, o) || device_of(g) != o.device)) make_fit(g, o, n->op);
      const Edge edge = e;
      deliver(edge, std::move(g), NodeRef(keep_ ? nullptr : std::exchange(e.node, nullptr)));
    } else if (!keep_) {
      release(std::exchange(e.node, nullptr));
    }
  }
}

void Pass::run() {
  while (!ready_.empty()) {
    struct Hold {
      Node* n;
      ~Hold() { release(n); }
    } hold{ready_.pop()};
    if (hold.n->leaf) {
      finish_leaf(hold.n);
    } else {
      visit(hold.n);
      thread_state().current = nullptr;
    }
  }
}

// Marks the nodes from which an input can be reached, depth first without recursion.
void Pass::find_needed(const std::vector<Root>& roots) {
  std::unordered_map<const Node*, bool> seen;
  struct Frame {
    Node* n;
    uint32_t next;
  };
  std::vector<Frame> stack;
  auto open = [&](Node* n) {
    if (n->spent) throw_spent(n);
    bool wanted = false;
    for (const Tensor& t : *inputs_) wanted |= t.impl()->link == n;
    seen[n] = wanted;
    stack.push_back({n, 0});
  };
  for (const Root& r : roots) {
    if (!tracked(r.output) || seen.count(r.output.impl()->link)) continue;
    open(r.output.impl()->link);
    while (!stack.empty()) {
      Frame& f = stack.back();
      if (f.next < f.n->n_inputs) {
        Node* e = f.n->edges[f.next++].node;
        if (e && !seen.count(e)) open(e);
        continue;
      }
      bool wanted = seen[f.n];
      for (uint32_t i = 0; i < f.n->n_inputs && !wanted; ++i)
        if (const Node* e = f.n->edges[i].node) wanted = seen[e];
      seen[f.n] = wanted;
      stack.pop_back();
    }
  }
  for (const auto& [n, wanted] : seen)
    if (wanted) needed_.insert(n);
}

// What a pass changes on its thread, put back however it ends. Between nodes current is null, and
// module that of the last one: hooks of a leaf run there.
struct Ambient {
  ThreadState& t = thread_state();
  const bool no_grad = t.no_grad;
  Node* const current = t.current;
  const char* const module = t.module;
  explicit Ambient(bool create_graph) { t.no_grad = !create_graph; }
  ~Ambient() {
    t.no_grad = no_grad;
    t.current = current;
    t.module = module;
  }
};

}  // namespace

void run_backward(const Tensor& output, const Tensor& grad, bool retain_graph, bool create_graph) {
  Ambient ambient(create_graph);
  PhaseGuard phase(Phase::backward);
  Pass pass({.retain_graph = retain_graph, .create_graph = create_graph}, nullptr, nullptr);
  pass.start(output, grad);
  pass.run();
}

void run_backward(const std::vector<Root>& roots, const GradOptions& options,
                  const std::vector<Tensor>* inputs, std::vector<Tensor>* results) {
  Ambient ambient(options.create_graph);
  PhaseGuard phase(Phase::backward);
  Pass pass(options, inputs, results);
  if (inputs) pass.find_needed(roots);
  for (const Root& r : roots) pass.start(r.output, r.grad);
  pass.run();
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& grad_outputs, GradOptions options) {
  if (!grad_outputs.empty() && grad_outputs.size() != outputs.size())
    throw AutogradError("[grad] " + std::to_string(outputs.size()) + " outputs and " +
                        std::to_string(grad_outputs.size()) +
                        " gradients, needed: one each, or none");
  std::vector<Root> roots;
  for (size_t i = 0; i < outputs.size(); ++i)
    roots.push_back({outputs[i], grad_outputs.empty() ? Tensor() : grad_outputs[i]});
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!tracked(inputs[i]))
      throw AutogradError("[grad] input " + std::to_string(i) + " does not require a gradient");
  std::vector<Tensor> results(inputs.size());
  run_backward(roots, options, &inputs, &results);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!results[i].defined() && !options.allow_unused)
      throw AutogradError(
          "[grad] input " + std::to_string(i) +
          " has no influence on the outputs; pass allow_unused to get an undefined gradient");
  return results;
}

void backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& grad_outputs,
              GradOptions options) {
  if (!grad_outputs.empty() && grad_outputs.size() != outputs.size())
    throw AutogradError("[backward] " + std::to_string(outputs.size()) + " outputs and " +
                        std::to_string(grad_outputs.size()) +
                        " gradients, needed: one each, or none");
  std::vector<Root> roots;
  for (size_t i = 0; i < outputs.size(); ++i)
    roots.push_back({outputs[i], grad_outputs.empty() ? Tensor() : grad_outputs[i]});
  run_backward(roots, options);
}

}  // namespace tinytorch
