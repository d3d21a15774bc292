// Recording a stream's work, and graphs of it. One stream records into one graph; forking into
// other streams is refused.
#include <string>
#include <utility>

#include "tests/cuda_twin/runtime/twin.h"

namespace tinytorch::twin {

using namespace cuda::rt;

namespace {

// One run of a recorded item; the tape lives until the last of them is gone.
class Again final : public late::Item {
 public:
  Again(std::shared_ptr<Tape> tape, size_t i) : tape_(std::move(tape)), i_(i) {}
  void run() override { tape_->items[i_]->run(); }

 private:
  std::shared_ptr<Tape> tape_;
  size_t i_;
};

}  // namespace

Status spoil(Capture& capture, const std::string& why) {
  capture.invalid = true;
  return refuse(kCaptureUnsupported, why);
}

}  // namespace tinytorch::twin

namespace tinytorch::cuda::rt {

using namespace twin;

Status begin_capture(StreamHandle handle) {
  Call call("begin_capture");
  if (call.failed()) return call.status();
  TwinStream* stream = call.stream(handle);
  if (!stream) return call.status();
  if (stream->capture) {
    stream->capture->invalid = true;
    return refuse(kIllegalState, "the stream captures already");
  }
  stream->capture = std::make_shared<Capture>();
  stream->capture->tape = std::make_shared<Tape>(stream->device);
  return kSuccess;
}

// The stream captures no more, whatever the answer.
Status end_capture(StreamHandle handle, GraphHandle* graph) {
  const Call call("end_capture");
  *graph = nullptr;
  if (!call.cleans()) return call.status();
  TwinStream* stream = state().streams.find(handle);
  if (!stream) return no_such_handle("stream");
  if (!stream->capture) return refuse(kIllegalState, "the stream does not capture");
  const std::shared_ptr<Capture> capture = std::exchange(stream->capture, nullptr);
  capture->active = false;
  if (call.failed()) return call.status();
  if (stream->device.lost != kSuccess) return stream->device.lost;
  if (capture->invalid)
    return refuse(kCaptureInvalidated, "the capture was spoiled by an earlier call");
  *graph = state().graphs.add(capture->tape);
  return kSuccess;
}

// Runs of one graph follow each other, also on different streams.
Status graph_launch(GraphHandle graph, StreamHandle handle) {
  Call call("graph_launch");
  if (call.failed()) return call.status();
  TwinStream* stream = call.stream(handle);
  if (!stream) return call.status();
  const std::shared_ptr<Tape>* found = state().graphs.find(graph);
  if (!found) return no_such_handle("graph");
  if (stream->capture) return spoil(*stream->capture, "a graph was launched during a capture");
  const std::shared_ptr<Tape> tape = *found;
  if (&tape->device != &stream->device)
    return refuse(kInvalidValue, "a graph of one device was launched on a stream of another");
  ++state().counters.graph_launches;
  late::scheduler().wait(stream->queue, tape->last_run);
  for (size_t i = 0; i < tape->items.size(); ++i) {
    tape->items[i]->count(state().counters);
    late::scheduler().push(stream->queue, new Again(tape, i));
  }
  tape->last_run = stream->queue.place();
  late::scheduler().catch_up();
  return kSuccess;
}

Status graph_destroy(GraphHandle graph) {
  const Call call("graph_destroy");
  if (!call.cleans()) return call.status();
  if (!state().graphs.remove(graph)) return no_such_handle("graph");
  return call.status();
}

}  // namespace tinytorch::cuda::rt
