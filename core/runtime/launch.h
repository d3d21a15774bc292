// The one choke point: every kernel call of the library goes through launch<rows::name>(op, device,
// arguments). Profiler events, anomaly checks, captures, dry runs and value errors hang here and
// nowhere else.
#pragma once

#include <type_traits>

#include <tinytorch/backend/kernel_cost.h>

#include "core/runtime/device_state.h"
#include "core/runtime/dry_run.h"
#include "core/runtime/recording.h"

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
  void set_forward_op(const char* name) { event_.forward_op = name; }  // else the running node's

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
// f(output) for the arguments that stand before the inputs: optional outputs, or the lists that an
// optimizer steps, or else the first view.
template <class F, class First, class... Rest>
void for_outputs(bool optional, const F& f, const First& first, const Rest&... rest) {
  if constexpr (std::is_same_v<First, View>) {
    if (!optional) f(first);
  } else if constexpr (std::is_same_v<First, ViewList>) {
    for (int i = 0; i < first.count; ++i) f(*first.views[i]);
  } else if constexpr (std::is_convertible_v<First, const View*>) {
    if (first) f(*first);
    for_outputs(true, f, rest...);
  } else {
    for_outputs(optional, f, rest...);
  }
}

// May a kernel of the row ask for workspace? Those of the others are elementwise.
template <class Row>
inline constexpr bool kMayAsk =
    !(std::is_same_v<Row, rows::fill> || std::is_same_v<Row, rows::copy> ||
      std::is_same_v<Row, rows::unary> || std::is_same_v<Row, rows::binary> ||
      std::is_same_v<Row, rows::where> || std::is_same_v<Row, rows::ramp> ||
      std::is_same_v<Row, rows::random> || std::is_same_v<Row, rows::masked_scale> ||
      std::is_same_v<Row, rows::sgd_step> || std::is_same_v<Row, rows::adam_step>);

template <class Row, class... A>
TT_COLD void launch_hooked(DeviceState* d, Stream* s, KernelContext& c, const A&... args) {
  auto fn = d->kernels->*Row::kMember;
  if (DryRun* run = thread_state().dry_run) {
    run->check(c.op, d);
    if constexpr (kMayAsk<Row>) run->size(fn, c, args...);
    return;
  }
  Recording* recording = capturing();
  const KernelCost cost = recording || observed() ? Row::kCost(c, args...) : KernelCost{};
  if (recording) {
    recording->begin(c.op, d, s, c, cost);
    if (recording->binds) recording->bind(fn, c.op, cost, args...);
    for_outputs(
        false, [&](const View& v) { recording->wrote(v); }, args...);
  }
  if (observed() && !(recording && !recording->binds)) {  // else it runs in replays only
    LaunchEvent event(c.op, d, s, cost);
    fn(c, args...);
  } else {
    fn(c, args...);
  }
  if (recording) recording->end();
  if (thread_state().anomaly && !(d->synchronous && c.error->kind)) {
    for_outputs(
        false, [&](const View& v) { check_finite(c.op, Row::kName, d, v); }, args...);
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
