// The interface of a backend: bytes, order and kernels on plain Views. A backend never sees a
// Tensor. Linked in: cpu and reference. Every other backend is a shared object
// libtinytorch_<name>.so that exports one BackendPlugin named tinytorch_backend_plugin and is
// loaded at run time; see docs/backends.md and examples/07_own_backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <tinytorch/backend/kernel_table.h>
#include <tinytorch/error.h>
#include <tinytorch/memory.h>
#include <tinytorch/profiler.h>

namespace tinytorch {

class Stream;
class Allocator;

struct MemoryBlock {
  void* data = nullptr;
  size_t bytes = 0;  // as asked for
};

// ---- value errors: found by kernels, thrown by core

enum class ValueErrorKind : uint32_t { none, index_out_of_range, zero_divisor };

// Holds the error with the smallest position until core reads it. Plain data, so that it can live
// in device memory.
struct ErrorWord {
  uint32_t kind;  // a ValueErrorKind; written last
  uint32_t lock;
  const char* op;
  int64_t position;      // of the bad element in its tensor, row-major
  int64_t value, limit;  // valid values are [0, limit)
};

// What a kernel gets besides views and parameters. Core makes a copy of Stream::context() for each
// launch: a backend whose kernels run later keeps a copy, not the address.
struct KernelContext {
  Stream* stream;
  Allocator* allocator;  // for workspace
  void* native;          // the backend's own: thread pool, native stream, handles
  ErrorWord* error;      // the stream's; of a synchronous device: the calling thread's
  const char* op;        // name of the running op; lives as long as the program
};

// Kernels call this for a bad value and go on without touching memory out of range. Thread-safe.
TT_API void report_value_error(KernelContext&, ValueErrorKind, int64_t position, int64_t value,
                               int64_t limit) noexcept;

// Scratch memory of a kernel, from the device's allocator; freed in stream order. Throws
// OutOfMemoryError.
class TT_API Workspace {
 public:
  Workspace(KernelContext& context, size_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  void* data() const { return block_.data; }
  template <class T>
  T* as() const {
    return static_cast<T*>(block_.data);
  }

 private:
  KernelContext& context_;
  MemoryBlock block_;
};

// ---- order

enum class CopyKind : uint8_t { host_to_device, device_to_host, device_to_device };

// A place in a stream. Cheap to copy; 0 is a place that every stream has passed.
struct Marker {
  uint64_t id = 0;
};

// A recorded sequence of launches that can run again, on any stream of the device. Owns the blocks
// that were allocated and freed while it was recorded.
class TT_API RecordedGraph {
 public:
  virtual ~RecordedGraph();
  virtual void replay(Stream&) = 0;
};

// Work given to a stream runs in the order given. A stream is used by one thread at a time.
class TT_API Stream {
 public:
  virtual ~Stream();
  virtual KernelContext& context() = 0;  // with `op` empty; `error` null on a synchronous device
  virtual void copy(void* dst, const void* src, size_t bytes, CopyKind) = 0;
  virtual void synchronize() = 0;  // returns when all work given so far is done
  virtual Marker mark() = 0;       // the place after all work given so far
  virtual void wait(Marker) = 0;   // later work of this stream runs after the marker, which may be
                                   // another stream's
  virtual bool query(Marker) = 0;  // has it been passed?
  virtual double elapsed_us(Marker from,
                            Marker to) = 0;  // between two passed markers of this stream
  // From here on kernels given to the stream are recorded and do not run; nobody waits for it. A
  // block that is freed meanwhile may be given out again to this stream only, until the recorded
  // graph is destroyed. A backend that cannot record returns false; core then replays bound
  // launches itself.
  virtual bool begin_capture();
  virtual std::unique_ptr<RecordedGraph> end_capture();
};

// ---- memory

// Blocks are aligned to 64 bytes; a request of 0 bytes gives a valid block. Thread-safe.
class TT_API Allocator {
 public:
  virtual ~Allocator();
  // The block may be used by `stream` at once. Frees caches and tries once more before it throws
  // OutOfMemoryError.
  MemoryBlock allocate(size_t bytes, Stream& stream) {
    if (TT_UNLIKELY(observed())) return allocate_observed(bytes, stream);
    return allocate_block(bytes, stream);
  }
  // Work given to `stream` so far (and to streams named by record_use) may still use the block.
  void free(MemoryBlock block, Stream& stream) noexcept {
    if (TT_UNLIKELY(observed())) emit_free(block, stream);
    free_block(block, stream);
  }
  virtual void record_use(
      MemoryBlock& block,
      Stream& stream) = 0;  // another stream than the allocating one uses the block
  virtual MemoryStats stats() const = 0;
  virtual void reset_peak() = 0;
  virtual void trim(size_t keep) = 0;
  virtual void set_limit(size_t bytes) = 0;  // of reserved bytes; 0: none

