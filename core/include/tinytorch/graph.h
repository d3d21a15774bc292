// A step that is recorded once and replayed: no ops, no allocations, no user code, and the same
// bits. On the CPU the launches run again over memory that was planned for them; a device that
// records itself (CUDA) replays its own graph. docs/graphs.md has an example and the rules.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <tinytorch/device.h>
#include <tinytorch/error.h>

namespace tinytorch {

class Recording;

// What a captured step cannot do: wait for the device, read or make values on the host, leave the
// device. The message says what, and what to do instead.
class TT_API CaptureError : public Error {
 public:
  using Error::Error;
  ~CaptureError() override;
};

// A captured step. Everything that the host decided is part of it: shapes, scalars, branches. It
// reads and writes the memory of the tensors that the step used, keeps that memory alive, and runs
// on the calling thread's current stream. Belongs to one thread at a time.
class TT_API Graph {
 public:
  Graph() noexcept;
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  // One more step. Results are in the tensors that held them after capture(): the loss, gradients,
  // parameters. Throws what kernels report, as the step itself would (IndexError); CaptureError for
  // an empty graph and inside a capture.
  void replay();

  explicit operator bool() const noexcept { return impl_ != nullptr; }
  // For reports; 0 where the device has its own graph.
  int64_t launches() const noexcept;     // kernels that a replay runs
  int64_t arena_bytes() const noexcept;  // memory of temporaries and of kernels' workspace

  struct Impl;

 private:
  friend class Capture;
  explicit Graph(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

// Records what the calling thread launches while it lives, on which it also ends; capture() below
// is the way to use it.
class TT_API Capture {
 public:
  explicit Capture(const Device& device);  // CaptureError inside a capture
  ~Capture();                              // without finish(): drops what was recorded
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  // Once, on the thread that made it. CaptureError if the step was refused something.
  Graph finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Runs `step` once, as one real step, and records it. Run it once or more before, so that what is
// made at a first step (optimizer state, gradients to which later ones are added) is there.
// What `step` throws ends the capture and passes through; the library is usable as before, and the
// step is half done, as without a capture. CaptureError for what cannot be captured.
template <class F>
Graph capture(const Device& device, F&& step) {
  Capture recorder(device);
  std::forward<F>(step)();
  return recorder.finish();
}

// What happens while it lives is done at once and is not part of the capture, if there is one:
// state that is made when it is first needed. Such a tensor may be used by the captured step. What
// the step has made so far has values only where core replays the launches (the CPU): on a device
// that records itself its use in a pause is a CaptureError.
class TT_API CapturePause {
 public:
  CapturePause() noexcept;
  ~CapturePause();
  CapturePause(const CapturePause&) = delete;
  CapturePause& operator=(const CapturePause&) = delete;

 private:
  Recording* recording_;  // null: nothing is paused
  DeviceState* stream_device_;
  Stream* stream_;
};

}  // namespace tinytorch
