// Streams and events of the simulated runtime: queues of the scheduler, and places in them.
#include <algorithm>
#include <string>
#include <utility>

#include "tests/cuda_twin/runtime/twin.h"

namespace tinytorch::twin {

using namespace cuda::rt;

namespace {

// Runs on a lost device too: whoever waits for the event gets on.
class Passing final : public late::Item {
 public:
  explicit Passing(std::shared_ptr<Moment> moment) : moment_(std::move(moment)) {}
  void run() override { moment_->time = late::now_ns(); }

 private:
  std::shared_ptr<Moment> moment_;
};

// Destroyed streams still run what they were given.
void close_retired() {
  std::erase_if(state().retired, [](late::Queue* queue) {
    if (queue->passed != queue->given) return false;
    late::scheduler().close(*queue);
    return true;
  });
}

// Was the event's latest record a node of a graph? Then there is nothing to ask of it.
Status captured(const TwinEvent& event) {
  if (!event.captured) return kSuccess;
  if (event.captured->active)
    return spoil(*event.captured, "an event was asked for that the capture recorded");
  return refuse(kCapturedEvent, "the event was last recorded in a capture");
}

}  // namespace

Status wait_for(TwinDevice& device, Marker marker) {
  late::scheduler().run_to(marker);
  return device.lost;
}

void give(TwinStream& stream, std::unique_ptr<Work> work) {
  if (stream.capture) {
    stream.capture->tape->items.push_back(std::move(work));
    return;
  }
  work->count(state().counters);
  late::scheduler().push(stream.queue, work.release());
  late::scheduler().catch_up();
}

}  // namespace tinytorch::twin

namespace tinytorch::cuda::rt {

using namespace twin;

Status stream_create(StreamHandle* stream) {
  const Call call("stream_create");
  *stream = nullptr;
  if (call.failed()) return call.status();
  close_retired();
  *stream = state().streams.add({call.device(), late::scheduler().open()});
  return kSuccess;
}

Status stream_destroy(StreamHandle handle) {
  const Call call("stream_destroy");
  if (!call.cleans()) return call.status();
  TwinStream* stream = state().streams.find(handle);
  if (!stream) return no_such_handle("stream");
  Status status = call.status();
  if (stream->capture) {
    status = spoil(*stream->capture, "the stream was destroyed while it captured");
    stream->capture->active = false;
  }
  state().retired.push_back(&stream->queue);
  state().streams.remove(handle);
  close_retired();
  return status;
}

Status stream_synchronize(StreamHandle handle) {
  Call call("stream_synchronize");
  if (call.failed()) return call.status();
  TwinStream* stream = call.stream_to_wait_for(handle);
  if (!stream) return call.status();
  ++state().counters.waits;
  return wait_for(stream->device, stream->queue.place());
}

// Refers to the latest record at the time of this call. Fork and join are not simulated: inside a
// capture only its own stream's events may be waited for, which its order fulfils already.
Status stream_wait(StreamHandle handle, EventHandle event_handle) {
  Call call("stream_wait");
  if (call.failed()) return call.status();
  TwinStream* stream = call.stream(handle);
  const TwinEvent* event = stream ? call.event(event_handle) : nullptr;
  if (!event) return call.status();
  ++state().counters.event_waits;
  if (event->captured) {
    if (event->captured == stream->capture) return kSuccess;
    return captured(*event);
  }
  if (!event->moment) return kSuccess;
  if (stream->capture) {
    spoil(*stream->capture, "the capture would wait for an event recorded outside of it");
    return kCaptureIsolation;
  }
  late::scheduler().wait(stream->queue, event->moment->marker);
  return kSuccess;
}

Status event_create(EventHandle* event) {
  const Call call("event_create");
  *event = nullptr;
  if (call.failed()) return call.status();
  *event = state().events.add({call.device()});
  return kSuccess;
}

Status event_destroy(EventHandle event) {
  const Call call("event_destroy");
  if (!call.cleans()) return call.status();
  if (!state().events.remove(event)) return no_such_handle("event");
  return call.status();
}

Status event_record(EventHandle event_handle, StreamHandle handle) {
  Call call("event_record");
  if (call.failed()) return call.status();
  TwinStream* stream = call.stream(handle);
  TwinEvent* event = stream ? call.event(event_handle) : nullptr;
  if (!event) return call.status();
  if (&event->device != &stream->device)
    return refuse(kInvalidHandle, "an event of one device was recorded on a stream of another");
  ++state().counters.events_recorded;
  event->captured = stream->capture;
  if (stream->capture) return kSuccess;
  event->moment = std::make_shared<Moment>();
  late::scheduler().push(stream->queue, new Passing(event->moment));
  event->moment->marker = stream->queue.place();
  late::scheduler().catch_up();
  return kSuccess;
}

// Time passes between two questions: a loop around this ends.
Status event_query(EventHandle handle) {
  Call call("event_query");
  if (call.failed()) return call.status();
  const TwinEvent* event = call.event(handle);
  if (!event) return call.status();
  if (const Status status = captured(*event); status != kSuccess) return status;
  late::scheduler().run_some();
  if (event->device.lost != kSuccess) return event->device.lost;
  const bool passed = !event->moment || late::scheduler().passed(event->moment->marker);
  return passed ? kSuccess : kNotReady;
}

Status event_synchronize(EventHandle handle) {
  Call call("event_synchronize");
  if (call.failed()) return call.status();
  const TwinEvent* event = call.event(handle);
  if (!event) return call.status();
  if (const Status status = captured(*event); status != kSuccess) return status;
  ++state().counters.waits;
  return event->moment ? wait_for(event->device, event->moment->marker) : kSuccess;
}

Status event_elapsed(float* milliseconds, EventHandle from, EventHandle to) {
  Call call("event_elapsed");
  *milliseconds = 0;
  if (call.failed()) return call.status();
  const TwinEvent* first = call.event(from);
  const TwinEvent* last = first ? call.event(to) : nullptr;
  if (!last) return call.status();
  for (const TwinEvent* event : {first, last}) {
    if (const Status status = captured(*event); status != kSuccess) return status;
    if (!event->moment)
      return refuse(kInvalidHandle, "an event that was never recorded has no time");
  }
  if (&first->device != &last->device)
    return refuse(kInvalidHandle, "the events are of different devices");
  for (const TwinEvent* event : {first, last})
    if (!late::scheduler().passed(event->moment->marker)) return kNotReady;
  *milliseconds = static_cast<float>(last->moment->time - first->moment->time) / 1e6f;
  return kSuccess;
}

}  // namespace tinytorch::cuda::rt
