// Capture and replay. During a capture the thread has a stream of its own, so that use() tells the
// recording of every storage; what was allocated and freed inside gets its place in the arena.
#include <tinytorch/graph.h>

#include <tinytorch/profiler.h>

#include "core/runtime/arena_plan.h"
#include "core/runtime/fusion.h"
#include "core/runtime/launch.h"
#include "core/tensor/tensor_impl.h"

namespace tinytorch {

CaptureError::~CaptureError() = default;

struct Graph::Impl {
  explicit Impl(DeviceState* d) : device(d) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    recorded.reset();
    for (Storage* s : kept) release(s);
  }

  void take_over(Recording& r);
  void place_temporaries(Recording& r);
  void run();
  void run_launches(Stream* s);
  void run_observed(Stream* s, KernelContext& c, Scratch& scratch);

  DeviceState* const device;
  std::unique_ptr<RecordedGraph> recorded;  // of the device; null: the launches
  KernelCost cost;
  Pages pages;
  std::vector<BoundLaunch*> launches;
  size_t arena_bytes = 0;
  std::vector<Storage*> kept;     // what the launches use, the arena included
  std::vector<Storage*> written;  // of those
};

// ---- capture

struct Capture::State {
  explicit State(DeviceState* d)
      : own_stream(create_stream(Device(d))), recording(d, own_stream.get()) {}
  ~State();
  void run_begun() noexcept;
  std::unique_ptr<RecordedGraph> end_recording() {
    recording_ended = true;
    return recording.binds ? nullptr : own_stream->end_capture();
  }

  std::shared_ptr<Stream> own_stream;
  Recording recording;
  bool recording_ended = false;
};

// What was given to a device that records itself before the capture was given up has not run: it
// does now, so that the step is half done as on the others.
void Capture::State::run_begun() noexcept {
  try {
    const std::unique_ptr<RecordedGraph> begun = end_recording();
    if (!begun) return;
    thread_state().recording = nullptr;  // what follows is no use in a pause
    for (const auto& [address, outside] : recording.outside)
      record_use(outside.storage, recording.outer);
    for (const RecordedBlock& b : recording.blocks)
      if (b.storage) record_use(b.storage, recording.outer);
    begun->replay(*recording.outer);
  } catch (const std::exception&) {  // a lost device tells the next caller
  }
}

Capture::State::~State() {
  recording.pause();
  if (!recording_ended) run_begun();
  for (const RecordedBlock& b : recording.blocks)
    if (b.storage) b.storage->known &= static_cast<uint8_t>(~kRecorded);
  for (const auto& [address, outside] : recording.outside) release(outside.storage);
}

Capture::Capture(const Device& device) {
  if (thread_state().dry_run) refuse_captured("capture", "");
  if (thread_state().recording)
    throw CaptureError(
        "[capture] inside a capture, needed: one at a time on a thread; end the outer one first");
  state_ = std::make_unique<State>(device.state());
}
Capture::~Capture() = default;

Graph Capture::finish() {
  if (!state_) throw CaptureError("[finish] the capture has ended already");
  Recording& r = state_->recording;
  if (thread_state().recording != &r)
    throw CaptureError("[finish] on another thread than that of the capture");
  r.pause();
  r.check_whole();
  auto impl = std::make_unique<Graph::Impl>(r.device);
  impl->recorded = state_->end_recording();
  impl->take_over(r);
  state_.reset();
  if (impl->recorded) impl->run();  // recording was not running
  return Graph(std::move(impl));
}

// Where temporaries and workspaces lie from now on: one block for all.
void Graph::Impl::place_temporaries(Recording& r) {
  std::vector<PlannedBlock> planned;
  std::vector<size_t> place(r.blocks.size());
  for (size_t i = 0; i < r.blocks.size(); ++i) {
    const RecordedBlock& b = r.blocks[i];
    if (b.storage || b.first < 0) continue;
    place[i] = planned.size();
    planned.push_back({b.bytes, b.first, b.last});
  }
  const size_t temporaries = planned.size();
  for (size_t i = 0; i < r.launches.size(); ++i) {
    const auto step = static_cast<int64_t>(i);
    if (size_t bytes = r.launches[i]->workspace_bytes) planned.push_back({bytes, step, step});
  }
  arena_bytes = plan_arena(planned);
  if (arena_bytes == 0) return;

  CategoryGuard category(Category::activation);
  kept.reserve(kept.size() + 1);
  Storage* arena = new_storage(device, arena_bytes);
  kept.push_back(arena);
  char* base = static_cast<char*>(arena->block.data);
  for (const Recording::Patch& p : r.patches) {
    const RecordedBlock& b = r.blocks[p.block];
    if (!b.storage && b.first >= 0)
      *p.data = base + planned[place[p.block]].offset + (static_cast<char*>(*p.data) - b.data);
  }
  size_t next = temporaries;
  for (BoundLaunch* launch : r.launches)
    if (launch->workspace_bytes) launch->workspace = base + planned[next++].offset;
}

