// EventLog: events in chunks of one size. Beyond the bound the oldest chunk goes to the end of an
// unnamed temporary file, so that chunk k of the log is chunk k of the file, or in memory.
//
// New memory is what a log costs most, so an event is 12 words, and written are the bytes in which
// each differs from the last event of its kind: some 25 instead of 96. One thread at a time adds
// events; it publishes the bytes of each, and takes the lock, under which others read chunks, only
// to begin another one.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <utility>

#include <tinytorch/error.h>
#include <tinytorch/profiler.h>

#include "core/runtime/fork.h"

namespace tinytorch {

namespace {

constexpr size_t kWords = 12, kHalf = 6, kKinds = 16;
using Words = std::array<uint64_t, kWords>;
static_assert(sizeof(Event) == sizeof(Words));

uint64_t address(const void* p) { return reinterpret_cast<uintptr_t>(p); }
template <class T>
const T* pointer(uint64_t address) {
  return reinterpret_cast<const T*>(static_cast<uintptr_t>(address));
}

// The second half is often that of the event before.
Words words(const Event& e) noexcept {
  const uint64_t attributes = static_cast<uint64_t>(e.kind) | static_cast<uint64_t>(e.phase) << 8 |
                              static_cast<uint64_t>(e.category) << 16 | uint64_t{e.thread} << 32;
  const auto start = static_cast<uint64_t>(e.start_ns), end = static_cast<uint64_t>(e.end_ns);
  return {e.id,
          start,
          end - start,
          address(e.pointer),
          static_cast<uint64_t>(e.bytes),
          e.op,
          attributes,
          address(e.name),
          address(e.device),
          address(e.module),
          std::bit_cast<uint64_t>(e.flops),
          address(e.forward_op)};
}

// Names and labels live as long as the program.
Event event(const Words& w) noexcept {
  Event e;
  e.id = w[0];
  e.start_ns = static_cast<int64_t>(w[1]);
  e.end_ns = static_cast<int64_t>(w[1] + w[2]);
  e.pointer = pointer<void>(w[3]);
  e.bytes = static_cast<int64_t>(w[4]);
  e.op = w[5];
  e.kind = static_cast<EventKind>(w[6] & 0xff);
  e.phase = static_cast<Phase>(w[6] >> 8 & 0xff);
  e.category = static_cast<Category>(w[6] >> 16 & 0xff);
  e.thread = static_cast<uint32_t>(w[6] >> 32);
  e.name = pointer<char>(w[7]);
  e.device = pointer<char>(w[8]);
  e.module = pointer<char>(w[9]);
  e.flops = std::bit_cast<double>(w[10]);
  e.forward_op = pointer<char>(w[11]);
  return e;
}

// An event in a chunk: 8 bytes of which 2 are its kind and the others have 4 bits for each word
// that say how many bytes follow of it; then these, of the difference with its sign in the lowest
// bit.
class Coder {
 public:
  static constexpr size_t kHead = 8, kMost = kHead + 8 * kWords;
  static_assert(16 + 4 * kWords <= 64);

  char* write(const Event& e, char* to) noexcept {
    const Words now = words(e);
    Words& last = last_[static_cast<size_t>(e.kind) % kKinds];
    Place at{to + kHead, static_cast<uint64_t>(e.kind)};
    put<0>(now, last, at, std::make_index_sequence<kHalf>());
    uint64_t others = 0;
    for (size_t i = kHalf; i < kWords; ++i) others |= now[i] ^ last[i];
    if (others) put<kHalf>(now, last, at, std::make_index_sequence<kHalf>());
    std::memcpy(to, &at.head, kHead);
    return at.p;
  }

  Event read(const char*& from) noexcept {
    uint64_t head = 0;
    std::memcpy(&head, from, kHead);
    from += kHead;
    Words& w = last_[head % kKinds];
    for (size_t i = 0; i < kWords; ++i) {
      const size_t length = head >> (16 + 4 * i) & 0xf;
      uint64_t folded = 0;
      std::memcpy(&folded, from, 8);
      folded &= length == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * length) - 1;
      w[i] += folded >> 1 ^ (0 - (folded & 1));
      from += length;
    }
    return event(w);
  }

