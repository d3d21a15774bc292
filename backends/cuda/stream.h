// A stream of one device: copies, markers, waiting, capture. Its native handle is made when it is
// opened; its address, and that of its Native, are fixed from the start.
#pragma once

#include <memory>
#include <vector>

#include <tinytorch/backend/backend.h>

#include "backends/cuda/chunks.h"
#include "backends/cuda/error_slots.h"
#include "backends/cuda/markers.h"
#include "backends/cuda/rt.h"

namespace tinytorch::cuda {

class Gpu;

class CudaStream final : public Stream {
 public:
  explicit CudaStream(Gpu& gpu);
  ~CudaStream() override;  // finishes its work

  KernelContext& context() override { return context_; }
  void copy(void* dst, const void* src, size_t bytes, CopyKind kind) override;
  void synchronize() override;
  Marker mark() override;
  void wait(Marker marker) override;
  bool query(Marker marker) override;
  double elapsed_us(Marker from, Marker to) override;
  bool begin_capture() override;
  std::unique_ptr<RecordedGraph> end_capture() override;

  void open();  // with the device current; DeviceError
  // Reads what a graph reports at the next synchronisation.
  void attach(const std::shared_ptr<const ErrorSlot>& slot);
  rt::StreamHandle handle() const noexcept { return native_.stream; }
  Pool& pool() const noexcept { return *pool_; }
  Gpu& gpu() const noexcept { return gpu_; }

 private:
  void enter(const char* op);  // opens device and stream
  void report_to(const std::shared_ptr<const ErrorSlot>& slot) noexcept;
  void drop_capture() noexcept;

  Gpu& gpu_;
  KernelContext context_;
  Native native_{};
  ErrorWord error_{};
  std::shared_ptr<const ErrorSlot> slot_;
  std::vector<std::shared_ptr<const ErrorSlot>> attached_;  // of graphs that ran since
  Pool* pool_ = nullptr;
  std::shared_ptr<MarkRing> marks_;
  // During a capture.
  Pool* graph_pool_ = nullptr;
  std::shared_ptr<const ErrorSlot> graph_slot_;
};

inline CudaStream& cuda_stream(Stream& stream) { return static_cast<CudaStream&>(stream); }

// What a capture recorded. Owns the memory that was allocated meanwhile, and its error slot.
std::unique_ptr<RecordedGraph> make_graph(Gpu& gpu, rt::GraphHandle handle, Pool& pool,
                                          std::shared_ptr<const ErrorSlot> slot);

}  // namespace tinytorch::cuda
