// What kernels/cuda and backends/cuda may ask of a device: launches, matrix products, and in
// namespace rt the calls of the CUDA runtime. Everything in rt has two bodies, chosen by the build:
// backends/cuda/cudart.cpp calls the runtime, tests/cuda_twin simulates it on the CPU. It includes
// nothing of ours but the SPI, and no header of CUDA, so that code above it needs no toolkit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <tinytorch/backend/backend.h>

namespace tinytorch::cuda {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
};

// A kernel with its arguments. The product hands `function` and `arguments` to the runtime; the
// twin copies the arguments and has every simulated thread call invoke(function, copies).
struct KernelCall {
  const char* op;
  const void* function;
  void (*invoke)(const void* function, void* const* arguments);
  void* const* arguments;
  const size_t* sizes;  // of the arguments, in bytes
  int count;
  Dim3 grid, block;
  size_t shared_bytes;  // dynamic shared memory
};

// Row-major C[m, n] = act(op(A)[m, k] op(B)[k, n] + bias[n]) for each of `batch`, all of `dtype`
// (f32, f64). ta: A is stored [k, m]; tb: B is stored [n, k]. Leading dimensions and strides count
// elements; a stride of 0 repeats the matrix. No size is 0. act is none or relu. bias_grad[m], only
// without bias, act and batch: the sums of op(A)'s rows.
struct GemmDesc {
  Dtype dtype;
  int64_t m, n, k, batch;
  const void *a, *b;
  void* c;
  bool ta, tb;
  int64_t lda, ldb, ldc, stride_a, stride_b, stride_c;
  const void* bias = nullptr;
  Activation act = Activation::none;
  void* bias_grad = nullptr;
};

// ---- the runtime

namespace rt {

// A cudaError_t. Only the codes that the backend tells apart have names here.
using Status = int;
inline constexpr Status kSuccess = 0, kInvalidValue = 1, kOutOfMemory = 2, kInsufficientDriver = 35,
                        kNoDevice = 100, kInvalidDevice = 101, kNoKernelImage = 209,
                        kInvalidHandle = 400, kNotReady = 600, kIllegalAddress = 700,
                        kLaunchFailure = 719, kCaptureUnsupported = 900, kCaptureInvalidated = 901,
                        kCaptureUnjoined = 904, kCaptureImplicit = 906, kUnknown = 999;

using StreamHandle = struct StreamTag*;  // cudaStream_t
using EventHandle = struct EventTag*;    // cudaEvent_t
using GraphHandle = struct GraphTag*;    // cudaGraphExec_t

const char* backend_name() noexcept;  // "cuda" or "cudatwin"
bool simulated() noexcept;            // the twin: used only when named
const char* name_of(Status) noexcept;
const char* text_of(Status) noexcept;

struct DeviceFacts {
  char name[256];
  size_t total_bytes;
  int major, minor;  // compute capability
  int multiprocessors;
  size_t shared_bytes_per_block;  // at most, with opt-in
};

Status driver_version(int* version);   // 1000 major + 10 minor; 0: there is no driver
Status runtime_version(int* version);  // the same of the runtime built in
Status device_count(int* count);
Status set_device(int device);  // of the calling thread; makes its context on first use
Status device_facts(int device, DeviceFacts* facts);
Status memory_info(size_t* free_bytes, size_t* total_bytes);  // of the current device
Status check_kernel_image();  // do the kernels of this build run on the current device?

Status allocate(void** data, size_t bytes);  // on the current device, aligned to 256 bytes
Status release(void* data);                  // waits for the device
// Host memory that device_to_host copies need not stage and that kernels reach by the same address.
Status allocate_pinned(void** data, size_t bytes);
Status release_pinned(void* data);

Status stream_create(StreamHandle* stream);  // of the current device; does not wait for others
Status stream_destroy(StreamHandle stream);  // work given so far still runs
Status stream_synchronize(StreamHandle stream);
Status stream_wait(StreamHandle stream, EventHandle event);  // later work of the stream
Status event_create(EventHandle* event);
Status event_destroy(EventHandle event);
Status event_record(EventHandle event, StreamHandle stream);
Status event_query(EventHandle event);  // kNotReady: not yet passed
Status event_synchronize(EventHandle event);
Status event_elapsed(float* milliseconds, EventHandle from, EventHandle to);

// In stream order. From pageable host memory the bytes are taken before the call returns.
Status copy(void* dst, const void* src, size_t bytes, CopyKind kind, StreamHandle stream);
Status fill_bytes(void* dst, int value, size_t bytes, StreamHandle stream);
Status launch(const KernelCall& call, StreamHandle stream);

// Work given to the stream is recorded until end_capture, and does not run. The capture is a
// relaxed one (cudaStreamCaptureModeRelaxed): its thread may allocate and release meanwhile, and
// use other streams and their events as ever. Refused, which spoils the capture: to wait for the
// stream or for an event recorded in it, to copy between it and pageable host memory, and to let it
// wait for an event recorded outside.
Status begin_capture(StreamHandle stream);
Status end_capture(StreamHandle stream, GraphHandle* graph);
Status graph_launch(GraphHandle graph, StreamHandle stream);
Status graph_destroy(GraphHandle graph);

// How a product runs, and what came of it.
struct GemmCall {
  bool tf32;
  int device;
  StreamHandle stream;
  void* (*workspace)(void* owner, size_t bytes);  // asked at most once; valid in stream order
  void* owner;
  bool only_workspace;            // ask for it, and do not run
  bool wrote_bias_grad = false;   // else the library has no such product of this shape
  const char* message = nullptr;  // a failure of the library, of static life
};
// The product of `desc` in stream order, by the first choice of cuBLASLt's heuristic for the shape.
Status gemm(const GemmDesc& desc, GemmCall& call);
// Opens what gemm needs, which takes a while the first time; the reason if it is not there.
Status gemm_open(const char** message);

// Says that the allocator took a block back: once work of the stream given so far has run, its
// contents may be spoiled. Does nothing on a device.
void note_freed(void* data, size_t bytes, StreamHandle stream) noexcept;
// Marks a stretch of host time for tools (NVTX); costs nothing while none listens.
void range_push(const char* name) noexcept;
void range_pop() noexcept;

}  // namespace rt

