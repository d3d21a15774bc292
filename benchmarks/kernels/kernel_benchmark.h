// What the benchmarks of single kernels share: the threads, and Google Benchmark's main.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdlib>

#include "backends/cpu/thread_pool.h"

namespace tinytorch {

// main() of such a program; `add` registers its benchmarks. TINYTORCH_BENCH_THREADS=n sets the
// threads, 1 by default.
inline int run_kernel_benchmarks(int argc, char** argv, void (*add)()) {
  const char* threads = std::getenv("TINYTORCH_BENCH_THREADS");
  cpu::set_num_threads(threads ? std::atoi(threads) : 1);
  add();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace tinytorch
