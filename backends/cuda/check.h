// Every call of the runtime goes through TT_CUDA_CHECK, which throws DeviceError (OutOfMemoryError
// where it is memory) with the call, the error's name and text, the place in the source and the op
// that was running. An error after which a device answers no more marks it lost: every later call
// repeats the first such error.
#pragma once

#include <atomic>
#include <mutex>

#include <tinytorch/error.h>

#include "backends/cuda/rt.h"

namespace tinytorch::cuda {

// One call of the runtime in the source.
struct CallSite {
  const char* op;  // that was running; "" outside of ops
  const char* call;
  const char* file;
  int line;
};

// Whether a device still answers. Any thread.
class Health {
 public:
  explicit Health(const char* label) : label_(label) {}

  // Throws if the device is lost, or if this process is the child of a fork.
  void require(const char* op) const {
    if (TT_UNLIKELY(!usable())) refuse(op);
  }
  void check(rt::Status status, const CallSite& site) {
    if (TT_UNLIKELY(status != rt::kSuccess)) fail(status, site);
  }
  // For places that may not throw: remembers a lost device. -> was the call a success?
  bool note(rt::Status status, const CallSite& site) noexcept;
  bool usable() const noexcept;
  bool lost() const noexcept { return lost_.load(std::memory_order_acquire); }
  const char* first_error() const noexcept { return first_; }  // of a lost device
  const char* label() const noexcept { return label_; }        // "cuda:0"

 private:
  [[noreturn]] TT_COLD void refuse(const char* op) const;
  [[noreturn]] TT_COLD void fail(rt::Status status, const CallSite& site);

  const char* const label_;
  std::atomic<bool> lost_{false};
  std::mutex mutex_;
  char first_[768] = "";  // written once, before lost_
};

// Has this process been forked off one that had opened a device? Nothing of the runtime works then.
bool in_forked_child() noexcept;
void watch_forks();

// The error after which every call of a device's context fails with the same code.
bool is_sticky(rt::Status status) noexcept;

#define TT_CUDA_SITE(op, call) \
  ::tinytorch::cuda::CallSite { op, #call, __FILE__, __LINE__ }
#define TT_CUDA_CHECK(health, op, call) \
  ((health).require(op), (health).check((call), TT_CUDA_SITE(op, call)))
// -> did it succeed? Throws nothing, and is not called on a device that does not answer.
#define TT_CUDA_TRY(health, call) \
  ((health).usable() && (health).note((call), TT_CUDA_SITE("", call)))

}  // namespace tinytorch::cuda