// ---- for kernels

// Where a kernel reports bad values: the word lies in device memory, the flag in pinned host
// memory.
struct ErrorSink {
  ErrorWord* word;
  volatile uint32_t* flag;
  const char* op;
};

// What KernelContext::native points to on this device.
struct Native {
  rt::StreamHandle stream;
  int device;
  int multiprocessors;
  ErrorWord* error_word;
  volatile uint32_t* error_flag;
};
inline Native& native_of(KernelContext& c) { return *static_cast<Native*>(c.native); }
inline ErrorSink error_sink(KernelContext& c) {
  const Native& n = native_of(c);
  return {n.error_word, n.error_flag, c.op};
}

// Throws DeviceError with call, error name, text and c.op for anything but kSuccess.
void launch_call(KernelContext& c, const KernelCall& call);
// Workspace comes from the allocator. Throws DeviceError. -> did it write bias_grad?
bool gemm_with_bias_grad(KernelContext& c, const GemmDesc& desc);
inline void gemm(KernelContext& c, const GemmDesc& desc) { gemm_with_bias_grad(c, desc); }

namespace detail {
template <class... P, size_t... I>
void invoke(const void* function, void* const* arguments, std::index_sequence<I...>) {
  reinterpret_cast<void (*)(P...)>(const_cast<void*>(function))(*static_cast<P*>(arguments[I])...);
}
// Bytes between the members of an argument would otherwise hold what was there before, such as old
// addresses.
template <class T>
void clear_padding([[maybe_unused]] T& value) {
#if __has_builtin(__builtin_clear_padding)
  if constexpr (std::is_class_v<T>) __builtin_clear_padding(&value);
#endif
}
template <class... P, size_t... I>
void launch(KernelContext& c, const void* function, Dim3 grid, Dim3 block, size_t shared_bytes,
            std::tuple<P...>& values, std::index_sequence<I...>) {
  static_assert((std::is_trivially_copyable_v<P> && ...), "arguments of kernels are plain data");
  (clear_padding(std::get<I>(values)), ...);
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&std::get<I>(values)))...,
                      nullptr};
  static constexpr size_t kSizes[] = {sizeof(P)..., 0};
  launch_call(c, {c.op, function,
                  [](const void* f, void* const* a) {
                    detail::invoke<P...>(f, a, std::index_sequence_for<P...>());
                  },
                  pointers, kSizes, sizeof...(P), grid, block, shared_bytes});
}
}  // namespace detail

// The one way to run a kernel: launch(kernel, {blocks}, {threads}, 0, context, arguments...). A
// `__global__` function takes its arguments by value, as plain data. No size of grid or block is 0.
template <class... P, class... A>
void launch(void (*kernel)(P...), Dim3 grid, Dim3 block, size_t shared_bytes, KernelContext& c,
            A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has parameters");
  std::tuple<P...> values(static_cast<P>(arguments)...);
  detail::launch<P...>(c, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, values,
                       std::index_sequence_for<P...>());
}

}  // namespace tinytorch::cuda
