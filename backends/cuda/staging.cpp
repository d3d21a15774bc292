// A large copy goes in pieces, so that the device fetches one while the host writes the next. Where
// no buffer is to be had, the runtime stages the bytes itself.
#include "backends/cuda/staging.h"

#include <algorithm>
#include <cstring>

namespace tinytorch::cuda {

namespace {
constexpr size_t kBuffer = 1 << 20;   // bytes
constexpr size_t kBuffers = 32;       // at most
constexpr size_t kDirect = 64 << 10;  // up to here the runtime does not wait either
}  // namespace

Staging::Staging(Health& health, EventPool& events) : health_(health), events_(events) {
  free_.reserve(kBuffers);
  sent_.reserve(kBuffers);
}

void Staging::copy(void* dst, const void* src, size_t bytes, rt::StreamHandle stream) {
  auto* to = static_cast<char*>(dst);
  const auto* from = static_cast<const char*>(src);
  while (bytes > kDirect) {
    char* buffer = take();
    if (!buffer) break;
    const size_t piece = std::min(bytes, kBuffer);
    std::memcpy(buffer, from, piece);
    send(buffer, to, piece, stream);
    to += piece, from += piece, bytes -= piece;
  }
  if (bytes)
    TT_CUDA_CHECK(health_, "copy", rt::copy(to, from, bytes, CopyKind::host_to_device, stream));
}

// Keeps the buffer until the stream has passed the copy; without an event it is waited for here.
void Staging::send(char* buffer, void* dst, size_t bytes, rt::StreamHandle stream) {
  const rt::Status status = rt::copy(dst, buffer, bytes, CopyKind::host_to_device, stream);
  if (status != rt::kSuccess) {
    put(buffer);
    health_.check(status, TT_CUDA_SITE("copy", rt::copy(dst, buffer, bytes, stream)));
  }
  const rt::EventHandle passed = events_.take();
  if (passed && TT_CUDA_TRY(health_, rt::event_record(passed, stream))) {
    const std::lock_guard lock(mutex_);
    sent_.push_back({buffer, passed});
    return;
  }
  events_.put(passed);
  if (TT_CUDA_TRY(health_, rt::stream_synchronize(stream))) put(buffer);
}

// Null if there is neither a free one nor one that can be waited for.
char* Staging::take() noexcept {
  if (char* buffer = take_free()) return buffer;
  Sent oldest;
  {
    const std::lock_guard lock(mutex_);
    if (sent_.empty()) return nullptr;
    oldest = sent_.front();
    sent_.erase(sent_.begin());
  }
  const bool passed = TT_CUDA_TRY(health_, rt::event_synchronize(oldest.passed));
  events_.put(oldest.passed);
  return passed ? oldest.buffer : nullptr;
}

// A buffer that nobody uses, or a new one.
char* Staging::take_free() noexcept {
  {
    const std::lock_guard lock(mutex_);
    collect_passed();
    if (!free_.empty()) {
      char* buffer = free_.back();
      free_.pop_back();
      return buffer;
    }
    if (made_ == kBuffers) return nullptr;
    ++made_;
  }
  void* made = nullptr;
  if (rt::allocate_pinned(&made, kBuffer) == rt::kSuccess) return static_cast<char*>(made);
  const std::lock_guard lock(mutex_);
  --made_;
  return nullptr;
}

void Staging::collect_passed() noexcept {
  size_t passed = 0;
  while (passed < sent_.size() && rt::event_query(sent_[passed].passed) == rt::kSuccess) {
    free_.push_back(sent_[passed].buffer);
    events_.put(sent_[passed].passed);
    ++passed;
  }
  sent_.erase(sent_.begin(), sent_.begin() + static_cast<std::ptrdiff_t>(passed));
}

void Staging::put(char* buffer) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(buffer);
}

}  // namespace tinytorch::cuda
