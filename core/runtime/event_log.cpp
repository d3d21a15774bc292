// EventLog: events in chunks of one size. Beyond the bound the oldest chunk goes to the end of an
// unnamed temporary file, so that chunk k of the log is chunk k of the file, or in memory.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <string>
#include <type_traits>

#include <tinytorch/error.h>
#include <tinytorch/profiler.h>

#include "core/runtime/fork.h"

namespace tinytorch {

namespace {

constexpr size_t kEvents = 2048;
struct Chunk {
  Event events[kEvents];
};
static_assert(std::is_trivially_copyable_v<Event>);  // names and labels live as long as the program

int temporary_file() noexcept {
  const char* folder = std::getenv("TMPDIR");
  try {
    std::string name = std::string(folder && *folder ? folder : "/tmp") + "/tinytorch-XXXXXX";
    const int file = mkostemp(name.data(), O_CLOEXEC);
    if (file >= 0) unlink(name.c_str());
    return file;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

bool write_whole(int file, const Chunk& chunk, size_t index) noexcept {
  const char* from = reinterpret_cast<const char*>(&chunk);
  for (size_t done = 0; done < sizeof chunk;) {
    const ssize_t n = pwrite(file, from + done, sizeof chunk - done,
                             static_cast<off_t>(index * sizeof chunk + done));
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

void read_whole(int file, Chunk& chunk, size_t index) {
  char* to = reinterpret_cast<char*>(&chunk);
  for (size_t done = 0; done < sizeof chunk;) {
    const ssize_t n = pread(file, to + done, sizeof chunk - done,
                            static_cast<off_t>(index * sizeof chunk + done));
    if (n <= 0) throw IoError("[EventLog] cannot read the temporary file back");
    done += static_cast<size_t>(n);
  }
}

}  // namespace

struct EventLog::State {
  mutable ForkSafeMutex<std::mutex> mutex;
  std::deque<std::unique_ptr<Chunk>> memory;  // the last one is being filled
  size_t most_chunks = 1, in_file = 0, filled = kEvents;
  int64_t size = 0, lost = 0;
  int file = -1;
  bool may_spill = true;
  pid_t process = getpid();  // the file is shared with a child, which must not write there

  // A chunk to fill: the oldest one's memory once that is in the file, else new memory.
  std::unique_ptr<Chunk> next() {
    if (memory.size() < most_chunks || !may_spill || getpid() != process)
      return std::unique_ptr<Chunk>(new Chunk);
    if (file < 0) file = temporary_file();
    may_spill = file >= 0 && write_whole(file, *memory.front(), in_file);
    if (!may_spill) return next();
    ++in_file;
    std::unique_ptr<Chunk> oldest = std::move(memory.front());
    memory.pop_front();
    return oldest;
  }
};

EventLog::EventLog(size_t most_bytes) : state_(std::make_unique<State>()) {
  state_->most_chunks = std::max<size_t>(1, most_bytes / sizeof(Chunk));
}
EventLog::~EventLog() {
  if (state_->file >= 0) close(state_->file);
}

void EventLog::on_event(const Event& e) noexcept {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (s.filled == kEvents) {
    try {
      s.memory.emplace_back();  // first, so that a chunk that was taken finds its place
      s.memory.pop_back();
      s.memory.push_back(s.next());
      s.filled = 0;
    } catch (const std::bad_alloc&) {
      ++s.lost;
      return;
    }
  }
  s.memory.back()->events[s.filled++] = e;
  ++s.size;
}

// The lock is not held while f runs: f may call the library while the log still gets events.
void EventLog::for_each(const std::function<void(const Event&)>& f) const {
  const State& s = *state_;
  const auto chunk = std::make_unique<Chunk>();
  const int64_t size = this->size();
  for (int64_t start = 0; start < size; start += kEvents) {
    const auto index = static_cast<size_t>(start) / kEvents;
    {
      const std::lock_guard lock(s.mutex);
      if (index < s.in_file) {
        read_whole(s.file, *chunk, index);
      } else {
        *chunk = *s.memory[index - s.in_file];
      }
    }
    const auto count = std::min<int64_t>(kEvents, size - start);
    for (int64_t i = 0; i < count; ++i) f(chunk->events[i]);
  }
}

int64_t EventLog::size() const {
  const std::lock_guard lock(state_->mutex);
  return state_->size;
}
int64_t EventLog::lost() const {
  const std::lock_guard lock(state_->mutex);
  return state_->lost;
}
int64_t EventLog::spilled() const {
  const std::lock_guard lock(state_->mutex);
  return static_cast<int64_t>(state_->in_file * kEvents);
}

}  // namespace tinytorch