 protected:
  virtual MemoryBlock allocate_block(size_t bytes, Stream& stream) = 0;
  virtual void free_block(MemoryBlock block, Stream& stream) noexcept = 0;

 private:
  MemoryBlock allocate_observed(size_t bytes, Stream& stream);
  static void emit_free(const MemoryBlock& block, Stream& stream) noexcept;
};

// ---- devices

struct DeviceInfo {
  std::string description;   // for people: processor or accelerator model
  int64_t total_bytes = 0;   // of memory; 0: unknown
  bool host_memory = false;  // the host may read and write data pointers
  bool synchronous = false;  // kernels are done when they return
  bool test_only = false;    // used only when named, never by best() or "all"
};

class TT_API Backend {
 public:
  virtual ~Backend();
  virtual std::string_view name() const = 0;  // "cpu"; lower case, no colon
  virtual int device_count() const = 0;       // at least 1
  virtual DeviceInfo info(int index) const = 0;
  virtual Allocator& allocator(int index) = 0;
  virtual Stream& stream(int index) = 0;  // the default stream
  virtual std::unique_ptr<Stream> create_stream(int index) = 0;
  virtual const KernelTable& kernels() const = 0;
  virtual void set_num_threads(int) {}
  virtual int num_threads() const { return 1; }
  // Of products of f32 matrices given to any stream from now on. Any thread.
  virtual void set_matmul_precision(MatmulPrecision) {}
  // On a synchronous device: f(argument, task, slot) for every task in [0, tasks), on at most
  // `slots` threads, each with a slot of its own in [0, slots). Kernels called by f run on its
  // thread alone. f throws nothing.
  using Task = void (*)(void* argument, int64_t task, int slot);
  virtual void run_tasks(int64_t tasks, int slots, Task f, void* argument);
  virtual std::string details() const {
    return {};
  }  // lines for `doctor`: instruction set, libraries, ...
};

// ---- plugins

// Why a backend cannot be used; a value, not a log line.
enum class Why : uint8_t {
  usable,
  plugin_not_found,
  wrong_spi,
  missing_library,
  no_driver,
  driver_too_old,
  no_device,
  hidden,
  architecture,
  out_of_memory,
  device_lost,
  forked,
  failed,
};
struct Unusable {
  Why why = Why::usable;
  std::string reason;  // what was found
  std::string fix;     // what to do
};

// Raised by any change to view.h, params.h, the lists or the classes above.
inline constexpr int kSpiNumber = 6;
// Compiler ABI and the sizes of the SPI's structs: a plugin built otherwise is refused.
#define TT_STRING2(x) #x
#define TT_STRING(x) TT_STRING2(x)
struct SpiBuild {
  const char* abi =
      "gxx-abi-" TT_STRING(__GXX_ABI_VERSION) "-cxx11-" TT_STRING(_GLIBCXX_USE_CXX11_ABI);
  size_t view = sizeof(View), table = sizeof(KernelTable), context = sizeof(KernelContext),
         info = sizeof(DeviceInfo), event = sizeof(Event), stats = sizeof(MemoryStats);
  size_t others = sizeof(MemoryBlock) + sizeof(ErrorWord) + sizeof(Unusable) + sizeof(ViewList) +
                  sizeof(UnaryParams) + sizeof(ReduceParams) + sizeof(MatmulParams) +
                  sizeof(Conv2dParams) + sizeof(Pool2dParams) + sizeof(RampParams) +
                  sizeof(RandomParams) + sizeof(LossParams) + sizeof(BatchNormParams) +
                  sizeof(LayerNormParams) + sizeof(AttentionParams) + sizeof(SgdParams) +
                  sizeof(AdamParams);
};

struct BackendPlugin {
  int spi = kSpiNumber;
  SpiBuild build{};
  // Returns a backend that is never destroyed, or null with the reason. Must not throw.
  Backend* (*create)(Unusable* why_not) noexcept = nullptr;
};

// In a plugin, at namespace scope, once.
#define TT_BACKEND_PLUGIN(create_function)                      \
  extern "C" __attribute__((visibility("default")))             \
  const ::tinytorch::BackendPlugin tinytorch_backend_plugin = { \
      ::tinytorch::kSpiNumber, {}, create_function}

}  // namespace tinytorch
