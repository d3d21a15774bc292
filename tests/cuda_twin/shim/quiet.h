// What ThreadSanitizer is told. The scheduler's own reads and writes are none of its business
// (Quiet); the order between threads of a kernel is what tags say: a release before and an acquire
// after each barrier, and nothing else. All of it is nothing in other builds.
#pragma once

#include "tests/cuda_twin/shim/calls.h"

#if TT_TWIN_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace tinytorch::twin {

#if TT_TWIN_TSAN
inline void enter_quiet() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
inline void leave_quiet() {
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
struct Quiet {
  Quiet() { enter_quiet(); }
  ~Quiet() { leave_quiet(); }
  Quiet(const Quiet&) = delete;
};
struct Loud {  // the kernel itself, inside of Quiet
  Loud() { leave_quiet(); }
  ~Loud() { enter_quiet(); }
  Loud(const Loud&) = delete;
};
inline void release_tag(void* tag) { __tsan_release(tag); }
inline void acquire_tag(void* tag) { __tsan_acquire(tag); }
#else
struct Quiet {
  Quiet() {}
};
struct Loud {
  Loud() {}
};
inline void release_tag(void*) {}
inline void acquire_tag(void*) {}
#endif

}  // namespace tinytorch::twin
