// Copies, markers and synchronisation of late streams.
#include "tests/late/late_stream.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace tinytorch::late {

namespace {

using Lock = std::lock_guard<std::recursive_mutex>;

class CopyItem final : public Item {
 public:
  CopyItem(char* dst, const char* src, size_t bytes) : dst_(dst), src_(src), bytes_(bytes) {}
  CopyItem(char* dst, std::vector<char> snapshot)
      : dst_(dst),
        snapshot_(std::move(snapshot)),
        src_(snapshot_.data()),
        bytes_(snapshot_.size()) {}
  void run() override { std::memmove(dst_, src_, bytes_); }

 private:
  char* dst_;
  std::vector<char> snapshot_;
  const char* src_;
  size_t bytes_;
};

}  // namespace

LateStream::LateStream(LateAllocator& allocator, Queue& queue)
    : allocator_(allocator), queue_(queue), context_{this, &allocator, this, &queue.error, ""} {}

LateStream::~LateStream() {
  const Lock lock(scheduler().mutex);
  scheduler().close(queue_);
}

void LateStream::push(Item* item) {
  const Lock lock(scheduler().mutex);
  if (tape_) {
    tape_->items.emplace_back(item);
    return;
  }
  scheduler().push(queue_, item);
  scheduler().catch_up();
}

void LateStream::copy(void* dst, const void* src, size_t bytes, CopyKind kind) {
  if (bytes == 0) return;
  const Lock lock(scheduler().mutex);
  const auto length = static_cast<int64_t>(bytes);
  const auto to = [&] { return allocator_.real(dst, length, "copy to the device"); };
  const auto from = [&] { return allocator_.real(src, length, "copy from the device"); };
  if (kind == CopyKind::device_to_host) {
    const char* real = from();
    ++scheduler().counters.device_to_host;
    finish();
    std::memcpy(dst, real, bytes);
  } else if (kind == CopyKind::host_to_device) {
    char* real = to();
    ++scheduler().counters.host_to_device;
    const auto* begin = static_cast<const char*>(src);
    push(new CopyItem(real, std::vector<char>(begin, begin + bytes)));
  } else {
    push(new CopyItem(to(), from(), bytes));
  }
}

void LateStream::finish() {
  scheduler().run_to(queue_.place());
  if (queue_.failure) std::rethrow_exception(std::exchange(queue_.failure, nullptr));
}

void LateStream::synchronize() {
  const Lock lock(scheduler().mutex);
  finish();
}

Marker LateStream::mark() {
  const Lock lock(scheduler().mutex);
  return scheduler().mark(queue_);
}

void LateStream::wait(Marker marker) {
  const Lock lock(scheduler().mutex);
  scheduler().wait(queue_, marker);
}

// Time passes between two questions: a loop around query() ends.
bool LateStream::query(Marker marker) {
  const Lock lock(scheduler().mutex);
  scheduler().run_some();
  return scheduler().passed(marker);
}

double LateStream::elapsed_us(Marker from, Marker to) {
  const Lock lock(scheduler().mutex);
  scheduler().run_to(from);
  scheduler().run_to(to);
  return static_cast<double>(time_of(to) - time_of(from)) / 1000;
}

int64_t LateStream::time_of(Marker marker) const {
  if (!queue_.owns(marker))
    throw Error("[elapsed_us] marker " + std::to_string(marker.id) + " is not one of this stream");
  return queue_.time_of(marker);
}

// ---- capture

namespace {

// One run of a recorded item; the tape lives until the last of them is gone.
class Again final : public Item {
 public:
  Again(std::shared_ptr<Tape> tape, size_t i) : tape_(std::move(tape)), i_(i) {}
  void run() override { tape_->items[i_]->run(); }

 private:
  std::shared_ptr<Tape> tape_;
  size_t i_;
};

class LateGraph final : public RecordedGraph {
 public:
  LateGraph(std::shared_ptr<Tape> tape, LateStream& stream)
      : tape_(std::move(tape)), stream_(stream) {}
  ~LateGraph() override {  // in the order of all streams that replayed
    for (const MemoryBlock& block : tape_->blocks) tape_->allocator.free(block, stream_);
  }
  void replay(Stream& stream) override {
    const Lock lock(scheduler().mutex);
    for (MemoryBlock& block : tape_->blocks) tape_->allocator.record_use(block, stream);
    for (size_t i = 0; i < tape_->items.size(); ++i) late(stream).push(new Again(tape_, i));
  }

 private:
  std::shared_ptr<Tape> tape_;
  LateStream& stream_;
};

}  // namespace

// Frees that wait in the queue must not run into what is recorded. TINYTORCH_LATE_RECORDS=0 leaves
// the recording to core.
bool LateStream::begin_capture() {
  const char* records = std::getenv("TINYTORCH_LATE_RECORDS");
  if (records && *records == '0') return false;
  const Lock lock(scheduler().mutex);
  finish();
  tape_ = std::make_shared<Tape>(allocator_);
  return true;
}

std::unique_ptr<RecordedGraph> LateStream::end_capture() {
  const Lock lock(scheduler().mutex);
  return std::make_unique<LateGraph>(std::exchange(tape_, nullptr), *this);
}

}  // namespace tinytorch::late
