// The texts of failed calls, and the memory of the error that lost a device. What may not throw
// must not allocate either, so that memory is a fixed buffer.
#include "backends/cuda/check.h"

#include <pthread.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace tinytorch::cuda {

namespace {

std::atomic<bool> forked{false};

// "backends/cuda/stream.cpp" of a path that begins wherever the tree was built.
const char* in_tree(const char* file) {
  const char* at = std::strstr(file, "backends/cuda/");
  return at ? at : file;
}

int describe(char* text, size_t bytes, const char* label, rt::Status status,
             const CallSite& site) noexcept {
  return std::snprintf(text, bytes, "[%s] %s: %s failed: %s (error %d), %s; at %s:%d",
                       *site.op ? site.op : "device", label, site.call, rt::name_of(status),
                       static_cast<int>(status), rt::text_of(status), in_tree(site.file),
                       site.line);
}

}  // namespace

bool is_sticky(rt::Status status) noexcept {
  switch (status) {
    case 214:  // uncorrectable ECC error
    case 220:  // uncorrectable NVLink error
    case 226:  // contained error
    case 700:  // illegal address
    case 702:  // launch timeout
    case 709:  // context is destroyed
    case 710:  // device-side assert
    case 714:  // hardware stack error
    case 715:  // illegal instruction
    case 716:  // misaligned address
    case 717:  // invalid address space
    case 718:  // invalid program counter
    case 719:  // launch failure
    case 721:  // tensor memory leak
      return true;
    default:
      return false;
  }
}

bool in_forked_child() noexcept { return forked.load(std::memory_order_relaxed); }

void watch_forks() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });
  (void)registered;
}

bool Health::usable() const noexcept { return !lost() && !in_forked_child(); }

void Health::refuse(const char* op) const {
  const std::string start = "[" + std::string(op && *op ? op : "device") + "] ";
  if (in_forked_child())
    throw DeviceError(start + label_ +
                      " was opened before this process was forked, and cannot be used in the "
                      "child; open it in the child only, or start the child with exec");
  throw DeviceError(start + label_ +
                    " is lost since an earlier error, restart the process: " + first_);
}

bool Health::note(rt::Status status, const CallSite& site) noexcept {
  if (status == rt::kSuccess) return true;
  if (is_sticky(status)) {
    const std::lock_guard lock(mutex_);
    if (!lost()) {
      describe(first_, sizeof first_, label_, status, site);
      lost_.store(true, std::memory_order_release);
    }
  }
  return false;
}

void Health::fail(rt::Status status, const CallSite& site) {
  const bool was_lost = lost();
  note(status, site);
  if (was_lost) refuse(site.op);
  char text[1024];
  describe(text, sizeof text, label_, status, site);
  if (is_sticky(status))
    throw DeviceError(std::string(text) +
                      "; the fault may lie in any launch since the last synchronisation (look with "
                      "compute-sanitizer), and the device is lost to this process");
  if (status == rt::kOutOfMemory) throw OutOfMemoryError(text);
  throw DeviceError(text);
}

}  // namespace tinytorch::cuda
