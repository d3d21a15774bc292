// See fusion.h. A chain is a run of launches that follow one another and work on equally many
// elements, element by element; each piece of an operand is read and written at its own place only.
#include "core/runtime/fusion.h"

#include <algorithm>
#include <utility>

#include "core/runtime/arena_plan.h"
#include "core/runtime/events.h"

namespace tinytorch {

namespace {

// Elements. Measured on Cascade Lake (32 KB, 1 MB) with chains of 2 to 8 operations in f32.
constexpr int64_t kPiece = 2 << 10;
constexpr int64_t kTask = 16 * kPiece;  // what one thread takes at a time
constexpr int64_t kLeast = 8 * kPiece;  // below it operands stay in the cache anyway
constexpr int kMaxOperands = 4;
constexpr size_t kMaxParts = 16;

struct Operand {
  void* data;
  Dtype dtype;
  bool repeated;  // one element for all
  bool in_slot;   // `data` is unused: at `offset` of the running task's slot
  size_t offset;

  View piece(char* slot, int64_t begin, int64_t n) const {
    View v;
    const auto at = repeated || in_slot ? 0 : begin * static_cast<int64_t>(size_of(dtype));
    v.data = in_slot ? slot + offset : static_cast<char*>(data) + at;
    v.numel = n;
    v.rank = 1;
    v.dtype = dtype;
    v.contiguous = !repeated;
    v.shape[0] = n;
    v.strides[0] = !repeated;
    return v;
  }
};

struct Part {
  void (*run)(const Part&, KernelContext&, char* slot, int64_t begin, int64_t n);
  BoundLaunch* launch;
  Operand operands[kMaxOperands];
};

struct Chain : BoundLaunch {
  Backend* backend;
  int64_t numel;
  const Part* parts;
  size_t count, slot_bytes;
  int slots;
};

void run_task(void* argument, int64_t task, int slot) {
  const auto& [chain, context] = *static_cast<std::pair<const Chain*, KernelContext*>*>(argument);
  KernelContext c = *context;
  char* memory = chain->workspace + static_cast<size_t>(slot) * chain->slot_bytes;
  const int64_t end = std::min((task + 1) * kTask, chain->numel);
  for (int64_t begin = task * kTask; begin < end; begin += kPiece) {
    const int64_t n = std::min(kPiece, end - begin);
    for (size_t i = 0; i < chain->count; ++i) {
      const Part& part = chain->parts[i];
      c.op = part.launch->op;
      part.run(part, c, memory, begin, n);
    }
  }
}

void run_chain(BoundLaunch& launch, KernelContext& c) {
  const auto& chain = static_cast<Chain&>(launch);
  std::pair<const Chain*, KernelContext*> argument(&chain, &c);
  chain.backend->run_tasks((chain.numel + kTask - 1) / kTask, chain.slots, run_task, &argument);
}

// ---- what can be part of a chain

struct Candidate {
  Part part;
  Kept<View>* views[kMaxOperands];  // the output first
  int count = 0;

