// The cold side of launch: missing rows, value errors, profiler events, anomaly checks, waiting.
#include "core/runtime/launch.h"

#include <cstring>

#include "core/runtime/events.h"

namespace tinytorch {

void throw_no_kernel(const char* op, const DeviceState* d, const char* row) {
  throw DeviceError("[" + std::string(op) + "] backend '" + d->backend_name + "' has no kernel '" +
                    row + "'; move the tensors to another device, or add that row to the backend");
}

void report_value_error(KernelContext& c, ValueErrorKind kind, int64_t position, int64_t value,
                        int64_t limit) noexcept {
  ErrorWord& e = *c.error;
  while (__atomic_exchange_n(&e.lock, 1u, __ATOMIC_ACQUIRE)) {
  }
  if (e.kind == 0 || position < e.position) {
    e.op = c.op;
    e.position = position;
    e.value = value;
    e.limit = limit;
    __atomic_store_n(&e.kind, static_cast<uint32_t>(kind), __ATOMIC_RELEASE);
  }
  __atomic_store_n(&e.lock, 0u, __ATOMIC_RELEASE);
}

void throw_value_error(ErrorWord& word) {
  const ErrorWord e = word;
  word = ErrorWord{};
  if (Recording* r = capturing()) r->failed(e.op ? e.op : "?");
  const std::string op = "[" + std::string(e.op ? e.op : "?") + "] ";
  const std::string where = " at position " + std::to_string(e.position);
  if (e.kind == static_cast<uint32_t>(ValueErrorKind::zero_divisor)) {
    throw IndexError(op + "integer divisor 0" + where + ", needed: a divisor other than 0");
  }
  throw IndexError(op + "index " + std::to_string(e.value) + where +
                   " is out of range, needed: 0 <= index < " + std::to_string(e.limit));
}

void synchronize(DeviceState* d, Stream* s) {
  not_in_capture("synchronize", "inside a capture: a replay would not wait; wait after replay()");
  s->synchronize();
  if (d->synchronous) return;
  ErrorWord* word = s->context().error;
  if (word && word->kind) throw_value_error(*word);
  flush_timings(s);
}

LaunchEvent::LaunchEvent(const char* op, DeviceState* d, Stream* s, KernelCost cost)
    : device_(d), stream_(s) {
  event_.id = next_event_id();
  event_.phase =
      thread_state().current ? Phase::backward : static_cast<Phase>(thread_state().phase);
  event_.kind = EventKind::op;
  event_.name = op;
  event_.device = d->name.c_str();
  event_.flops = cost.flops;
  event_.bytes = static_cast<int64_t>(cost.bytes);
  timed_ = !d->synchronous;
  if (timed_) begin_ = s->mark();
  thread_state().op_id = event_.id;
  event_.start_ns = host_clock_ns();
}

LaunchEvent::~LaunchEvent() {
  event_.end_ns = host_clock_ns();
  if (timed_) {
    try {
      keep_timing(device_, stream_, event_, begin_, stream_->mark());
    } catch (const std::exception&) {  // no marker to be had: this op keeps its host time only
    }
  }
  deliver(event_);
}

namespace {

// The output, copied to the host, in double.
bool host_finite(const View& v, const char* data) {
  for (int64_t i = 0; i < v.numel; ++i) {
    double x = 0;
    if (v.dtype == Dtype::f32) {
      float f;
      std::memcpy(&f, data + 4 * i, 4);
      x = f;
    } else {
      std::memcpy(&x, data + 8 * i, 8);
    }
    if (x - x != 0) return false;
  }
  return true;
}

}  // namespace

// Outputs of ops are dense, and so are all that may newly hold a NaN: fill and copy only hand on
// what they were given.
void check_finite(const char* op, const char* row, DeviceState* d, const View& out) {
  if ((out.dtype != Dtype::f32 && out.dtype != Dtype::f64) || !out.contiguous || out.numel == 0)
    return;
  if (!std::strcmp(row, "fill") || !std::strcmp(row, "copy")) return;
  Stream* s = current_stream(d);
  const size_t bytes = static_cast<size_t>(bytes_of(out));
  bool finite;
  if (d->host_memory && d->synchronous) {
    finite = host_finite(out, out.as<char>());
  } else {
    auto host = std::make_unique<char[]>(bytes);
    s->copy(host.get(), out.data, bytes, CopyKind::device_to_host);
    synchronize(d, s);
    finite = host_finite(out, host.get());
  }
  if (finite) return;
  std::string what = "the output of '" + std::string(op) + "'";
  if (const char* source = current_node_name())
    what = "the gradient of '" + std::string(source) + "' (in op '" + op + "')";
  const char* module = thread_state().module;
  throw AutogradError("[anomaly] " + what + " has NaN or Inf" +
                      (module && *module ? " in module " + std::string(module) : ""));
}

}  // namespace tinytorch
