// The registry: entries are made once, under a mutex, and never destroyed. After a fork the child
// may go on with every backend whose work is done when a kernel returns; others are reported as
// unusable there, because their threads and contexts stayed in the parent.
#include "core/runtime/registry.h"

#include <unistd.h>

#include <atomic>
#include <map>

#include "core/runtime/events.h"
#include "core/runtime/fork.h"

namespace tinytorch {

namespace {

struct Registry {
  ForkSafeMutex<std::recursive_mutex> mutex{AtFork::wait_registry};
  std::map<std::string, BackendEntry*, std::less<>> entries;
  std::vector<DeviceState*> devices;
  std::atomic<MatmulPrecision> precision{MatmulPrecision::f32};
};
Registry& registry() {
  static auto* r = new Registry;
  return *r;
}

DeviceState* make_device(Backend& b, int index) {
  auto* d = new DeviceState;
  const DeviceInfo info = b.info(index);
  d->backend = &b;
  d->kernels = &b.kernels();
  d->allocator = &b.allocator(index);
  d->stream = &b.stream(index);
  d->context = d->stream->context();
  d->index = index;
  d->host_memory = info.host_memory;
  d->synchronous = info.synchronous;
  d->test_only = info.test_only;
  d->backend_name = std::string(b.name());
  d->name = d->backend_name + ":" + std::to_string(index);
  return d;
}

void open(BackendEntry& e) {
  for (const BuiltinBackend& builtin : builtin_backends()) {
    if (e.name == builtin.name) e.backend = builtin.create();
  }
  if (!e.backend) e.backend = load_plugin(e.name, e.unusable);
  if (!e.backend) return;
  for (int i = 0; i < e.backend->device_count(); ++i)
    e.devices.push_back(make_device(*e.backend, i));
  e.opened_by = getpid();
  e.backend->set_matmul_precision(registry().precision);
}

}  // namespace

// In the child of a fork only what was opened there, or whose kernels are done when they return.
static bool usable_here(const BackendEntry& e) {
  return e.opened_by == getpid() || e.devices[0]->synchronous;
}

BackendEntry& backend_entry(std::string_view name) {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  auto it = r.entries.find(name);
  if (it == r.entries.end()) {
    auto* e = new BackendEntry;
    e->name = std::string(name);
    try {
      open(*e);
    } catch (const std::exception& error) {
      e->backend = nullptr;
      e->unusable = {Why::failed, "opening it failed: " + std::string(error.what()),
                     "report this to the backend's author"};
    }
    for (DeviceState* d : e->devices) r.devices.push_back(d);
    it = r.entries.emplace(e->name, e).first;
  }
  BackendEntry& e = *it->second;
  if (e.backend && !usable_here(e)) {
    e.backend = nullptr;
    e.unusable = {Why::forked, "this process was forked after the backend had been opened",
                  "open the device in the child only, or start the child with exec"};
  }
  return e;
}

void set_matmul_precision(MatmulPrecision precision) {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  r.precision = precision;
  for (const auto& [name, entry] : r.entries)
    if (entry->backend) entry->backend->set_matmul_precision(precision);
}
MatmulPrecision matmul_precision() noexcept { return registry().precision; }

// Of every event of a block: the device of the thread's last one needs no lock.
const char* device_label(const Allocator* allocator) noexcept {
  static constinit thread_local const DeviceState* last = nullptr;
  if (last && last->allocator == allocator) return last->name.c_str();
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  for (DeviceState* d : r.devices) {
    if (d->allocator != allocator) continue;
    last = d;
    return d->name.c_str();
  }
  return "";
}

std::vector<DeviceState*> opened_devices() {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  std::vector<DeviceState*> out;
  for (const auto& [name, e] : r.entries)
    if (e->backend && usable_here(*e)) out.insert(out.end(), e->devices.begin(), e->devices.end());
  return out;
}

std::vector<std::string> known_backends() {
  std::vector<std::string> names;
  for (const BuiltinBackend& b : builtin_backends()) names.push_back(b.name);
  auto add = [&](const std::string& n) {
    for (const auto& have : names)
      if (have == n) return;
    names.push_back(n);
  };
  add("cuda");
  for (const auto& n : plugin_names()) add(n);
  return names;
}

BackendStatus backend_status(std::string_view name) {
  BackendEntry& e = backend_entry(name);
  BackendStatus s;
  s.name = e.name;
  s.unusable = e.unusable;
  if (!e.backend) return s;
  s.devices = static_cast<int>(e.devices.size());
  s.test_only = e.devices[0]->test_only;
  s.details = e.backend->details();
  return s;
}

}  // namespace tinytorch
