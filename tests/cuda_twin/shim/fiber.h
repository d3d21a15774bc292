// Fibers for the twin: stacks that switch by hand. On x86-64 by a few instructions of assembly,
// elsewhere by ucontext. The sanitizers are told of every switch; under ThreadSanitizer a fiber is
// a thread of its own, and switching orders nothing.
#pragma once

#include <cstddef>

namespace tinytorch::twin {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr size_t kStackBytes = size_t{256} << 10;  // reports need room, too
inline constexpr size_t kStackRule = 0;
#else
inline constexpr size_t kStackBytes = size_t{64} << 10;
inline constexpr size_t kStackRule = size_t{32} << 10;  // what a kernel may use; 0: not checked
#endif

struct Fiber {
  void* context = nullptr;  // where it stopped
  char* stack = nullptr;    // lowest byte; of the launching thread: found out when needed
  size_t stack_bytes = 0;
  void* frames = nullptr;  // of AddressSanitizer
  void* thread = nullptr;  // of ThreadSanitizer
};

// The fiber of the calling thread's own stack, to come back to.
void adopt_thread(Fiber&);
// Fiber number `slot` of fewer than kFibers, ready to run `body`, which never returns. Its stack is
// mapped on first use and kept.
inline constexpr int kFibers = 1024 + 64;
void make_fiber(Fiber&, int slot, void (*body)());
void switch_fiber(Fiber& from, Fiber& to);
// The first thing that a fiber's body does.
void arrived_in_fiber(Fiber&);

// Has the fiber kept to kStackRule since the last call?
bool stack_rule_kept(Fiber&);

}  // namespace tinytorch::twin
