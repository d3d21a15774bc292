// Device and pinned memory of the simulated runtime. Every raw allocation is poisoned, has a
// red zone behind it, and is named by addresses that fault when the host touches them.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "tests/cuda_twin/runtime/twin.h"

namespace tinytorch::twin {

namespace {

constexpr size_t kAlign = 256;
// Of the largest allocations only the ends are poisoned, so that tests of memory limits need not
// have the memory.
constexpr size_t kMostPoisoned = size_t{64} << 20;
constexpr size_t kMostResting = size_t{256} << 20;
constexpr size_t kRest = 4;  // later releases before an address may come again
// Where addresses start. An argument of 32 bits beside four bytes of padding, which may hold the
// high half of an old pointer, must not look like an address: low halves are above all likely sizes
// and below all likely floats.
constexpr uintptr_t kNames = 0x7e9b10000000, kNamesApart = uintptr_t{16} << 32;

size_t round_up(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

void poison(char* at, size_t bytes) {
  if (bytes <= kMostPoisoned) {
    std::memset(at, kPoison, bytes);
  } else {
    std::memset(at, kPoison, kMostPoisoned / 2);
    std::memset(at + bytes - kMostPoisoned / 2, kPoison, kMostPoisoned / 2);
  }
}

}  // namespace

DeviceMemory::DeviceMemory(int device, size_t capacity)
    : capacity_(capacity),
      arena_(round_up(capacity) * 2 + kMostResting,
             kNames + static_cast<uintptr_t>(device) * kNamesApart) {}

void* DeviceMemory::allocate(size_t bytes) {
  const size_t rounded = round_up(bytes);
  if (rounded < bytes || rounded > capacity_ - used_) return nullptr;
  char* at = take(rounded + kRedZone);
  if (!at) return nullptr;
  poison(arena_.real(at), rounded + kRedZone);
  live_[at] = bytes;
  end_ = std::max<const char*>(end_, at + rounded);
  used_ += rounded;
  return at;
}

// Well rested addresses of the same size come first: their pages are there already.
char* DeviceMemory::take(size_t bytes) {
  for (size_t i = 0; i + kRest < resting_.size(); ++i)
    if (resting_[i].second == bytes) {
      char* at = resting_[i].first;
      resting_.erase(resting_.begin() + static_cast<std::ptrdiff_t>(i));
      rests_ -= bytes;
      return at;
    }
  if (char* at = arena_.take(bytes)) return at;
  discard(0);
  return arena_.take(bytes);
}

bool DeviceMemory::release(const void* data) {
  const auto at = live_.find(static_cast<const char*>(data));
  if (at == live_.end()) return false;
  const size_t rounded = round_up(at->second);
  used_ -= rounded;
  resting_.emplace_back(const_cast<char*>(at->first), rounded + kRedZone);
  rests_ += rounded + kRedZone;
  live_.erase(at);
  discard(kMostResting);
  return true;
}

void DeviceMemory::discard(size_t most) {
  for (; rests_ > most; resting_.pop_front()) {
    const auto [at, bytes] = resting_.front();
    arena_.give(at, bytes);
    rests_ -= bytes;
  }
}

size_t DeviceMemory::bytes_of(const void* data) const {
  const auto at = live_.find(static_cast<const char*>(data));
  return at == live_.end() ? 0 : at->second;
}

DeviceMemory::Live::const_iterator DeviceMemory::holder(const void* p) const {
  const auto* at = static_cast<const char*>(p);
  auto after = live_.upper_bound(at);
  if (after == live_.begin()) return live_.end();
  --after;
  return at <= after->first + after->second ? after : live_.end();
}

char* DeviceMemory::real(const void* p, size_t bytes) const {
  const auto at = holder(p);
  if (at == live_.end()) return nullptr;
  const auto offset = static_cast<size_t>(static_cast<const char*>(p) - at->first);
  return bytes <= at->second - offset ? arena_.real(p) : nullptr;
}

bool DeviceMemory::overrun(const void* p) const {
  const auto at = holder(p);
  if (at == live_.end()) return false;
  const char* begin = arena_.real(at->first);
  return std::any_of(begin + at->second, begin + round_up(at->second) + kRedZone,
                     [](char c) { return c != static_cast<char>(kPoison); });
}

// ---- addresses

TwinDevice* device_of(const void* p) {
  for (const auto& device : state().devices)
    if (device && device->memory.contains(p)) return device.get();
  return nullptr;
}

bool is_pinned(const void* p, size_t bytes) {
  const auto* at = static_cast<const char*>(p);
  auto after = state().pinned.upper_bound(at);
  if (after == state().pinned.begin()) return false;
  --after;
  const auto offset = static_cast<size_t>(at - after->first);
  return offset <= after->second && bytes <= after->second - offset;
}

std::string describe(const void* p, size_t bytes) {
  char text[128];
  std::snprintf(text, sizeof text, "%zu bytes at %p", bytes, p);
  const TwinDevice* device = device_of(p);
  if (!device) return std::string(text) + " (not a device address)";
  return std::string(text) + " (device " + std::to_string(device->index) +
         (device->memory.real(p, 0) ? ", past the end of a live allocation)"
                                    : ", in no live allocation)");
}

}  // namespace tinytorch::twin

namespace tinytorch::cuda::rt {

using namespace twin;

Status memory_info(size_t* free_bytes, size_t* total_bytes) {
  const Call call("memory_info");
  if (call.failed()) return call.status();
  const DeviceMemory& memory = call.device().memory;
  *free_bytes = memory.capacity() - memory.used();
  *total_bytes = memory.capacity();
  return kSuccess;
}

Status allocate(void** data, size_t bytes) {
  const Call call("allocate");
  *data = nullptr;
  if (call.failed() || bytes == 0) return call.status();
  *data = call.device().memory.allocate(bytes);
  if (!*data) return refuse(kOutOfMemory, std::to_string(bytes) + " bytes: the device is full");
  ++state().counters.allocations;
  return kSuccess;
}

Status release(void* data) {
  const Call call("release");
  if (!call.cleans() || !data) return call.status();
  late::scheduler().run_all();
  TwinDevice* device = device_of(data);
  const bool written = device && device->memory.overrun(data);
  const size_t bytes = device ? device->memory.bytes_of(data) : 0;
  if (!device || !device->memory.release(data))
    return refuse(kInvalidValue, "release: " + describe(data, 0) +
                                     " is not the start of a live allocation; freed before?");
  ++state().counters.releases;
  if (written) {
    ++state().counters.overruns;
    device->lose(kIllegalAddress, "release: somebody wrote behind the end of an allocation of " +
                                      std::to_string(bytes) + " bytes");
  }
  return call.failed() ? call.status() : device->lost;
}

// Page-aligned and in pages of its own, as the driver gives it.
Status allocate_pinned(void** data, size_t bytes) {
  const Call call("allocate_pinned");
  *data = nullptr;
  if (call.failed() || bytes == 0) return call.status();
  constexpr size_t kPage = 4096;
  if (bytes > call.device().memory.capacity())
    return refuse(kOutOfMemory, "more pinned memory than the system has");
  *data = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
  if (!*data) return refuse(kOutOfMemory, "the system refuses pinned memory");
  std::memset(*data, kPoison, bytes);
  state().pinned[static_cast<const char*>(*data)] = bytes;
  ++state().counters.pinned_allocations;
  return kSuccess;
}

Status release_pinned(void* data) {
  const Call call("release_pinned");
  if (!call.cleans() || !data) return call.status();
  late::scheduler().run_all();
  if (state().pinned.erase(static_cast<const char*>(data)) == 0)
    return refuse(kInvalidValue, "release_pinned: not the start of live pinned memory");
  std::free(data);
  ++state().counters.pinned_releases;
  return call.failed() ? call.status() : call.device().lost;
}

}  // namespace tinytorch::cuda::rt
