// Opening devices, and which one is the thread's current.
#include "backends/cuda/gpu.h"

#include <memory>
#include <vector>

// Compute capabilities that the kernels are compiled for; the build says which.
#ifndef TT_CUDA_ARCHITECTURES
#define TT_CUDA_ARCHITECTURES "90"
#endif

namespace tinytorch::cuda {

constinit thread_local int Gpu::current = -1;

namespace {
std::vector<std::unique_ptr<Gpu>>& gpus() {
  static auto* all = new std::vector<std::unique_ptr<Gpu>>;
  return *all;
}
}  // namespace

void make_gpus(int count) {
  for (int i = gpu_count(); i < count; ++i) gpus().push_back(std::make_unique<Gpu>(i));
}
int gpu_count() noexcept { return static_cast<int>(gpus().size()); }
Gpu& gpu(int index) noexcept { return *gpus()[static_cast<size_t>(index)]; }

Gpu::Gpu(int index)
    : index_(index),
      label_(std::string(rt::backend_name()) + ":" + std::to_string(index)),
      health_(label_.c_str()),
      events_(health_),
      error_slots_(health_),
      staging_(health_, events_),
      allocator_(*this),
      stream_(*this) {}

void Gpu::make_current(const char* op) {
  TT_CUDA_CHECK(health_, op, rt::set_device(index_));
  current = index_;
}

void Gpu::enter_quietly() noexcept {
  if (current != index_ && TT_CUDA_TRY(health_, rt::set_device(index_))) current = index_;
}

void Gpu::open_first_time() {
  const std::lock_guard lock(mutex_);
  if (opened_.load(std::memory_order_relaxed)) return;
  make_current("");
  TT_CUDA_CHECK(health_, "", rt::device_facts(index_, &facts_));
  const rt::Status image = rt::check_kernel_image();
  if (image == rt::kNoKernelImage)
    throw NoKernelImage("[device] " + label_ + " (" + facts_.name + ") has compute capability " +
                        std::to_string(facts_.major) + "." + std::to_string(facts_.minor) +
                        "; this build has kernels for " TT_CUDA_ARCHITECTURES);
  health_.check(image, TT_CUDA_SITE("", rt::check_kernel_image()));
  stream_.open();
  opened_.store(true, std::memory_order_release);
}

}  // namespace tinytorch::cuda
