// The lists of fork-safe mutexes, one for each step of a fork, and the handlers that walk them.
#include "core/runtime/fork.h"

#include <pthread.h>

namespace tinytorch {

struct ForkHandlers {
  struct List {
    std::mutex mutex;
    ForkSafe* first = nullptr;
  };
  List lists[kAtForkCount];

  ForkHandlers();
  List& of(AtFork what) { return lists[static_cast<int>(what)]; }
  template <class F>
  void each(List& list, F f) {
    for (ForkSafe* m = list.first; m; m = m->next_) f(*m);
  }
  static ForkHandlers& one() {
    static auto* handlers = new ForkHandlers;
    return *handlers;
  }

  static void before();
  static void in_parent();
  static void in_child();
};

ForkHandlers::ForkHandlers() { pthread_atfork(before, in_parent, in_child); }

void ForkHandlers::before() {
  ForkHandlers& self = one();
  for (int i = 0; i < kAtForkCount; ++i) {
    self.lists[i].mutex.lock();
    if (static_cast<AtFork>(i) == AtFork::reset) continue;
    self.each(self.lists[i], [](ForkSafe& m) { m.wait(); });
  }
}

void ForkHandlers::in_parent() {
  ForkHandlers& self = one();
  for (int i = kAtForkCount; i-- > 0;) {
    if (static_cast<AtFork>(i) != AtFork::reset)
      self.each(self.lists[i], [](ForkSafe& m) { m.release(); });
    self.lists[i].mutex.unlock();
  }
}

void ForkHandlers::in_child() {
  ForkHandlers& self = one();
  for (List& list : self.lists) {
    self.each(list, [](ForkSafe& m) { m.renew(); });
    list.mutex.unlock();
  }
}

ForkSafe::ForkSafe(AtFork what) : what_(what) {
  ForkHandlers::List& list = ForkHandlers::one().of(what);
  const std::lock_guard lock(list.mutex);
  next_ = list.first;
  if (next_) next_->previous_ = this;
  list.first = this;
}

ForkSafe::~ForkSafe() {
  ForkHandlers::List& list = ForkHandlers::one().of(what_);
  const std::lock_guard lock(list.mutex);
  (previous_ ? previous_->next_ : list.first) = next_;
  if (next_) next_->previous_ = previous_;
}

}  // namespace tinytorch
