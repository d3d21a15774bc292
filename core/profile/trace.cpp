// Chrome's trace format: each device is a process, its threads' ops are spans, and what ran on the
// device stands on a track of its own. Lines go to the file as the log is read.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <tinytorch/error.h>

#include "core/profile/analysis.h"
#include "core/profile/html.h"
#include "core/profile/live_bytes.h"

namespace tinytorch::profiling {

namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : report::valid_utf8(text)) {
    if (static_cast<unsigned char>(c) < 0x20) {
      report::append(out, "\\u%04x", c);
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

class Trace {
 public:
  Trace(const Recorded& recorded, const std::string& path)
      : recorded_(recorded), path_(path), file_(std::fopen(path.c_str(), "wb")) {
    put("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
  }
  ~Trace() {
    if (file_) std::fclose(file_);
  }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  void follow(const Event& e);
  void step(size_t number, int64_t end_ns);
  void finish();

 private:
  struct Track {
    int process;
    LiveBytes live;
    std::unordered_map<uint64_t, int64_t> launched;  // start of ops whose device time may come
    int64_t busy_until = 0;
  };
  Track& track(std::string_view device);
  double us(int64_t ns) const { return static_cast<double>(ns - recorded_.start_ns) * 1e-3; }
  void span(const Event& e, int process, uint32_t thread, int64_t start_ns, int64_t ns);
  void memory(const Event& e, const Track& track);
  void next_line();
  void put(std::string_view text);

  const Recorded& recorded_;
  const std::string& path_;
  std::FILE* file_;
  std::map<std::string, Track, std::less<>> tracks_;
  std::string line_;
  bool first_ = true;
};

void Trace::next_line() {
  if (!first_) line_ += ",\n";
  first_ = false;
}

void Trace::put(std::string_view text) {
  if (!file_ || std::fwrite(text.data(), 1, text.size(), file_) != text.size())
    throw IoError("[write_chrome_trace] cannot write '" + path_ + "': " + std::strerror(errno));
}

Trace::Track& Trace::track(std::string_view device) {
  if (const auto it = tracks_.find(device); it != tracks_.end()) return it->second;
  const int process = static_cast<int>(tracks_.size()) + 1;
  next_line();
  report::append(line_,
                 "{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_name\",\"args\":{\"name\":", process);
  line_ += quoted(*device.data() ? device : "program");
  report::append(line_,
                 "}},\n{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"name\":\"thread_name\","
                 "\"args\":{\"name\":\"on the device\"}}",
                 process);
  return tracks_.emplace(device, Track{process, LiveBytes(recorded_.of(device).before), {}, 0})
      .first->second;
}

void Trace::span(const Event& e, int process, uint32_t thread, int64_t start_ns, int64_t ns) {
  next_line();
  report::append(line_, "{\"ph\":\"%s\",\"pid\":%d,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,\"name\":",
                 ns >= 0 ? "X" : "i", process, thread, us(start_ns),
                 static_cast<double>(std::max<int64_t>(ns, 0)) * 1e-3);
  line_ += quoted(e.name) + ",\"cat\":\"" + (ns >= 0 ? name_of(e.phase) : name_of(e.kind));
  report::append(
      line_, "\",\"args\":{\"id\":%llu,\"op\":%llu,\"bytes\":%lld,\"flops\":%.0f,\"forward_op\":",
      static_cast<unsigned long long>(e.id), static_cast<unsigned long long>(e.op),
      static_cast<long long>(e.bytes), e.flops);
  line_ += quoted(e.forward_op) + ",\"module\":" + quoted(e.module) + "}}";
}

void Trace::memory(const Event& e, const Track& track) {
  next_line();
  report::append(line_, "{\"ph\":\"C\",\"pid\":%d,\"ts\":%.3f,\"name\":\"live bytes\",\"args\":{",
                 track.process, us(e.end_ns));
  for (int i = 0; i < kCategoryCount; ++i)
    report::append(line_, "%s\"%s\":%lld", i ? "," : "", name_of(static_cast<Category>(i)),
                   static_cast<long long>(track.live.bytes()[static_cast<size_t>(i)]));
  line_ += "}}";
}

void Trace::follow(const Event& e) {
  Track& t = track(e.device);
  switch (e.kind) {
    case EventKind::op:
      t.launched[e.id] = e.start_ns;
      [[fallthrough]];
    case EventKind::copy:
      span(e, t.process, e.thread, e.start_ns, e.end_ns - e.start_ns);
      break;
    case EventKind::timing: {
      const auto launch = t.launched.find(e.op);
      if (launch == t.launched.end()) break;
      const int64_t start = std::max(launch->second, t.busy_until);
      t.busy_until = start + e.end_ns;
      t.launched.erase(launch);
      span(e, t.process, 0, start, e.end_ns);
      break;
    }
    case EventKind::mark:
    case EventKind::raw_alloc:
    case EventKind::raw_free:
      span(e, t.process, e.thread, e.start_ns, -1);
      break;
    default:
      break;
  }
  if (t.live.follow(e)) memory(e, t);
  if (!line_.empty()) put(line_);
  line_.clear();
}

void Trace::step(size_t number, int64_t end_ns) {
  next_line();
  report::append(line_,
                 "{\"ph\":\"i\",\"s\":\"g\",\"pid\":1,\"tid\":0,\"ts\":%.3f,\"name\":\"end of step "
                 "%zu\"}",
                 us(end_ns), number);
  put(line_);
  line_.clear();
}

void Trace::finish() {
  put("\n]}\n");
  std::FILE* file = std::exchange(file_, nullptr);
  if (std::fclose(file) != 0)
    throw IoError("[write_chrome_trace] cannot write '" + path_ + "': " + std::strerror(errno));
}

}  // namespace

void write_trace(const EventLog& log, const Recorded& recorded,
                 const std::vector<int64_t>& step_ends, const std::string& path) {
  Trace trace(recorded, path);
  log.for_each([&](const Event& e) { trace.follow(e); });
  for (size_t i = 0; i < step_ends.size(); ++i) trace.step(i + 1, step_ends[i]);
  trace.finish();
}

}  // namespace tinytorch::profiling
