// The two gemm engines side by side at the shapes of an MLP (784-1024-512-256-10, batch 128) and
// some squares, single thread by default:
//   bench_gemm --benchmark_enable_random_interleaving=true --benchmark_repetitions=5
//   [--benchmark_filter=...]
// TINYTORCH_BENCH_THREADS=n sets the threads. Compare the engines within one run: machines differ,
// and so do minutes.
#include <string>

#include "backends/cpu/rt.h"
#include "benchmarks/kernels/kernel_benchmark.h"
#include "tests/kernels/cpu_levels.h"

namespace tinytorch {
namespace {

struct Shape {
  int64_t m, n, k;
  bool ta, tb;
};
const Shape kShapes[] = {
    {128, 1024, 784, false, true},  {128, 1024, 512, false, true}, {128, 512, 1024, false, true},
    {128, 10, 256, false, true},                                   // forward
    {128, 512, 1024, false, false}, {128, 256, 10, false, false},  // to the input
    {1024, 512, 128, true, false},  {10, 256, 128, true, false},   // to the weights
    {64, 64, 64, false, false},     {256, 256, 256, false, false}, {1024, 1024, 1024, false, false},
    {4, 8, 2, false, true},         {16, 16, 16, false, true},     {1, 1024, 1024, false, true}};

template <class T>
void product(benchmark::State& state, const CpuLevel& level, const Shape& s, bool blas) {
  const auto a = random_values<T>(static_cast<size_t>(s.m * s.k), 1),
             b = random_values<T>(static_cast<size_t>(s.k * s.n), 2);
  std::vector<T> c(static_cast<size_t>(s.m * s.n));
  const GemmCall<T> call{s.m,
                         s.n,
                         s.k,
                         s.ta,
                         s.tb,
                         a.data(),
                         s.ta ? s.m : s.k,
                         b.data(),
                         s.tb ? s.k : s.n,
                         c.data(),
                         s.n,
                         false,
                         Activation::none,
                         nullptr,
                         nullptr};
  for (auto _ : state) {
    level.gemm(test_context(), call, blas);
    benchmark::ClobberMemory();
  }
  state.counters["GF/s"] = benchmark::Counter(2e-9 * static_cast<double>(s.m * s.n * s.k),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

template <class T>
void add(const CpuLevel& level, const char* dtype) {
  for (const Shape& s : kShapes) {
    for (const bool blas : {false, true}) {
      if (blas && !cpu::blas()) continue;
      const std::string name = std::string(level.name) + "/" + dtype + "/" + std::to_string(s.m) +
                               "x" + std::to_string(s.n) + "x" + std::to_string(s.k) +
                               (s.ta ? "_T" : "_N") + (s.tb ? "T" : "N") +
                               (blas ? "/openblas" : "/own");
      benchmark::RegisterBenchmark(name.c_str(), [level, s, blas](benchmark::State& state) {
        product<T>(state, level, s, blas);
      })->UseRealTime();
    }
  }
}

void add_benchmarks() {
  const std::vector<CpuLevel> levels = cpu_levels();
  const CpuLevel best = levels.back();
  add<float>(best, "f32");
  add<double>(best, "f64");
}

}  // namespace
}  // namespace tinytorch

int main(int argc, char** argv) {
  return tinytorch::run_kernel_benchmarks(argc, argv, tinytorch::add_benchmarks);
}
