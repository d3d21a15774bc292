// What a thread needs on the hot path: one small constinit thread-local, all zero at first, without
// constructor or destructor, and the free lists from which core's own objects (impl, storage, node)
// come. Built with -ftls-model=initial-exec.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tinytorch/backend/backend.h>

namespace tinytorch {

struct DeviceState;
struct Node;
class DryRun;
class GeneratorGuard;
class Recording;

inline constexpr size_t kPoolGrain = 64;
inline constexpr unsigned kPoolBins =
    10;  // objects up to 640 bytes; larger ones come from operator new
inline constexpr uint32_t kPoolLimit = 512;

struct FreeItem {
  FreeItem* next;
};
struct PoolBin {
  FreeItem* head;
  uint32_t count;
};

// Memory in which a replayed launch finds its workspace. During a capture it is empty, and only
// tells how much a launch asks for.
struct Scratch {
  char* base;
  size_t bytes, top, most;  // in use now, and at most
};

struct ThreadState {
  PoolBin bins[kPoolBins];
  uint32_t
      pool_limit;  // 0 until the thread is registered, and again after it has handed its lists back
  bool pool_dead;
  bool no_grad, inference, no_fused, anomaly, destroying;
  bool sizing;  // kernels ask for their workspace and do no work
  uint8_t category, phase;
  uint32_t thread_number;  // 0: none given yet
  uint64_t seq;            // Lamport clock of autograd nodes
  Node* current;           // the node whose formula runs
  Node* doomed;            // nodes that wait for destruction
  const char* module;      // interned path
  uint64_t op_id;          // event id of the last launch while observed
  uint64_t event_id;       // the last one given to this thread
  uint64_t clock_ticks;    // of the time stamp counter when the steady clock said clock_ns
  int64_t clock_ns;
  DeviceState* device;         // default device of the thread; null: of the process
  DeviceState* stream_device;  // the device whose current stream is `stream`
  Stream* stream;
  const GeneratorGuard* generators;  // the innermost guard
  ErrorWord error;                   // of synchronous devices
  Recording* recording;              // of the capture that runs, also while it is paused
  Scratch* scratch;                  // of a capture or replay, or of a kernel in a dry run
  DryRun* dry_run;
};
static_assert(sizeof(ThreadState) <= 384);

extern constinit thread_local ThreadState thread_state_tls;
TT_INLINE ThreadState& thread_state() { return thread_state_tls; }

void* pool_get_slow(ThreadState&, unsigned bin);
void pool_put_slow(ThreadState&, unsigned bin) noexcept;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TT_PLAIN_ALLOC 1  // sanitizers see every object
#endif

TT_INLINE void* pool_get(size_t bytes) {
#ifdef TT_PLAIN_ALLOC
  return ::operator new(bytes);
#else
  const unsigned bin = static_cast<unsigned>((bytes + kPoolGrain - 1) / kPoolGrain) - 1;
  if (TT_UNLIKELY(bin >= kPoolBins)) return ::operator new(bytes);
  ThreadState& t = thread_state();
  PoolBin& b = t.bins[bin];
  FreeItem* p = b.head;
  if (TT_UNLIKELY(!p)) return pool_get_slow(t, bin);
  b.head = p->next;
  --b.count;
  return p;
#endif
}

TT_INLINE void pool_put(void* object, size_t bytes) noexcept {
#ifdef TT_PLAIN_ALLOC
  ::operator delete(object, bytes);
#else
  const unsigned bin = static_cast<unsigned>((bytes + kPoolGrain - 1) / kPoolGrain) - 1;
  if (TT_UNLIKELY(bin >= kPoolBins)) return ::operator delete(object, bytes);
  ThreadState& t = thread_state();
  PoolBin& b = t.bins[bin];
  auto* p = static_cast<FreeItem*>(object);
  p->next = b.head;
  b.head = p;
  if (TT_UNLIKELY(++b.count > t.pool_limit)) pool_put_slow(t, bin);
#endif
}

}  // namespace tinytorch