  void add(Kept<View>& v) { views[count++] = &v; }
  template <class T>
  void add(Kept<T>&) {}  // a parameter
};

// Calls a kernel with pieces instead of the views that were recorded.
template <class Function>
struct Pieces;
template <class... P>
struct Pieces<void (*)(KernelContext&, P...)> {
  using Call = BoundCall<P...>;
  static constexpr bool kIsView[] = {std::is_same_v<std::remove_cvref_t<P>, View>...};
  static constexpr int views_before(size_t argument) {
    int n = 0;
    for (size_t i = 0; i < argument; ++i) n += kIsView[i];
    return n;
  }
  template <size_t I>
  static const auto& pick(const Call& call, const View* views) {
    if constexpr (kIsView[I]) {
      return views[views_before(I)];
    } else {
      return std::get<I>(call.args).value;
    }
  }
  static void run(const Part& part, KernelContext& c, char* slot, int64_t begin, int64_t n) {
    constexpr int kViews = views_before(sizeof...(P));
    View views[kViews];
    for (int i = 0; i < kViews; ++i) views[i] = part.operands[i].piece(slot, begin, n);
    const auto& call = static_cast<const Call&>(*part.launch);
    [&]<size_t... I>(std::index_sequence<I...>) { call.kernel(c, pick<I>(call, views)...); }
    (std::index_sequence_for<P...>());
  }
};

template <auto kRow>
bool matches(BoundLaunch* launch, const KernelTable& kernels, Candidate& out) {
  using Function = std::remove_cvref_t<decltype(kernels.*kRow)>;
  using Call = typename Pieces<Function>::Call;
  if (launch->run != &Call::run_it) return false;
  auto* call = static_cast<Call*>(launch);
  if (call->kernel != kernels.*kRow) return false;
  out.part.run = &Pieces<Function>::run;
  out.part.launch = launch;
  std::apply([&](auto&... kept) { (out.add(kept), ...); }, call->args);
  return true;
}

bool is_repeated(const View& v) {
  for (int i = 0; i < v.rank; ++i)
    if (v.shape[i] != 1 && v.strides[i] != 0) return false;
  return true;
}

// Integers stay out: their kernels report the places of bad values.
bool fits(const Candidate& c) {
  const int64_t numel = c.views[0]->value.numel;
  if (numel < kLeast || !c.views[0]->value.contiguous) return false;
  for (int i = 0; i < c.count; ++i) {
    const View& v = c.views[i]->value;
    const bool real = v.dtype == Dtype::f32 || v.dtype == Dtype::f64 || v.dtype == Dtype::bool_;
    if (!real || v.numel != numel || !(v.contiguous || is_repeated(v))) return false;
  }
  return true;
}

bool elementwise(BoundLaunch* launch, const KernelTable& kernels, Candidate& out) {
  return (matches<&KernelTable::unary>(launch, kernels, out) ||
          matches<&KernelTable::binary>(launch, kernels, out) ||
          matches<&KernelTable::where>(launch, kernels, out) ||
          matches<&KernelTable::masked_scale>(launch, kernels, out)) &&
         fits(out);
}

// May a piece of `a` be used before or after any other piece of `b`?
bool independent(const Kept<View>& a, const Kept<View>& b) {
  if (a.block != b.block) return true;
  const View &v = a.value, &w = b.value;
  if (v.data == w.data && v.contiguous && w.contiguous && size_of(v.dtype) == size_of(w.dtype))
    return true;
  const auto end = [](const View& x) {
    return x.as<char>() + (x.contiguous ? bytes_of(x) : static_cast<int64_t>(size_of(x.dtype)));
  };
  return end(v) <= w.as<char>() || end(w) <= v.as<char>();
}

bool can_follow(const std::vector<Candidate>& chain, const Candidate& next) {
  if (chain.size() == kMaxParts) return false;
  if (chain[0].views[0]->value.numel != next.views[0]->value.numel) return false;
  for (const Candidate& c : chain)
    for (int i = 0; i < c.count; ++i)
      for (int k = 0; k < next.count; ++k)
        if ((i == 0 || k == 0) && !independent(*c.views[i], *next.views[k])) return false;
  return true;
}

// ---- making the chain

class Fusion {
 public:
  explicit Fusion(Recording& r) : r_(r) {}
  void run();

 private:
  void finish(std::vector<Candidate>& chain, size_t first);
  Chain* make_chain(std::vector<Candidate>& candidates, size_t first, size_t last);
  bool passes_through(const RecordedBlock& block, int64_t bytes, size_t first, size_t last) const;

