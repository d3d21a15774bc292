// What kernels/cpu may use of the CPU backend: the thread pool, and the BLAS it opened. It includes
// nothing of ours but the SPI. Tasks are cut from shapes, never from the number of threads: threads
// only pick tasks up, so results are the same bits for any number of them. Kernels take Workspace
// on the calling thread, before the parallel region, one part per slot.
#pragma once

#include <cstdint>
#include <type_traits>

#include <tinytorch/backend/backend.h>
#include <tinytorch/export.h>

namespace tinytorch::cpu {

// Grain guidance. A fork-join costs 0.2 to 1 us while the workers spin and up to 20 us once they
// sleep, so a task should be at least this much work, and work below two tasks stays whole: tasks =
// clamp(work / grain, 1, many).
inline constexpr int64_t kGrainBytes =
    256 << 10;  // bytes read and written by a memory-bound loop, about 10 us
inline constexpr int64_t kGrainElements =
    32 << 10;  // elements of an elementwise function of some depth (exp, tanh, ...)
inline constexpr int64_t kGrainFlops =
    1 << 20;  // multiply-adds times two in a register-blocked loop, about 10 us

using TaskFunction = void (*)(void* argument, int64_t task, int slot);

// Calls function(argument, task, slot) once for every task in [0, tasks) and returns when all are
// done; serially on the calling thread when tasks <= 1, the pool has one thread, the pool is busy
// with another thread's region, or this thread is inside a region already. At most `slots` threads
// take part, each with a slot of its own in [0, slots). When tasks throw, one of the exceptions is
// thrown again here after all tasks have ended.
void run_tasks(int64_t tasks, int slots, TaskFunction function, void* argument);

// Threads that run_tasks would use now, the caller included. It can change at any time
// (set_num_threads), so a kernel asks once and hands the answer to parallel_for_slots.
int slot_count() noexcept;

// f(task) for every task in [0, tasks).
template <class F>
TT_INLINE void parallel_for(KernelContext&, int64_t tasks, F&& f) {
  if (tasks == 1) {
    f(static_cast<int64_t>(0));
    return;
  }
  run_tasks(
      tasks, INT32_MAX,
      [](void* self, int64_t task, int) {
        (*static_cast<std::remove_reference_t<F>*>(self))(task);
      },
      const_cast<void*>(static_cast<const void*>(&f)));
}

// f(task, slot): for kernels that need scratch per running task; `slots` is how many parts of
// scratch there are.
template <class F>
TT_INLINE void parallel_for_slots(KernelContext&, int64_t tasks, int slots, F&& f) {
  if (tasks == 1) {
    f(static_cast<int64_t>(0), 0);
    return;
  }
  run_tasks(
      tasks, slots,
      [](void* self, int64_t task, int slot) {
        (*static_cast<std::remove_reference_t<F>*>(self))(task, slot);
      },
      const_cast<void*>(static_cast<const void*>(&f)));
}

// How many tasks `work` units make at `grain` units each; at least 1 and at most `most`, both from
// the shape.
TT_INLINE int64_t tasks_for(int64_t work, int64_t grain, int64_t most) {
  const int64_t n = work / grain;
  return n < 2 ? 1 : n < most ? n : most;
}
// Task t of n covers items [begin(t), begin(t + 1)) of `count`.
TT_INLINE int64_t task_begin(int64_t count, int64_t task, int64_t tasks) {
  if (tasks == 1) return task * count;  // without the divisions
  return count / tasks * task + (task < count % tasks ? task : count % tasks);
}

// f(unit) for every unit in [0, units), as `tasks` ranges of neighbours.
template <class F>
TT_INLINE void parallel_for_units(KernelContext& context, int64_t units, int64_t tasks, F&& f) {
  parallel_for(context, tasks, [&](int64_t task) {
    const int64_t end = task_begin(units, task + 1, tasks);
    for (int64_t unit = task_begin(units, task, tasks); unit < end; ++unit) f(unit);
  });
}

// Units that together make `flops` in register-blocked loops: how many tasks they are cut into, and
// for how many running tasks there is scratch.
struct FlopTasks {
  FlopTasks(double flops, int64_t most)
      : tasks(tasks_for(static_cast<int64_t>(flops < 1e15 ? flops : 1e15), 2 * kGrainFlops, most)),
        slots(static_cast<int>(tasks < slot_count() ? tasks : slot_count())) {}
  int64_t tasks;
  int slots;
};
// f(unit, slot) for every unit in [0, units); fewer tasks where there are fewer units.
template <class F>
TT_INLINE void parallel_for_units(KernelContext& context, int64_t units, const FlopTasks& cut,
                                  F&& f) {
  const int64_t tasks = cut.tasks < units ? cut.tasks : units;
  parallel_for_slots(context, tasks, cut.slots, [&](int64_t task, int slot) {
    const int64_t end = task_begin(units, task + 1, tasks);
    for (int64_t unit = task_begin(units, task, tasks); unit < end; ++unit) f(unit, slot);
  });
}

// OpenBLAS, opened privately at first need (backends/cpu/blas.cpp). Every call runs on the calling
// thread alone; calls from several threads are allowed.
struct Blas {
  // The C interface of the BLAS standard: order 101 row-major; transposition 111 no, 112 yes.
  void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float* a,
                int lda, const float* b, int ldb, float beta, float* c, int ldc);
  void (*dgemm)(int order, int ta, int tb, int m, int n, int k, double alpha, const double* a,
                int lda, const double* b, int ldb, double beta, double* c, int ldc);
};
const Blas* blas() noexcept;  // null: none found

// The own engine, unless TINYTORCH_GEMM=openblas says otherwise and the library is there. Measured
// on Cascade Lake, one thread, against OpenBLAS 0.3.21 at the shapes of an MLP (128 x 256..1024 x
// 256..1024, forward and both gradients): with AVX-512 1.0 to 1.7 times its speed in f32, 1.1
// to 1.3 in f64, and 1.6 to 4 below 16 cubed; 0.75 at 128x256x10, which takes microseconds. With
// AVX2 0.9 to 1.05, 0.8 at 1024 cubed.
enum class GemmEngine : uint8_t { own, openblas };
GemmEngine gemm_engine() noexcept;  // settled once

}  // namespace tinytorch::cpu
