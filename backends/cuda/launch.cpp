// What kernels ask of the device: launches and matrix products.
#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include <tinytorch/backend/sizing.h>

#include "backends/cuda/backend.h"
#include "backends/cuda/gpu.h"

namespace tinytorch::cuda {

namespace {

// Marks the host time of an op for tools.
class Range {
 public:
  explicit Range(const char* name) noexcept { rt::range_push(name); }
  ~Range() { rt::range_pop(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

std::atomic<MatmulPrecision> precision{MatmulPrecision::f32};

struct Library {
  std::mutex mutex;
  std::atomic<bool> open{false};
  bool tried = false;
  std::string failure;  // why it could not be opened
};
Library& library() {
  static auto* one = new Library;
  return *one;
}

// Opens the library of matrix products at its first use. A failure is kept.
void need_library(const char* op) {
  Library& l = library();
  if (TT_LIKELY(l.open.load(std::memory_order_acquire))) return;
  const std::string failure = matmul_library_failure();
  if (failure.empty()) return;
  throw DeviceError("[" + std::string(op) + "] " + failure +
                    "; install cuBLAS of CUDA 13 (libcublasLt.so.13), or set TINYTORCH_CUDA_LIBS "
                    "to the folder where it is");
}

}  // namespace

void set_matmul_precision(MatmulPrecision p) { precision.store(p, std::memory_order_relaxed); }

std::string matmul_library_failure() {
  Library& l = library();
  const std::lock_guard lock(l.mutex);
  if (!l.tried) {
    const char* message = nullptr;
    const rt::Status status = rt::gemm_open(&message);
    if (status != rt::kSuccess) {
      l.failure = message && *message ? message : rt::text_of(status);
    } else {
      l.open.store(true, std::memory_order_release);
    }
    l.tried = true;
  }
  return l.failure;
}

void launch_call(KernelContext& c, const KernelCall& call) {
  if (TT_UNLIKELY(only_sizing())) return;
  const Native& n = native_of(c);
  Gpu& device = gpu(n.device);
  device.enter(c.op);
  const Range range(c.op);
  TT_CUDA_CHECK(device.health(), c.op, rt::launch(call, n.stream));
}

bool gemm_with_bias_grad(KernelContext& c, const GemmDesc& desc) {
  const Native& n = native_of(c);
  Gpu& device = gpu(n.device);
  device.enter(c.op);
  need_library(c.op);
  const Range range(c.op);
  struct Memory {
    KernelContext& context;
    std::optional<Workspace> taken;
  } memory{c, {}};
  rt::GemmCall call{precision.load(std::memory_order_relaxed) == MatmulPrecision::tf32,
                    n.device,
                    n.stream,
                    [](void* owner, size_t bytes) {
                      auto& m = *static_cast<Memory*>(owner);
                      return m.taken.emplace(m.context, bytes).data();
                    },
                    &memory,
                    only_sizing()};
  const rt::Status status = rt::gemm(desc, call);
  if (TT_LIKELY(status == rt::kSuccess)) return call.wrote_bias_grad;
  if (call.message && *call.message && !is_sticky(status))
    throw DeviceError("[" + std::string(c.op) + "] " + device.label() + ": matrix product of " +
                      std::to_string(desc.m) + " x " + std::to_string(desc.k) + " and " +
                      std::to_string(desc.k) + " x " + std::to_string(desc.n) + ", batch " +
                      std::to_string(desc.batch) + ": " + call.message);
  device.health().check(status, TT_CUDA_SITE(c.op, rt::gemm(desc, call)));
  return false;
}

}  // namespace tinytorch::cuda
