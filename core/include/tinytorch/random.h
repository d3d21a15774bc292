// Random numbers: Philox4x32-10 (Salmon et al., SC 2011). The same seed gives the same bits on
// every backend.
#pragma once

#include <cstdint>
#include <memory>

#include <tinytorch/device.h>

namespace tinytorch {

// A stream of random numbers. Its state (seed, offset) lives in the memory of its device. Copies
// share the state, and a move is a copy.
class TT_API Generator {
 public:
  explicit Generator(uint64_t seed, const Device& device = Device());
  Generator(const Generator&) = default;
  Generator& operator=(const Generator&) = default;
  const Device& device() const;
  void manual_seed(uint64_t seed);  // offset 0
  struct State {
    uint64_t seed, offset;  // offset in blocks of four 32-bit words
  };
  State state() const;  // waits for the device
  void set_state(State state);

  struct Impl;
  Impl* impl() const { return impl_.get(); }

 private:
  std::shared_ptr<Impl> impl_;
};

// Seeds the default generators of all devices, those of devices opened later too. Initial seed: 0.
TT_API void manual_seed(uint64_t seed);
TT_API Generator default_generator(
    const Device& device);  // of this thread's innermost GeneratorGuard for it, else of the device

// Makes `generator` the calling thread's default for its device: parallel work takes generators of
// its own. Like every guard it belongs on the stack: guards end in reverse order, on their thread.
class TT_API GeneratorGuard {
 public:
  explicit GeneratorGuard(const Generator& generator);
  ~GeneratorGuard();
  GeneratorGuard(const GeneratorGuard&) = delete;
  GeneratorGuard& operator=(const GeneratorGuard&) = delete;
  static void* operator new(size_t) = delete;

 private:
  friend Generator default_generator(const Device& device);
  Generator generator_;
  const GeneratorGuard* before_;
};

}  // namespace tinytorch
