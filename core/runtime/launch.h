// The one choke point: every kernel call of the library goes through launch<rows::name>(op, device,
// arguments). Profiler events, anomaly checks and value errors hang here and nowhere else.
#pragma once

#include <type_traits>

#include <tinytorch/backend/kernel_cost.h>

#include "core/runtime/device_state.h"

namespace tinytorch {

// One tag per row of kernels.def: its place in the table, its cost, its name.
namespace rows {
#define TT_KERNEL(row, layout, need, args, flops, bytes) \
  struct row {                                           \
    static constexpr auto kMember = &KernelTable::row;   \
    static constexpr auto kCost = &kernel_cost::row;     \
    static constexpr const char* kName = #row;           \
  };
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL
}  // namespace rows

[[noreturn]] void throw_no_kernel(const char* op, const DeviceState* d, const char* row);

// Times and announces one kernel call; made at its start, told the cost, finished by its
// destructor.
class LaunchEvent {
 public:
  LaunchEvent(const char* op, DeviceState* d, Stream* s, KernelCost cost);
  ~LaunchEvent();
  LaunchEvent(const LaunchEvent&) = delete;
  LaunchEvent& operator=(const LaunchEvent&) = delete;

 private:
  DeviceState* device_;
  Stream* stream_;
  Event event_;
  Marker begin_{};
  bool timed_;
};

// In anomaly mode: throws AutogradError if the output of `op` has NaN or Inf.
void check_finite(const char* op, const char* row, DeviceState* d, const View& out);

namespace detail {
inline const View* first_output() { return nullptr; }
template <class... Rest>
const View* first_output(const View& v, const Rest&...) {
  return &v;
}
template <class First, class... Rest>
const View* first_output(const First&, const Rest&... rest) {
  return first_output(rest...);
}

template <class Row, class... A>
TT_COLD void launch_hooked(DeviceState* d, Stream* s, KernelContext& c, const A&... args) {
  auto fn = d->kernels->*Row::kMember;
  if (observed()) {
    LaunchEvent event(c.op, d, s, Row::kCost(c, args...));
    fn(c, args...);
  } else {
    fn(c, args...);
  }
  if (thread_state().anomaly && !(d->synchronous && c.error->kind)) {
    if (const View* out = first_output(args...)) check_finite(c.op, Row::kName, d, *out);
  }
}
}  // namespace detail

template <class Row>
inline bool has_kernel(const DeviceState* d) {
  return d->kernels->*Row::kMember != nullptr && !thread_state().no_fused;
}

template <class Row, class... A>
TT_INLINE void launch(const char* op, DeviceState* d, const A&... args) {
  Stream* s = current_stream(d);
  KernelContext c = TT_LIKELY(s == d->stream) ? d->context : s->context();
  c.op = op;
  if (TT_LIKELY(d->synchronous)) c.error = &thread_state().error;
  auto fn = d->kernels->*Row::kMember;
  if (TT_UNLIKELY(!fn)) throw_no_kernel(op, d, Row::kName);
  if (TT_UNLIKELY(detail::hooks.load(std::memory_order_relaxed) != 0)) {
    detail::launch_hooked<Row>(d, s, c, args...);
  } else {
    fn(c, args...);
  }
  if (TT_UNLIKELY(d->synchronous && thread_state().error.kind))
    throw_value_error(thread_state().error);
}

}  // namespace tinytorch
