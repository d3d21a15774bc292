// Copies, markers and waiting. The host learns of bad values when it waits: a flag in pinned memory
// says whether there is a word to read.
#include "backends/cuda/stream.h"

#include <string>
#include <utility>

#include "backends/cuda/gpu.h"

namespace tinytorch::cuda {

CudaStream::CudaStream(Gpu& gpu)
    : gpu_(gpu), context_{this, &gpu.allocator(), &native_, &error_, ""} {
  native_.device = gpu.index();
}

void CudaStream::open() {
  rt::StreamHandle handle = nullptr;
  TT_CUDA_CHECK(gpu_.health(), "", rt::stream_create(&handle));
  try {
    slot_ = gpu_.error_slots().take(handle);
    marks_ = open_marks(gpu_.events(), gpu_.health());
    pool_ = &gpu_.allocator().open_pool(handle);
  } catch (...) {
    if (marks_) close_marks(*marks_);
    TT_CUDA_TRY(gpu_.health(), rt::stream_destroy(handle));
    throw;
  }
  native_.stream = handle;
  native_.multiprocessors = gpu_.facts().multiprocessors;
  report_to(slot_);
}

CudaStream::~CudaStream() {
  if (!native_.stream) return;
  gpu_.enter_quietly();
  if (graph_pool_) drop_capture();
  TT_CUDA_TRY(gpu_.health(), rt::stream_synchronize(native_.stream));
  gpu_.allocator().close_pool(*pool_);
  close_marks(*marks_);
  TT_CUDA_TRY(gpu_.health(), rt::stream_destroy(native_.stream));
}

void CudaStream::enter(const char* op) { gpu_.enter(op); }

void CudaStream::report_to(const std::shared_ptr<const ErrorSlot>& slot) noexcept {
  native_.error_word = slot->word;
  native_.error_flag = slot->flag;
}

void CudaStream::attach(const std::shared_ptr<const ErrorSlot>& slot) {
  for (const auto& known : attached_)
    if (known == slot) return;
  attached_.push_back(slot);
}

// A copy from the host has taken its bytes when the call returns; one to the host is waited for,
// whatever kind of memory that is.
void CudaStream::copy(void* dst, const void* src, size_t bytes, CopyKind kind) {
  enter("copy");
  if (bytes == 0) return;
  if (kind == CopyKind::host_to_device && !graph_pool_)
    return gpu_.staging().copy(dst, src, bytes, native_.stream);
  TT_CUDA_CHECK(gpu_.health(), "copy", rt::copy(dst, src, bytes, kind, native_.stream));
  if (kind == CopyKind::device_to_host)
    TT_CUDA_CHECK(gpu_.health(), "copy", rt::stream_synchronize(native_.stream));
}

void CudaStream::synchronize() {
  enter("synchronize");
  TT_CUDA_CHECK(gpu_.health(), "synchronize", rt::stream_synchronize(native_.stream));
  collect(*slot_, native_.stream, error_, gpu_.health());
  for (const auto& slot : attached_) collect(*slot, native_.stream, error_, gpu_.health());
  attached_.clear();
}

Marker CudaStream::mark() {
  enter("mark");
  if (graph_pool_) throw Error("[mark] inside a capture: no place in a stream is reached there");
  return marks_->mark(native_.stream);
}

void CudaStream::wait(Marker marker) {
  enter("wait");
  const std::shared_ptr<MarkRing> ring = marks_of(marker, "wait");
  if (!ring) return;
  if (graph_pool_ && ring->query(marker)) return;
  if (graph_pool_) throw Error("[wait] inside a capture: a replay would not wait again");
  ring->make_wait(marker, native_.stream, gpu_.health());
}

bool CudaStream::query(Marker marker) {
  enter("query");
  const std::shared_ptr<MarkRing> ring = marks_of(marker, "query");
  return !ring || ring->query(marker);
}

double CudaStream::elapsed_us(Marker from, Marker to) {
  enter("elapsed_us");
  for (const Marker marker : {from, to})
    if (marks_of(marker, "elapsed_us") != marks_)
      throw Error("[elapsed_us] marker " + std::to_string(marker.id) + " is not of this stream");
  return marks_->elapsed_us(from, to);
}

}  // namespace tinytorch::cuda
