// Generators: per device, of one's own, and per thread by guard.
#include "core/ops/generator.h"

#include <map>

#include <tinytorch/ops/create.h>

#include "core/tensor/tensor_impl.h"
#include "core/tensor/transfer.h"

namespace tinytorch {

namespace {

struct Defaults {
  std::mutex mutex;
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
  std::lock_guard lock(d.mutex);
  auto it = d.of.find(device.state());
  if (it == d.of.end()) it = d.of.emplace(device.state(), Generator(d.seed, device)).first;
  return it->second;
}

GeneratorGuard::GeneratorGuard(const Generator& generator)
    : generator_(generator), before_(thread_state().generators) {
  thread_state().generators = this;
}
GeneratorGuard::~GeneratorGuard() { thread_state().generators = before_; }

void manual_seed(uint64_t seed) {
  Defaults& d = defaults();
  std::lock_guard lock(d.mutex);
  d.seed = seed;
  for (auto& [device, g] : d.of) g.manual_seed(seed);
}

}  // namespace tinytorch
