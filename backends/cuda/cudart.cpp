// The product's body of namespace rt: the CUDA runtime, linked statically, so that nothing of CUDA
// must be installed but a driver. One function here is one call there; what a call promises stands
// in rt.h. Matrix products are in cublaslt.cpp.
#include <cuda_runtime_api.h>
#include <nvtx3/nvToolsExt.h>

#include <cstdio>

#include "backends/cuda/capture_mode.h"
#include "backends/cuda/rt.h"

namespace tinytorch::cuda::rt {

const void* image_probe();  // kernel_image.cu

namespace {

// Above this much dynamic shared memory a kernel must ask for more than the 48 KB of every device.
// The rest is for its static shared memory.
constexpr size_t kSharedWithoutOptIn = size_t{40} << 10;

// The runtime repeats an error once through cudaGetLastError: taken here, so that another user of
// the runtime in this process does not find an error of ours.
Status status(cudaError_t e) {
  if (e != cudaSuccess) (void)cudaGetLastError();
  return static_cast<Status>(e);
}
cudaError_t error(Status s) { return static_cast<cudaError_t>(s); }
cudaStream_t native(StreamHandle s) { return reinterpret_cast<cudaStream_t>(s); }
cudaEvent_t native(EventHandle e) { return reinterpret_cast<cudaEvent_t>(e); }
cudaGraphExec_t native(GraphHandle g) { return reinterpret_cast<cudaGraphExec_t>(g); }
dim3 native(Dim3 d) { return {d.x, d.y, d.z}; }

constexpr cudaMemcpyKind native(CopyKind kind) {
  switch (kind) {
    case CopyKind::host_to_device:
      return cudaMemcpyHostToDevice;
    case CopyKind::device_to_host:
      return cudaMemcpyDeviceToHost;
    case CopyKind::device_to_device:
      break;
  }
  return cudaMemcpyDeviceToDevice;
}

// A recorded copy touches host memory when it is replayed. That is right for pinned memory, which
// its owner keeps; other memory is promised to have been read, or filled, when the call returns.
bool may_record(const void* dst, const void* src, CopyKind kind) {
  if (kind == CopyKind::device_to_device) return true;
  cudaPointerAttributes facts{};
  const void* host = kind == CopyKind::host_to_device ? src : dst;
  return status(cudaPointerGetAttributes(&facts, host)) == kSuccess &&
         facts.type == cudaMemoryTypeHost;
}
bool recording(cudaStream_t stream) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  return cudaStreamIsCapturing(stream, &capture) == cudaSuccess &&
         capture != cudaStreamCaptureStatusNone;
}

}  // namespace

const char* backend_name() noexcept { return "cuda"; }
bool simulated() noexcept { return false; }
const char* name_of(Status s) noexcept { return cudaGetErrorName(error(s)); }
const char* text_of(Status s) noexcept { return cudaGetErrorString(error(s)); }

// ---- devices

Status driver_version(int* version) { return status(cudaDriverGetVersion(version)); }
Status runtime_version(int* version) { return status(cudaRuntimeGetVersion(version)); }
Status device_count(int* count) { return status(cudaGetDeviceCount(count)); }
Status set_device(int device) { return status(cudaSetDevice(device)); }

Status device_facts(int device, DeviceFacts* facts) {
  cudaDeviceProp p{};
  if (const Status s = status(cudaGetDeviceProperties(&p, device)); s != kSuccess) return s;
  std::snprintf(facts->name, sizeof facts->name, "%s", p.name);
  facts->total_bytes = p.totalGlobalMem;
  facts->major = p.major;
  facts->minor = p.minor;
  facts->multiprocessors = p.multiProcessorCount;
  facts->shared_bytes_per_block = p.sharedMemPerBlockOptin;
  return kSuccess;
}

Status memory_info(size_t* free_bytes, size_t* total_bytes) {
  return status(cudaMemGetInfo(free_bytes, total_bytes));
}

Status check_kernel_image() {
  cudaFuncAttributes facts{};
  const Status s = status(cudaFuncGetAttributes(&facts, image_probe()));
  return s == cudaErrorInvalidDeviceFunction ? kNoKernelImage : s;  // two names for one thing
}

