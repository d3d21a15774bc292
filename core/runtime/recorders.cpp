// The first readers of the event stream: a table of ops, and Chrome's trace format.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <tuple>

#include <tinytorch/error.h>
#include <tinytorch/profiler.h>

#include "core/runtime/fork.h"

namespace tinytorch {

// ---- op table

struct OpTable::State {
  using Key = std::tuple<std::string, std::string, Phase>;
  mutable ForkSafeMutex<std::mutex> mutex;
  std::map<Key, Row> rows;
  int64_t lost = 0;
};

OpTable::OpTable() : state_(std::make_unique<State>()) {}
OpTable::~OpTable() = default;

void OpTable::on_event(const Event& e) noexcept {
  if (e.kind != EventKind::op && e.kind != EventKind::timing) return;
  std::lock_guard lock(state_->mutex);
  try {
    Row& r = state_->rows[{e.name, e.device, e.phase}];
    if (e.kind == EventKind::timing) {
      r.device_seconds += static_cast<double>(e.end_ns) * 1e-9;
      return;
    }
    if (r.calls == 0) {
      r.op = e.name;
      r.device = e.device;
      r.phase = e.phase;
    }
    ++r.calls;
    r.host_seconds += static_cast<double>(e.end_ns - e.start_ns) * 1e-9;
    r.flops += e.flops;
    r.bytes += static_cast<double>(e.bytes);
  } catch (const std::bad_alloc&) {
    ++state_->lost;
  }
}

std::vector<OpTable::Row> OpTable::rows() const {
  std::lock_guard lock(state_->mutex);
  std::vector<Row> out;
  for (const auto& [key, row] : state_->rows) out.push_back(row);
  auto seconds = [](const Row& r) { return std::max(r.host_seconds, r.device_seconds); };
  std::stable_sort(out.begin(), out.end(),
                   [&](const Row& a, const Row& b) { return seconds(a) > seconds(b); });
  return out;
}

int64_t OpTable::lost() const {
  std::lock_guard lock(state_->mutex);
  return state_->lost;
}

std::string OpTable::str() const {
  std::string out;
  char line[200];
  std::snprintf(line, sizeof line, "%-24s %-12s %-10s %8s %12s %12s %10s %10s\n", "op", "device",
                "phase", "calls", "host us", "device us", "GFLOP", "MB");
  out += line;
  for (const Row& r : rows()) {
    std::snprintf(line, sizeof line, "%-24.24s %-12.12s %-10s %8lld %12.1f %12.1f %10.4f %10.3f\n",
                  r.op.c_str(), r.device.c_str(), name_of(r.phase), static_cast<long long>(r.calls),
                  r.host_seconds * 1e6, r.device_seconds * 1e6, r.flops * 1e-9, r.bytes * 1e-6);
    out += line;
  }
  return out;
}

// ---- Chrome trace

struct ChromeTrace::State {
  mutable ForkSafeMutex<std::mutex> mutex;
  std::vector<Event> events;
  int64_t lost = 0;
};

ChromeTrace::ChromeTrace() : state_(std::make_unique<State>()) {}
ChromeTrace::~ChromeTrace() = default;

void ChromeTrace::on_event(const Event& e) noexcept {
  std::lock_guard lock(state_->mutex);
  try {
    state_->events.push_back(e);
  } catch (const std::bad_alloc&) {
    ++state_->lost;
  }
}

int64_t ChromeTrace::lost() const {
  std::lock_guard lock(state_->mutex);
  return state_->lost;
}

namespace {

std::string quoted(const char* s) {
  std::string out = "\"";
  for (; *s; ++s) {
    if (*s == '"' || *s == '\\') out += '\\';
    if (static_cast<unsigned char>(*s) < 0x20) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\u%04x", *s);
      out += hex;
    } else {
      out += *s;
    }
  }
  return out + "\"";
}

std::string trace_line(const Event& e, int64_t zero_ns, int64_t live) {
  char head[160];
  const double us = static_cast<double>(e.start_ns - zero_ns) * 1e-3;
  const double duration = static_cast<double>(e.end_ns - e.start_ns) * 1e-3;
  if (e.kind == EventKind::alloc || e.kind == EventKind::free) {
    std::snprintf(head, sizeof head,
                  "{\"ph\":\"C\",\"pid\":1,\"ts\":%.3f,\"args\":{\"live bytes\":%lld},\"name\":",
                  us, static_cast<long long>(live));
    return head + quoted((std::string("memory ") + e.device).c_str()) + "}";
  }
  const bool span = e.kind == EventKind::op || e.kind == EventKind::copy;
  std::snprintf(head, sizeof head,
                "{\"ph\":\"%s\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,\"name\":",
                span ? "X" : "i", e.thread, us, duration);
  std::string line =
      head + quoted(e.name) + ",\"cat\":" + quoted(span ? name_of(e.phase) : name_of(e.kind));
  char args[200];
  std::snprintf(args, sizeof args,
                ",\"args\":{\"id\":%llu,\"forward_op\":%llu,\"bytes\":%lld,\"flops\":%.0f,"
                "\"category\":\"%s\",\"module\":",
                static_cast<unsigned long long>(e.id),
                static_cast<unsigned long long>(e.forward_op), static_cast<long long>(e.bytes),
                e.flops, name_of(e.category));
  return line + args + quoted(e.module) + ",\"device\":" + quoted(e.device) + "}}";
}

}  // namespace

std::string ChromeTrace::json() const {
  std::lock_guard lock(state_->mutex);
  const auto& events = state_->events;
  int64_t zero_ns = events.empty() ? 0 : events.front().start_ns;
  for (const Event& e : events)
    if (e.kind != EventKind::timing) zero_ns = std::min(zero_ns, e.start_ns);
  std::map<std::string, int64_t> live;
  std::string out = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
  bool first = true;
  for (const Event& e : events) {
    if (e.kind == EventKind::timing) continue;  // device time stands in the op table
    if (e.kind == EventKind::alloc) live[e.device] += e.bytes;
    if (e.kind == EventKind::free) live[e.device] -= e.bytes;
    if (!first) out += ",\n";
    first = false;
    out += trace_line(e, zero_ns, live[e.device]);
  }
  return out + "\n]}\n";
}

void ChromeTrace::write(const std::string& path) const {
  std::ofstream file(path, std::ios::binary);
  file << json();
  file.flush();
  if (!file) throw IoError("[ChromeTrace] cannot write '" + path + "'");
}

}  // namespace tinytorch