// Keeps alive what the step used and what it left behind.
void Graph::Impl::take_over(Recording& r) {
  if (device->synchronous) fuse_elementwise(r);
  place_temporaries(r);
  kept.reserve(kept.size() + r.outside.size() + r.blocks.size());
  written.reserve(r.outside.size() + r.blocks.size());
  for (const auto& [address, outside] : r.outside) {
    kept.push_back(outside.storage);
    if (outside.written) written.push_back(outside.storage);
  }
  r.outside.clear();
  for (const RecordedBlock& b : r.blocks) {
    if (!b.storage) continue;
    b.storage->refs.retain();
    kept.push_back(b.storage);
    written.push_back(b.storage);
    if (device->synchronous) b.storage->stream = r.outer;
  }
  cost = r.cost;
  pages = std::move(r.pages);
  launches = std::move(r.launches);
}

// ---- replay

void Graph::Impl::run() {
  Stream* s = current_stream(device);
  if (!device->synchronous) {
    for (Storage* storage : kept) record_use(storage, s);
  }
  if (!recorded) return run_launches(s);
  if (!observed()) return recorded->replay(*s);
  LaunchEvent event("graph", device, s, cost);
  recorded->replay(*s);
}

void Graph::Impl::run_launches(Stream* s) {
  ThreadState& t = thread_state();
  KernelContext c = s->context();
  Scratch scratch{};
  struct Restore {
    ThreadState& t;
    Scratch* const before;
    ~Restore() { t.scratch = before; }
  } restore{t, t.scratch};
  if (device->synchronous) {
    c.error = &t.error;
    t.scratch = &scratch;
  }
  if (TT_UNLIKELY(observed())) return run_observed(s, c, scratch);
  for (BoundLaunch* launch : launches) {
    scratch = {launch->workspace, launch->workspace_bytes, 0, 0};
    c.op = launch->op;
    launch->run(*launch, c);
    if (TT_UNLIKELY(t.error.kind)) throw_value_error(t.error);
  }
}

// With the attributes that the launches had when they were recorded.
void Graph::Impl::run_observed(Stream* s, KernelContext& c, Scratch& scratch) {
  ThreadState& t = thread_state();
  struct Restore {
    ThreadState& t;
    const char* const module;
    const uint8_t phase;
    ~Restore() {
      t.module = module;
      t.phase = phase;
    }
  } restore{t, t.module, t.phase};
  for (BoundLaunch* launch : launches) {
    scratch = {launch->workspace, launch->workspace_bytes, 0, 0};
    c.op = launch->op;
    t.module = launch->module;
    t.phase = launch->phase;
    {
      LaunchEvent event(launch->op, device, s, launch->cost);
      event.set_forward_op(launch->forward_op);
      launch->run(*launch, c);
    }
    if (t.error.kind) throw_value_error(t.error);
  }
}

Graph::Graph() noexcept = default;
Graph::Graph(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

void Graph::replay() {
  if (TT_UNLIKELY(!impl_))
    throw CaptureError("[replay] the graph is empty (default-constructed or moved from)");
  not_in_capture("replay", "inside a capture: a replay is not recorded; replay between steps");
  for (Storage* s : impl_->written) ++s->version;
  impl_->run();
}
int64_t Graph::launches() const noexcept {
  return impl_ ? static_cast<int64_t>(impl_->launches.size()) : 0;
}
int64_t Graph::arena_bytes() const noexcept {
  return impl_ ? static_cast<int64_t>(impl_->arena_bytes) : 0;
}

// ---- pause

CapturePause::CapturePause() noexcept
    : recording_(capturing()),
      stream_device_(thread_state().stream_device),
      stream_(thread_state().stream) {
  if (recording_) recording_->pause();
}
CapturePause::~CapturePause() {
  if (recording_) recording_->resume(stream_device_, stream_);
}

}  // namespace tinytorch