  Recording& r_;
  std::vector<BoundLaunch*> launches_;
  std::vector<int64_t> number_;  // of every old launch
};

// Is the block used by launches of the chain only?
bool Fusion::passes_through(const RecordedBlock& b, int64_t bytes, size_t first,
                            size_t last) const {
  return !b.storage && b.first >= static_cast<int64_t>(first) &&
         b.last <= static_cast<int64_t>(last) && static_cast<int64_t>(b.bytes) == bytes;
}

Chain* Fusion::make_chain(std::vector<Candidate>& candidates, size_t first, size_t last) {
  auto* chain = new (r_.pages.take(sizeof(Chain))) Chain{};
  Part* parts = r_.pages.array<Part>(candidates.size());
  std::map<int64_t, size_t> slots;  // block -> offset
  std::string name;
  for (size_t p = 0; p < candidates.size(); ++p) {
    Candidate& c = candidates[p];
    for (int i = 0; i < c.count; ++i) {
      const Kept<View>& kept = *c.views[i];
      Operand& o = c.part.operands[i];
      o = {kept.value.data, kept.value.dtype, !kept.value.contiguous, false, 0};
      const bool inner = kept.block >= 0 && kept.value.contiguous &&
                         passes_through(r_.blocks[static_cast<size_t>(kept.block)],
                                        bytes_of(kept.value), first, last);
      if (!inner) {
        chain->cost.bytes += static_cast<double>(bytes_of(kept.value));
        continue;
      }
      o.in_slot = true;
      const auto [slot, fresh] = slots.try_emplace(kept.block, chain->slot_bytes);
      o.offset = slot->second;
      if (fresh) chain->slot_bytes += static_cast<size_t>(kPiece) * size_of(kept.value.dtype);
    }
    parts[p] = c.part;
    for (int i = 0; i < c.count; ++i) {
      if (c.views[i]->block >= 0 && !parts[p].operands[i].in_slot)
        r_.patches.push_back({&parts[p].operands[i].data, static_cast<size_t>(c.views[i]->block)});
    }
    chain->cost.flops += c.part.launch->cost.flops;
    name += (p ? "+" : "") + std::string(c.part.launch->op);
  }
  for (const auto& [block, offset] : slots) r_.blocks[static_cast<size_t>(block)].first = -1;
  const BoundLaunch& front = *candidates[0].part.launch;
  chain->run = run_chain;
  chain->op = interned(name);
  chain->module = front.module;
  chain->forward_op = front.forward_op;
  chain->phase = front.phase;
  chain->backend = r_.device->backend;
  chain->numel = candidates[0].views[0]->value.numel;
  chain->parts = parts;
  chain->count = candidates.size();
  chain->slots = chain->backend->num_threads();
  chain->workspace_bytes = static_cast<size_t>(chain->slots) * chain->slot_bytes;
  return chain;
}

void Fusion::finish(std::vector<Candidate>& chain, size_t first) {
  if (chain.size() == 1) {
    launches_.push_back(chain[0].part.launch);
  } else if (chain.size() > 1) {
    launches_.push_back(make_chain(chain, first, first + chain.size() - 1));
  }
  chain.clear();
}

void Fusion::run() {
  std::vector<Candidate> chain;
  size_t first = 0;
  for (size_t i = 0; i < r_.launches.size(); ++i) {
    Candidate next;
    const bool part = elementwise(r_.launches[i], *r_.device->kernels, next);
    if (!part || (!chain.empty() && !can_follow(chain, next))) finish(chain, first);
    if (part && chain.empty()) first = i;
    if (part) chain.push_back(next);
    if (!part) launches_.push_back(r_.launches[i]);
    number_.push_back(static_cast<int64_t>(launches_.size()) - !part);
  }
  finish(chain, first);
  for (RecordedBlock& b : r_.blocks) {
    if (b.first < 0) continue;
    b.first = number_[static_cast<size_t>(b.first)];
    b.last = number_[static_cast<size_t>(b.last)];
  }
  r_.launches = std::move(launches_);
}

}  // namespace

void fuse_elementwise(Recording& r) { Fusion(r).run(); }

}  // namespace tinytorch
