// What the tests of the simulated runtime share: device memory that is released again, kernels of
// one thread, programs that run under many seeds. They call rt alone; no backend is linked.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "backends/cuda/rt.h"
#include "tests/cuda_twin/runtime/twin_control.h"

namespace tinytorch::twin {

using namespace cuda::rt;

inline constexpr int kLength = 8;  // floats of a test's arrays
inline constexpr size_t kBytes = kLength * sizeof(float);
inline constexpr int kSeeds = 50;

inline const TinytorchTwinControl& control() { return *tinytorch_twin_control(); }

// ---- kernels of one thread

inline void set_kernel(float* a, float v) {
  for (int i = 0; i < kLength; ++i) a[i] = v;
}
inline void add_kernel(float* out, const float* a, const float* b) {
  for (int i = 0; i < kLength; ++i) out[i] = a[i] + b[i];
}
inline void overrun_kernel(float* a, int n) {
  for (int i = 0; i < n; ++i) a[i] = 1;
}

template <class... P, size_t... I>
Status launch_one(StreamHandle stream, const char* op, const void* kernel, std::tuple<P...>& values,
                  std::index_sequence<I...>) {
  (cuda::detail::clear_padding(std::get<I>(values)), ...);
  void* pointers[] = {&std::get<I>(values)..., nullptr};
  const size_t sizes[] = {sizeof(P)..., 0};
  const auto invoke = [](const void* f, void* const* a) {
    cuda::detail::invoke<P...>(f, a, std::index_sequence_for<P...>());
  };
  return cuda::rt::launch({op, kernel, invoke, pointers, sizes, sizeof...(P), {}, {}, 0}, stream);
}
template <class... P, class... A>
Status launch_one(StreamHandle stream, const char* op, void (*kernel)(P...), A... arguments) {
  std::tuple<P...> values(static_cast<P>(arguments)...);
  return launch_one<P...>(stream, op, reinterpret_cast<const void*>(kernel), values,
                          std::index_sequence_for<P...>());
}
inline Status set(StreamHandle stream, float* a, float v) {
  return launch_one(stream, "set", set_kernel, a, v);
}
inline Status add(StreamHandle stream, float* out, const float* a, const float* b) {
  return launch_one(stream, "add", add_kernel, out, a, b);
}

// A product in a stream, with `workspace` where it asks for some.
inline GemmCall product_in(StreamHandle stream, void* workspace = nullptr, int device = 0) {
  return {false, device, stream, [](void* owner, size_t) { return owner; }, workspace, false};
}

// ---- what a program needs; everything goes when it ends

class Host {
 public:
  Host() {
    for (StreamHandle& stream : streams) stream_create(&stream);
    for (EventHandle& event : events) event_create(&event);
  }
  ~Host() {
    for (float* p : device_) release(p);
    for (float* p : pinned_) release_pinned(p);
    for (GraphHandle graph : graphs_) graph_destroy(graph);
    for (EventHandle event : events) event_destroy(event);
    for (StreamHandle stream : streams) stream_destroy(stream);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  float* floats(int n = kLength) {
    void* p = nullptr;
    allocate(&p, static_cast<size_t>(n) * sizeof(float));
    if (p) device_.push_back(static_cast<float*>(p));
    return static_cast<float*>(p);
  }
  float* pinned() {
    void* p = nullptr;
    allocate_pinned(&p, kBytes);
    pinned_.push_back(static_cast<float*>(p));
    return pinned_.back();
  }
  Status release_now(float* p) {
    std::erase(device_, p);
    return release(p);
  }
  Status release_pinned_now(float* p) {
    std::erase(pinned_, p);
    return release_pinned(p);
  }
  GraphHandle end(StreamHandle stream, Status* status = nullptr) {
    GraphHandle graph = nullptr;
    const Status ended = end_capture(stream, &graph);
    if (status) *status = ended;
    if (graph) graphs_.push_back(graph);
    return graph;
  }

  std::array<StreamHandle, 3> streams{};
  std::array<EventHandle, 3> events{};

 private:
  std::vector<float*> device_, pinned_;
  std::vector<GraphHandle> graphs_;
};

// ---- answers

using Floats = std::array<float, kLength>;
inline Floats all(float v) {
  Floats f;
  f.fill(v);
  return f;
}
inline bool all_are(const float* p, float v) {
  for (int i = 0; i < kLength; ++i)
    if (p[i] != v) return false;
  return true;
}
// Waits for the stream.
inline Floats read(StreamHandle stream, const float* p) {
  Floats f = all(-1);
  EXPECT_EQ(copy(f.data(), p, kBytes, CopyKind::device_to_host, stream), kSuccess)
      << control().last_fault();
  return f;
}

// Each test starts with the default order, no injected failure and nothing allocated.
class Runtime : public ::testing::Test {
 protected:
  void SetUp() override {
    control().reset();
    control().set_seed(1);
    ASSERT_EQ(set_device(0), kSuccess);
  }
  void TearDown() override {
    control().reset();
    const TinytorchTwinCounters c = control().counters();
    EXPECT_EQ(c.live_allocations + c.live_pinned + c.live_streams + c.live_events + c.live_graphs,
              0u);
    EXPECT_EQ(control().range_depth(), 0);
  }
};

}  // namespace tinytorch::twin