 private:
  struct Place {
    char* p;
    uint64_t head;
  };
  // Without a branch.
  TT_INLINE static void put(uint64_t now, uint64_t& last, Place& at, size_t i) noexcept {
    const uint64_t d = now - last, folded = d << 1 ^ (0 - (d >> 63));
    const auto top_bit = static_cast<uint64_t>(63 ^ __builtin_clzll(folded | 1));
    const uint64_t length = top_bit / 8 + (folded != 0);
    std::memcpy(at.p, &folded, 8);
    at.p += length;
    at.head |= length << (16 + 4 * i);
    last = now;
  }
  template <size_t kFrom, size_t... kIndex>
  TT_INLINE static void put(const Words& now, Words& last, Place& at,
                            std::index_sequence<kIndex...>) noexcept {
    (put(now[kFrom + kIndex], last[kFrom + kIndex], at, kFrom + kIndex), ...);
  }

  std::array<Words, kKinds> last_{};
};

struct Chunk {
  int64_t events = 0, bytes = 0;  // of a full one
  char data[(32 << 10) - 2 * sizeof(int64_t)];

  Chunk() noexcept {}  // its pages are touched as they fill
};

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

// Of one writer: without a locked instruction.
void add(std::atomic<int64_t>& count, int64_t n) noexcept {
  count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_release);
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
  Coder coder;  // of the last chunk, which is being filled
  char *to = nullptr, *full = nullptr;
  int64_t before = 0;  // events in the chunks before it
  std::atomic<int64_t> bytes{0}, size{0}, lost{0};

  mutable ForkSafeMutex<std::mutex> mutex;  // of what follows
  std::deque<std::unique_ptr<Chunk>> memory;
  size_t most_chunks = 1, in_file = 0;
  int64_t spilled = 0;
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
    spilled += oldest->events;
    memory.pop_front();
    return oldest;
  }

  bool begin_chunk() noexcept {
    const std::lock_guard lock(mutex);
    const int64_t so_far = size.load(std::memory_order_relaxed);
    if (!memory.empty()) {
      memory.back()->events = so_far - before;
      memory.back()->bytes = bytes.load(std::memory_order_relaxed);
    }
    try {
      memory.emplace_back();  // first, so that a chunk that was taken finds its place
      memory.pop_back();
      memory.push_back(next());
    } catch (const std::bad_alloc&) {
      return false;
    }
    coder = Coder{};
    to = memory.back()->data;
    full = to + sizeof(Chunk::data) - Coder::kMost;
    before = so_far;
    bytes.store(0, std::memory_order_relaxed);
    return true;
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
  if (TT_UNLIKELY(s.to >= s.full && !s.begin_chunk())) return add(s.lost, 1);
  char* const end = s.coder.write(e, s.to);
  add(s.bytes, end - s.to);
  add(s.size, 1);
  s.to = end;
}

// The lock is not held while f runs: f may call the library while the log still gets events.
void EventLog::for_each(const std::function<void(const Event&)>& f) const {
  const State& s = *state_;
  const auto chunk = std::make_unique<Chunk>();
  const int64_t size = this->size();
  int64_t done = 0;
  for (size_t index = 0; done < size; ++index) {
    {
      const std::lock_guard lock(s.mutex);
      if (index < s.in_file) {
        read_whole(s.file, *chunk, index);
      } else {
        const Chunk& from = *s.memory[index - s.in_file];
        const bool last = &from == s.memory.back().get();
        chunk->bytes = last ? s.bytes.load(std::memory_order_acquire) : from.bytes;
        std::memcpy(chunk->data, from.data, static_cast<size_t>(chunk->bytes));
      }
    }
    Coder coder;
    const char* at = chunk->data;
    for (const char* end = at + chunk->bytes; at < end && done < size; ++done) f(coder.read(at));
  }
}

int64_t EventLog::size() const { return state_->size.load(std::memory_order_acquire); }
int64_t EventLog::lost() const { return state_->lost.load(std::memory_order_relaxed); }
int64_t EventLog::spilled() const {
  const std::lock_guard lock(state_->mutex);
  return state_->spilled;
}

}  // namespace tinytorch
