// Generators: per device, of one's own, and per thread by guard.
#include "core/ops/generator.h"

#include <map>

#include <tinytorch/graph.h>
#include <tinytorch/ops/create.h>

#include "core/tensor/tensor_impl.h"
#include "core/tensor/transfer.h"

namespace tinytorch {

namespace {

struct Defaults {
  ForkSafeMutex<std::mutex> mutex;
  uint64_t seed = 0;
  std::map<DeviceState*, Generator> of;
};
Defaults& defaults() {
  static auto* d = new Defaults;
  return *d;
}

}  // namespace

Generator::Generator(uint64_t seed, const Device& device) : impl_(std::make_shared<Impl>()) {
  impl_->device = device;
  CategoryGuard category(Category::other);
  const CapturePause once;
  impl_->state = empty({2}, {.dtype = Dtype::i64, .device = device});
  manual_seed(seed);
}
const Device& Generator::device() const { return impl_->device; }
void Generator::manual_seed(uint64_t seed) { set_state({seed, 0}); }

void Generator::set_state(State s) {
  std::lock_guard lock(impl_->mutex);
  copy_from_host(use(impl_->state), impl_->device.state(), &s);
}
Generator::State Generator::state() const {
  std::lock_guard lock(impl_->mutex);
  State s{};
  copy_to_host(use(impl_->state), impl_->device.state(), &s);
  return s;
}

Generator default_generator(const Device& device) {
  for (const GeneratorGuard* g = thread_state().generators; g; g = g->before_)
    if (g->generator_.device() == device) return g->generator_;
  Defaults& d = defaults();
  std::unique_lock lock(d.mutex);
  for (;;) {
    if (auto it = d.of.find(device.state()); it != d.of.end()) return it->second;
    const uint64_t seed = d.seed;
    lock.unlock();  // making one takes memory
    const Generator fresh(seed, device);
    lock.lock();
    if (seed == d.seed) d.of.emplace(device.state(), fresh);
  }
}

GeneratorGuard::GeneratorGuard(const Generator& generator)
    : generator_(generator), before_(thread_state().generators) {
  thread_state().generators = this;
}
GeneratorGuard::~GeneratorGuard() { thread_state().generators = before_; }

void manual_seed(uint64_t seed) {
  Defaults& d = defaults();
  std::vector<Generator> all;
  {
    std::lock_guard lock(d.mutex);
    d.seed = seed;
    for (auto& [device, g] : d.of) all.push_back(g);
  }
  for (Generator& g : all) g.manual_seed(seed);
}

}  // namespace tinytorch
