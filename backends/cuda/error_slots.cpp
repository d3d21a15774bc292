// Slots are made a page at a time and never given back to the system.
#include "backends/cuda/error_slots.h"

namespace tinytorch::cuda {

namespace {
constexpr size_t kSlots = 64;      // of a page
constexpr size_t kSlotBytes = 64;  // of device memory, so that slots share no line
static_assert(sizeof(ErrorWord) <= kSlotBytes);
}  // namespace

std::shared_ptr<const ErrorSlot> ErrorSlots::take(rt::StreamHandle stream) {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) make(stream);
  auto* slot = new ErrorSlot(spare_.back());
  spare_.pop_back();
  return std::shared_ptr<const ErrorSlot>(slot, [this](const ErrorSlot* done) {
    put(*done);
    delete done;
  });
}

void ErrorSlots::make(rt::StreamHandle stream) {
  spare_.reserve(made_ + kSlots);
  void *words = nullptr, *flags = nullptr;
  TT_CUDA_CHECK(health_, "", rt::allocate(&words, kSlots * kSlotBytes));
  try {
    TT_CUDA_CHECK(health_, "", rt::allocate_pinned(&flags, kSlots * sizeof(uint32_t)));
    TT_CUDA_CHECK(health_, "", rt::fill_bytes(words, 0, kSlots * kSlotBytes, stream));
    TT_CUDA_CHECK(health_, "", rt::stream_synchronize(stream));
  } catch (...) {
    if (flags) TT_CUDA_TRY(health_, rt::release_pinned(flags));
    TT_CUDA_TRY(health_, rt::release(words));
    throw;
  }
  for (size_t i = 0; i < kSlots; ++i) {
    volatile uint32_t* flag = static_cast<uint32_t*>(flags) + i;
    *flag = 0;
    spare_.push_back(
        {reinterpret_cast<ErrorWord*>(static_cast<char*>(words) + i * kSlotBytes), flag});
  }
  made_ += kSlots;
}

// A slot with a report that nobody read is not used again.
void ErrorSlots::put(const ErrorSlot& slot) noexcept {
  const std::lock_guard lock(mutex_);
  if (!*slot.flag) spare_.push_back(slot);
}

void collect(const ErrorSlot& slot, rt::StreamHandle stream, ErrorWord& word, Health& health) {
  if (TT_LIKELY(!*slot.flag)) return;
  ErrorWord found{};
  TT_CUDA_CHECK(health, "",
                rt::copy(&found, slot.word, sizeof found, CopyKind::device_to_host, stream));
  TT_CUDA_CHECK(health, "", rt::fill_bytes(slot.word, 0, sizeof found, stream));
  TT_CUDA_CHECK(health, "", rt::stream_synchronize(stream));
  *slot.flag = 0;
  found.lock = 0;
  if (word.kind == 0 || found.position < word.position) word = found;
}

}  // namespace tinytorch::cuda
