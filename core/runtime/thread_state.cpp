// The slow side of the object pools. Surplus moves half a list at a time to a central list, and a
// thread that ends hands back all it has, so memory freed by another thread than took it stays
// bounded. Nothing here is ever destroyed.
#include "core/runtime/thread_state.h"

#include <new>
#include <vector>

#include "core/runtime/fork.h"

namespace tinytorch {

constinit thread_local ThreadState thread_state_tls{};

namespace {

constexpr size_t kCarve = 4096;

// Chains of free objects, linked through their first two words so that handing one back allocates
// nothing.
struct Chain {
  FreeItem item;  // the chain itself
  Chain* next_chain;
};

struct Central {
  ForkSafeMutex<std::mutex> mutex;
  Chain* chains[kPoolBins] = {};
};
Central& central() {
  static auto* c = new Central;
  return *c;
}

void hand_back(PoolBin& b, unsigned bin, uint32_t keep) noexcept {
  FreeItem* head = b.head;
  if (keep == 0) {
    b.head = nullptr;
  } else {
    FreeItem* last = head;
    for (uint32_t i = 1; i < keep; ++i) last = last->next;
    head = last->next;
    last->next = nullptr;
  }
  b.count = keep;
  if (!head) return;
  auto* chain = reinterpret_cast<Chain*>(head);
  Central& c = central();
  std::lock_guard lock(c.mutex);
  chain->next_chain = c.chains[bin];
  c.chains[bin] = chain;
}

void register_thread(ThreadState& t) {
  struct AtExit {
    ThreadState* t;
    ~AtExit() {
      t->pool_limit = 0;
      t->pool_dead = true;
      for (unsigned i = 0; i < kPoolBins; ++i) hand_back(t->bins[i], i, 0);
    }
  };
  static thread_local AtExit at_exit{&t};
  (void)at_exit;
  t.pool_limit = kPoolLimit;
}

}  // namespace

void* pool_get_slow(ThreadState& t, unsigned bin) {
  if (!t.pool_limit && !t.pool_dead) register_thread(t);
  PoolBin& b = t.bins[bin];
  {
    Central& c = central();
    std::lock_guard lock(c.mutex);
    if (Chain* chain = c.chains[bin]) {
      c.chains[bin] = chain->next_chain;
      b.head = &chain->item;
    }
  }
  if (!b.head) {
    const size_t size = (bin + 1) * kPoolGrain;
    char* p = static_cast<char*>(::operator new(kCarve, std::align_val_t(kPoolGrain)));
    for (size_t i = 0; i + size <= kCarve; i += size) {
      auto* item = reinterpret_cast<FreeItem*>(p + i);
      item->next = b.head;
      b.head = item;
    }
  }
  b.count = 0;
  for (FreeItem* f = b.head; f; f = f->next) ++b.count;
  FreeItem* p = b.head;
  b.head = p->next;
  --b.count;
  return p;
}

void pool_put_slow(ThreadState& t, unsigned bin) noexcept {
  if (!t.pool_limit && !t.pool_dead) return register_thread(t);
  hand_back(t.bins[bin], bin, t.pool_dead ? 0 : kPoolLimit / 2);
}

}  // namespace tinytorch
