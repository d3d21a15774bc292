// Puts the parts together: allocator, pool, BLAS and the kernel table of the chosen instruction
// set. On this device the work given to a stream is done when the call returns.
#include "backends/cpu/backend.h"

#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "backends/common/caching_allocator.h"
#include "backends/common/host_stream.h"
#include "backends/cpu/blas.h"
#include "backends/cpu/isa.h"
#include "backends/cpu/rt.h"
#include "backends/cpu/thread_pool.h"

namespace tinytorch {
namespace cpu {

namespace baseline {
const KernelTable& kernel_table();
}
#ifdef TT_CPU_X86_LEVELS
namespace avx2 {
const KernelTable& kernel_table();
}
namespace avx512 {
const KernelTable& kernel_table();
}
#endif

namespace {

const KernelTable& chosen_table() {
#ifdef TT_CPU_X86_LEVELS
  if (isa_choice().isa == Isa::avx512) return avx512::kernel_table();
  if (isa_choice().isa == Isa::avx2) return avx2::kernel_table();
#endif
  return baseline::kernel_table();
}

class CpuStream final : public HostStream {
 public:
  using HostStream::HostStream;
  void copy(void* dst, const void* src, size_t bytes, CopyKind) override;
};

void CpuStream::copy(void* dst, const void* src, size_t bytes, CopyKind) {
  if (bytes == 0) return;
  const int64_t count = static_cast<int64_t>(bytes);
  const int64_t tasks = tasks_for(2 * count, 4 * kGrainBytes, 64);
  char* to = static_cast<char*>(dst);
  const char* from = static_cast<const char*>(src);
  parallel_for(context(), tasks, [=](int64_t task) {
    const int64_t begin = task_begin(count, task, tasks);
    std::memcpy(to + begin, from + begin,
                static_cast<size_t>(task_begin(count, task + 1, tasks) - begin));
  });
}

std::string processor_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    for (const char* key : {"model name", "Model", "Hardware"}) {
      const size_t colon = line.find(": ");
      if (line.rfind(key, 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "processor of unknown model";
}

int64_t memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<int64_t>(pages) * size : 0;
}

class CpuBackend final : public Backend {
 public:
  std::string_view name() const override { return "cpu"; }
  int device_count() const override { return 1; }
  DeviceInfo info(int) const override {
    DeviceInfo info;
    info.description = processor_model();
    info.total_bytes = memory_bytes();
    info.host_memory = true;
    info.synchronous = true;
    return info;
  }
  Allocator& allocator(int) override { return CachingAllocator::host(); }
  Stream& stream(int) override { return stream_; }
  std::unique_ptr<Stream> create_stream(int) override {
    return std::make_unique<CpuStream>(CachingAllocator::host());
  }
  const KernelTable& kernels() const override { return table_; }
  void set_num_threads(int threads) override { cpu::set_num_threads(threads); }
  int num_threads() const override { return cpu::num_threads(); }
  void run_tasks(int64_t tasks, int slots, Task f, void* argument) override {
    cpu::run_tasks(tasks, slots, f, argument);
  }
  std::string details() const override;

 private:
  CpuStream stream_{CachingAllocator::host()};
  const KernelTable& table_ = chosen_table();
};

std::string CpuBackend::details() const {
  const BlasInfo& blas = blas_info();
  std::string text = "instruction set: " + std::string(name_of(isa_choice().isa)) + " (" +
                     isa_choice().how + ")\n";
  text += "threads: " + std::to_string(cpu::num_threads()) + " of usable processors " +
          describe_processors() + "\n";
  text += "matrix products: " + describe_gemm_engine() + "\n";
  if (blas.found) {
    text += "OpenBLAS: " + blas.path + ", core " + blas.core + "; " + blas.config + "\n";
  } else {
    text += "OpenBLAS: not found, own matrix products are used for all (" + blas.why_not +
            "); install libopenblas0-serial or set TINYTORCH_OPENBLAS\n";
  }
  return text;
}

}  // namespace
}  // namespace cpu

Backend* cpu_backend() {
  static Backend* one = new cpu::CpuBackend;
  return one;
}

}  // namespace tinytorch
