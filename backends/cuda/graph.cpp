// Capture and replay. Launches that are recorded keep the address of an error slot of the graph's,
// which a replay attaches to its stream.
#include <utility>

#include "backends/cuda/gpu.h"
#include "backends/cuda/stream.h"

namespace tinytorch::cuda {

namespace {

class CudaGraph final : public RecordedGraph {
 public:
  CudaGraph(Gpu& gpu, rt::GraphHandle handle, Pool& pool, std::shared_ptr<const ErrorSlot> slot)
      : gpu_(gpu), handle_(handle), pool_(pool), slot_(std::move(slot)) {}

  ~CudaGraph() override {
    if (in_forked_child()) return;
    gpu_.enter_quietly();
    TT_CUDA_TRY(gpu_.health(), rt::graph_destroy(handle_));
    gpu_.allocator().retire(pool_);
  }

  void replay(Stream& stream) override {
    CudaStream& on = cuda_stream(stream);
    gpu_.enter("replay");
    if (&on.gpu() != &gpu_)
      throw DeviceError("[replay] a graph of " + std::string(gpu_.label()) + " on a stream of " +
                        on.gpu().label());
    gpu_.allocator().add_replay(pool_, on.pool());
    on.attach(slot_);
    TT_CUDA_CHECK(gpu_.health(), "replay", rt::graph_launch(handle_, on.handle()));
  }

 private:
  Gpu& gpu_;
  const rt::GraphHandle handle_;
  Pool& pool_;
  const std::shared_ptr<const ErrorSlot> slot_;
};

}  // namespace

bool CudaStream::begin_capture() {
  enter("capture");
  graph_slot_ = gpu_.error_slots().take(native_.stream);
  graph_pool_ = &gpu_.allocator().begin_capture(*pool_);
  const rt::Status status = rt::begin_capture(native_.stream);
  if (status != rt::kSuccess) drop_capture();
  gpu_.health().check(status, TT_CUDA_SITE("capture", rt::begin_capture(native_.stream)));
  report_to(graph_slot_);
  return true;
}

// Leaves the capture, whatever the runtime says.
void CudaStream::drop_capture() noexcept {
  report_to(slot_);
  graph_slot_.reset();
  gpu_.allocator().end_capture(*pool_);
  gpu_.allocator().retire(*std::exchange(graph_pool_, nullptr));
}

std::unique_ptr<RecordedGraph> CudaStream::end_capture() {
  if (!graph_pool_) throw Error("[capture] ends that was not begun");
  rt::GraphHandle handle = nullptr;
  gpu_.enter_quietly();
  const rt::Status status =
      gpu_.health().usable() ? rt::end_capture(native_.stream, &handle) : rt::kUnknown;
  std::unique_ptr<RecordedGraph> graph;
  if (status == rt::kSuccess) {
    try {
      graph = std::make_unique<CudaGraph>(gpu_, handle, *graph_pool_, graph_slot_);
    } catch (...) {
      TT_CUDA_TRY(gpu_.health(), rt::graph_destroy(handle));
      drop_capture();
      throw;
    }
  } else {
    drop_capture();
    gpu_.health().require("capture");
    gpu_.health().check(status, TT_CUDA_SITE("capture", rt::end_capture(native_.stream, &handle)));
  }
  report_to(slot_);
  graph_slot_.reset();
  gpu_.allocator().end_capture(*pool_);
  graph_pool_ = nullptr;
  return graph;
}

}  // namespace tinytorch::cuda
