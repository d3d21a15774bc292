// Mutexes that a fork leaves free in the child, whichever thread held them. For every mutex of core
// that outlives a call.
#pragma once

#include <mutex>
#include <new>

namespace tinytorch {

// What a fork does about a mutex. It takes them in this order, so a thread that holds one may wait
// for a later one only. Allocators come before all (they register their own handlers, later), so
// none that a fork waits for may be held while memory is taken from a backend.
enum class AtFork {
  wait_registry,  // opens backends
  wait_observers,
  wait_leaf,  // nothing is waited for under it
  reset       // not waited for: what it guards may be half written in the child, and bears that
};
inline constexpr int kAtForkCount = 4;

class ForkSafe {
 public:
  ForkSafe(const ForkSafe&) = delete;
  ForkSafe& operator=(const ForkSafe&) = delete;

 protected:
  explicit ForkSafe(AtFork what);
  virtual ~ForkSafe();

 private:
  friend struct ForkHandlers;
  virtual void wait() = 0;
  virtual void release() = 0;
  virtual void renew() = 0;  // in the child

  AtFork what_;
  ForkSafe *previous_ = nullptr, *next_ = nullptr;
};

template <class M>
class ForkSafeMutex final : public ForkSafe, public M {
 public:
  explicit ForkSafeMutex(AtFork what = AtFork::wait_leaf) : ForkSafe(what) {}

 private:
  void wait() override { M::lock(); }
  void release() override { M::unlock(); }
  void renew() override { new (static_cast<M*>(this)) M; }
};

}  // namespace tinytorch
