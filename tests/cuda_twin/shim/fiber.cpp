// Fibers: stacks in one mapping with a guard page below each, the switch, and what sanitizers need
// to know.
#include "tests/cuda_twin/shim/fiber.h"

#include <algorithm>
#include <cstdint>
#include <new>

#include <sys/mman.h>

#if !defined(__x86_64__) && !defined(TT_TWIN_UCONTEXT)
#define TT_TWIN_UCONTEXT
#endif
#if defined(TT_TWIN_UCONTEXT)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include "tests/cuda_twin/shim/quiet.h"

namespace tinytorch::twin {

namespace {

// ---- stacks

constexpr size_t kGuard = size_t{64} << 10;  // a multiple of every page size
constexpr size_t kSlot = kGuard + kStackBytes;

char* stack_of(int slot) {
  static char* const base = [] {
    void* p = mmap(nullptr, kSlot * kFibers, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(p);
  }();
  return base + kSlot * static_cast<size_t>(slot) + kGuard;
}

// Left at the limit of the rule; a frame that reaches beyond writes over it.
constexpr uint64_t kMark = 0x5aa5c33c0ff01221;
constexpr int kMarks = 4;
uint64_t* marks_of(const Fiber& f) {
  return reinterpret_cast<uint64_t*>(f.stack + f.stack_bytes - kStackRule) - kMarks;
}

// ---- the switch

#if defined(TT_TWIN_UCONTEXT)

ucontext_t* context_of(Fiber& f) { return static_cast<ucontext_t*>(f.context); }
void prepare(Fiber& f, void (*body)()) {
  auto* c = new ucontext_t;
  getcontext(c);
  c->uc_stack.ss_sp = f.stack;
  c->uc_stack.ss_size = f.stack_bytes;
  c->uc_link = nullptr;
  makecontext(c, body, 0);
  f.context = c;
}
void jump(Fiber& from, Fiber& to) {
  if (from.context == nullptr) from.context = new ucontext_t;
  swapcontext(context_of(from), context_of(to));
}

#else

// Saves the registers that a callee keeps, and the stack pointer in *save; goes on at `to`.
extern "C" __attribute__((visibility("hidden"))) void tinytorch_twin_switch(void** save, void* to);
asm(R"(
.text
.p2align 4
.globl tinytorch_twin_switch
.hidden tinytorch_twin_switch
.type tinytorch_twin_switch, @function
tinytorch_twin_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size tinytorch_twin_switch, .-tinytorch_twin_switch
)");

void prepare(Fiber& f, void (*body)()) {
  // Tops at different places of a page, for the first-level cache holds few lines of each.
  const size_t page = reinterpret_cast<uintptr_t>(f.stack) / kSlot, shift = page * 5 % 64 * 64;
  void** top = reinterpret_cast<void**>(f.stack + f.stack_bytes - 16 - shift);
  *--top = nullptr;  // the return address of `body`: here a stack trace ends
  *--top = reinterpret_cast<void*>(body);
  for (int registers = 0; registers < 6; ++registers) *--top = nullptr;
  f.context = top;
}
void jump(Fiber& from, Fiber& to) { tinytorch_twin_switch(&from.context, to.context); }

#endif

}  // namespace

void adopt_thread(Fiber& f) {
#if defined(__SANITIZE_ADDRESS__)
  static thread_local void* low = nullptr;
  static thread_local size_t bytes = 0;
  pthread_attr_t attributes;
  if (low == nullptr && pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &low, &bytes);
    pthread_attr_destroy(&attributes);
  }
  f.stack = static_cast<char*>(low);
  f.stack_bytes = bytes;
#endif
#if TT_TWIN_TSAN
  f.thread = __tsan_get_current_fiber();
#endif
  (void)f;
}

void make_fiber(Fiber& f, int slot, void (*body)()) {
  f.stack = stack_of(slot);
  f.stack_bytes = kStackBytes;
  if (mprotect(f.stack, kStackBytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
#if TT_TWIN_TSAN
  f.thread = __tsan_create_fiber(0);
#endif
  stack_rule_kept(f);  // sets the marks
  prepare(f, body);
}

void switch_fiber(Fiber& from, Fiber& to) {
#if TT_TWIN_TSAN
  __tsan_switch_to_fiber(to.thread, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.frames, to.stack, to.stack_bytes);
#endif
  jump(from, to);
  arrived_in_fiber(from);
}

void arrived_in_fiber(Fiber& f) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(f.frames, nullptr, nullptr);
#endif
  (void)f;
}

bool stack_rule_kept(Fiber& f) {
  if constexpr (kStackRule == 0) return true;
  uint64_t* const marks = marks_of(f);
  uint64_t changed = 0;
  for (int i = 0; i < kMarks; ++i) changed |= marks[i] ^ kMark;
  if (changed != 0) std::fill(marks, marks + kMarks, kMark);
  return changed == 0;
}

}  // namespace tinytorch::twin
