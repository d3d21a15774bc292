// The graph: a node per recorded op, edges to the nodes of its inputs. The formula of a gradient is
// a lambda beside the forward; only what it captures is kept alive. Ops call tracked() and
// attach(); nothing else here concerns them.
#pragma once

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include <tinytorch/autograd.h>

#include "core/runtime/recording.h"
#include "core/tensor/tensor_impl.h"

namespace tinytorch {

inline constexpr int kMaxFormulaInputs = 4;

// Which gradients a formula has to give: one bit per input.
struct Needs {
  uint64_t bits;
  bool operator[](int i) const { return bits >> i & 1; }
};

// What a formula returns: one gradient per input, undefined where none is wanted.
struct Grads {
  Tensor g[kMaxFormulaInputs];
  template <class... T>
  Grads(T&&... t) : g{std::forward<T>(t)...} {}
};

struct Edge {
  Node* node = nullptr;
  uint32_t output = 0;
};

// What is known of one output, and its gradient while it is being summed (of a leaf: the result).
struct NodeOutput {
  Tensor grad;
  DeviceState* device = nullptr;
  Dtype dtype = Dtype::f32;
  uint8_t rank = 0;
  Dims shape;

  void describe(const Tensor& t) {
    const View& v = view_of(t);
    device = device_of(t);
    dtype = v.dtype;
    rank = v.rank;
    shape.assign(v.rank, v.shape.d);
  }
};

using Hook = std::function<Tensor(const Tensor&)>;
struct NodeExtras;  // hooks and retained gradients; few nodes have them

struct Node {
  Refs refs;
  uint32_t n_inputs = 0, n_outputs = 1;
  bool leaf = true, spent = false;
  uint64_t seq =
      0;  // greater than that of every input, so that a heap orders the backward pass; 0: a leaf
  const char* op;
  const char* module = nullptr;  // where it was made
  Edge* edges = nullptr;
  NodeOutput first;
  std::unique_ptr<NodeOutput[]> more;  // outputs 1, 2, ...
  NodeExtras* extras = nullptr;
  Node* next_doomed = nullptr;

  explicit Node(const char* name) : op(name) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node();
  // grads_out has n_outputs entries, grads_in n_inputs, undefined at first.
  virtual void apply(const Tensor* grads_out, Needs need, Tensor* grads_in);
  virtual void clear() noexcept {}  // drops what the formula keeps

  NodeOutput& output(uint32_t i) { return i == 0 ? first : more[i - 1]; }
  static void* operator new(size_t n) { return pool_get(n); }
  static void operator delete(void* p, size_t n) { pool_put(p, n); }
};
void destroy(Node* n) noexcept;
inline void release(Node* n) noexcept {
  if (n->refs.release()) destroy(n);
}

// A node whose formula is f(g, need) or f(g), for ops with one output.
template <class F, int N>
struct NodeOf final : Node {
  union {
    F f;
  };
  Edge inputs[N];

  NodeOf(const char* name, F&& formula) : Node(name), f(std::move(formula)) {
    n_inputs = N;
    leaf = false;
    edges = inputs;
  }
  ~NodeOf() override {
    if (!spent) f.~F();
    for (Edge& e : inputs)
      if (e.node) release(e.node);
  }
  void clear() noexcept override {
    if (spent) return;
    spent = true;
    f.~F();
  }
  void apply(const Tensor* grads_out, Needs need, Tensor* grads_in) override {
    Grads grads = call(grads_out[0], need);
    for (int i = 0; i < N; ++i) grads_in[i] = std::move(grads.g[i]);
  }

 private:
  Grads call(const Tensor& g, Needs need) {
    if constexpr (std::is_invocable_v<F&, const Tensor&, Needs>) {
      return f(g, need);
    } else {
      (void)need;
      return f(g);
    }
  }
};

// A node with any number of inputs and outputs: f(grads_out, need, grads_in).
using ListFormula = std::function<void(const Tensor* grads_out, Needs need, Tensor* grads_in)>;
struct ListNode final : Node {
  ListFormula f;
  std::vector<Edge> inputs;
  ListNode(const char* name, ListFormula formula, size_t n);
  ~ListNode() override;
  void clear() noexcept override;
  void apply(const Tensor* grads_out, Needs need, Tensor* grads_in) override {
    f(grads_out, need, grads_in);
  }
};

TT_INLINE bool tracked(const Tensor& t) { return t.defined() && t.impl()->link != nullptr; }
template <class... T>
TT_INLINE bool recording(const T&... t) {
  return !thread_state().no_grad && (tracked(t) || ...);
}
// t, if the gradient of `other` will ask for it; else nothing is kept.
inline Tensor used_by(const Tensor& other, const Tensor& t) {
  return tracked(other) ? t : Tensor();
}

struct In {  // an input by address: {a, b} copies no handle
  const Tensor* t;
  In(const Tensor& x) : t(&x) {}
};

void note_leaf_use(Node* leaf, uint64_t seq) noexcept;  // of a leaf with extras

// Gives `n` its edges and its place in the order. Inputs that want no gradient get no edge.
inline void connect(Node* n, const Tensor* const* in, size_t count) {
  ThreadState& t = thread_state();
  uint64_t seq = t.seq;
  for (size_t i = 0; i < count; ++i) {
    if (!tracked(*in[i])) continue;
    Node* e = in[i]->impl()->link;
    e->refs.retain();
    n->edges[i] = {e, in[i]->impl()->output};
    if (!e->leaf && e->seq > seq) seq = e->seq;
  }
  n->seq = t.seq = seq + 1;
  n->module = t.module;
  for (size_t i = 0; i < count; ++i) {
    Node* e = n->edges[i].node;
    if (TT_UNLIKELY(e && e->leaf && e->extras)) note_leaf_use(e, n->seq);
  }
}

// Records the op that made `out`: inputs, and the formula of their gradients. Call it only where
// recording(inputs...).
template <int N, class F>
inline Tensor attach(Tensor& out, const char* op, const In (&in)[N], F f) {
  static_assert(N <= kMaxFormulaInputs);
  auto* n = new NodeOf<F, N>(op, std::move(f));
  const Tensor* inputs[N];
  for (int i = 0; i < N; ++i) inputs[i] = in[i].t;
  connect(n, inputs, N);
  n->first.describe(out);
  out.impl()->link = n;
  return std::move(out);
}
void attach_list(std::vector<Tensor>& outputs, const char* op,
                 const std::vector<const Tensor*>& inputs, ListFormula f);

// Nobody else can see it: it may be taken, or changed in place.
inline bool sole(const Tensor& t) {
  const TensorImpl* p = t.impl();
  return p->refs.unique() && p->storage->refs.unique() && !p->link && p->view.contiguous &&
         !p->storage->foreign;
}

// The gradient of a leaf keeps its memory in a capture: every replay adds to the same.
inline bool fixed_place(const Tensor& leaf_gradient) {
  return capturing() && !leaf_gradient.impl()->link && view_of(leaf_gradient).contiguous;
}

// The gradient function of a leaf.
Node* new_leaf(const Tensor& t);

}  // namespace tinytorch
