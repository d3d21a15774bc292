// Memory seen from core: workspace of kernels, events of blocks, statistics of a device, and the
// report of an out of memory.
#include <tinytorch/memory.h>

#include <algorithm>

#include "core/runtime/arena_plan.h"
#include "core/runtime/device_state.h"
#include "core/runtime/events.h"

namespace tinytorch {

namespace {

// Workspaces of a thread end in the opposite order of their begins.
void* take(Scratch& s, size_t bytes) {
  const size_t at = s.top;
  s.top += arena_rounded(bytes);
  s.most = std::max(s.most, s.top);
  return s.top <= s.bytes ? s.base + at : nullptr;
}
bool inside(const Scratch& s, const void* data) {
  const auto* at = static_cast<const char*>(data);
  return at >= s.base && at < s.base + s.bytes;
}

}  // namespace

Workspace::Workspace(KernelContext& context, size_t bytes) : context_(context) {
  if (Scratch* s = thread_state().scratch) {
    block_ = {take(*s, bytes), bytes};
    if (block_.data) return;
  }
  CategoryGuard guard(Category::workspace);
  block_ = context.allocator->allocate(bytes, *context.stream);
}
Workspace::~Workspace() {
  if (Scratch* s = thread_state().scratch) {
    s->top -= arena_rounded(block_.bytes);
    if (inside(*s, block_.data)) return;
  }
  CategoryGuard guard(Category::workspace);
  context_.allocator->free(block_, *context_.stream);
}

static Event block_event(EventKind kind, const MemoryBlock& block, Stream& stream) noexcept {
  Event e;
  e.kind = kind;
  e.name = name_of(kind);
  e.pointer = block.data;
  e.bytes = static_cast<int64_t>(block.bytes);
  e.device = device_label(stream.context().allocator);
  return e;
}

MemoryBlock Allocator::allocate_observed(size_t bytes, Stream& stream) {
  const int64_t start = host_clock_ns();
  const MemoryBlock block = allocate_block(bytes, stream);
  const int64_t end = host_clock_ns();
  Event e = block_event(EventKind::alloc, block, stream);
  e.start_ns = start;
  e.end_ns = end;
  deliver(e);
  return block;
}

void Allocator::emit_free(const MemoryBlock& block, Stream& stream) noexcept {
  Event e = block_event(EventKind::free, block, stream);
  deliver(e);
}

MemoryStats memory_stats(const Device& device) { return device.state()->allocator->stats(); }
void reset_peak_memory(const Device& device) { device.state()->allocator->reset_peak(); }
void trim_memory(const Device& device, size_t keep) { device.state()->allocator->trim(keep); }
void set_memory_limit(const Device& device, size_t bytes) {
  device.state()->allocator->set_limit(bytes);
}

}  // namespace tinytorch
