// The memory of a late device: one range of real bytes, and one of the same length that only names
// them and may not be touched. The host is given the second kind of address, kernels the first: a
// host that reads or writes device memory itself, instead of copying through a stream, faults at
// once, as with an accelerator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace tinytorch::late {

class Arena {
 public:
  // Reserves addresses only; pages come when they are touched. OutOfMemoryError if the system
  // refuses. The addresses that name start at `names` if the system can give them there.
  explicit Arena(size_t bytes, uintptr_t names = 0);

  // A range of device addresses, or null. `bytes` is a multiple of 64.
  char* take(size_t bytes);
  void give(char* at, size_t bytes);

  bool contains(const void* device_address) const {
    return static_cast<size_t>(static_cast<const char*>(device_address) - names_) < bytes_;
  }
  char* real(const void* device_address) const {
    return real_ + (static_cast<const char*>(device_address) - names_);
  }
  char* device_address(const void* real) const {
    return names_ + (static_cast<const char*>(real) - real_);
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  char* names_ = nullptr;
  char* real_ = nullptr;
  std::map<size_t, size_t> free_;  // offset -> length; neighbours are merged
};

}  // namespace tinytorch::late