// ---- memory

Status allocate(void** data, size_t bytes) {
  const RelaxedCapture relaxed;
  return status(cudaMalloc(data, bytes));
}
Status release(void* data) {
  const RelaxedCapture relaxed;
  return status(cudaFree(data));
}
Status allocate_pinned(void** data, size_t bytes) {
  const RelaxedCapture relaxed;
  return status(cudaHostAlloc(data, bytes, cudaHostAllocPortable | cudaHostAllocMapped));
}
Status release_pinned(void* data) {
  const RelaxedCapture relaxed;
  return status(cudaFreeHost(data));
}

// ---- order

Status stream_create(StreamHandle* stream) {
  return status(
      cudaStreamCreateWithFlags(reinterpret_cast<cudaStream_t*>(stream), cudaStreamNonBlocking));
}
Status stream_destroy(StreamHandle stream) { return status(cudaStreamDestroy(native(stream))); }
Status stream_synchronize(StreamHandle stream) {
  return status(cudaStreamSynchronize(native(stream)));
}
Status stream_wait(StreamHandle stream, EventHandle event) {
  return status(cudaStreamWaitEvent(native(stream), native(event), cudaEventWaitDefault));
}
Status event_create(EventHandle* event) {
  return status(cudaEventCreateWithFlags(reinterpret_cast<cudaEvent_t*>(event), cudaEventDefault));
}
Status event_destroy(EventHandle event) { return status(cudaEventDestroy(native(event))); }
Status event_record(EventHandle event, StreamHandle stream) {
  return status(cudaEventRecord(native(event), native(stream)));
}
Status event_query(EventHandle event) { return status(cudaEventQuery(native(event))); }
Status event_synchronize(EventHandle event) { return status(cudaEventSynchronize(native(event))); }
Status event_elapsed(float* milliseconds, EventHandle from, EventHandle to) {
  return status(cudaEventElapsedTime(milliseconds, native(from), native(to)));
}

// ---- work

Status copy(void* dst, const void* src, size_t bytes, CopyKind kind, StreamHandle stream) {
  if (kind != CopyKind::device_to_device && recording(native(stream)) &&
      !may_record(dst, src, kind))
    return stream_synchronize(stream);  // which is refused, and spoils the capture
  return status(cudaMemcpyAsync(dst, src, bytes, native(kind), native(stream)));
}
Status fill_bytes(void* dst, int value, size_t bytes, StreamHandle stream) {
  return status(cudaMemsetAsync(dst, value, bytes, native(stream)));
}

Status launch(const KernelCall& call, StreamHandle stream) {
  if (call.shared_bytes > kSharedWithoutOptIn) {
    const Status s =
        status(cudaFuncSetAttribute(call.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(call.shared_bytes)));
    if (s != kSuccess) return s;
  }
  return status(cudaLaunchKernel(call.function, native(call.grid), native(call.block),
                                 const_cast<void**>(call.arguments), call.shared_bytes,
                                 native(stream)));
}

// ---- recorded work

Status begin_capture(StreamHandle stream) {
  return status(cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeRelaxed));
}
Status end_capture(StreamHandle stream, GraphHandle* graph) {
  cudaGraph_t recorded = nullptr;
  const Status ended = status(cudaStreamEndCapture(native(stream), &recorded));
  if (ended != kSuccess) {
    if (recorded) (void)cudaGraphDestroy(recorded);
    return ended;
  }
  const Status made =
      status(cudaGraphInstantiate(reinterpret_cast<cudaGraphExec_t*>(graph), recorded, 0));
  (void)cudaGraphDestroy(recorded);
  return made;
}
Status graph_launch(GraphHandle graph, StreamHandle stream) {
  return status(cudaGraphLaunch(native(graph), native(stream)));
}
Status graph_destroy(GraphHandle graph) { return status(cudaGraphExecDestroy(native(graph))); }

// ---- for others

void note_freed(void*, size_t, StreamHandle) noexcept {}
void range_push(const char* name) noexcept { nvtxRangePushA(name); }
void range_pop() noexcept { nvtxRangePop(); }

}  // namespace tinytorch::cuda::rt
