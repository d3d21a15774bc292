// The reduction kernel beside the loop that a reader would write first: one sum in order, which
// waits for every addition. 4 million f32, single thread by default:
//   bench_reduce [--benchmark_filter=...]
// TINYTORCH_BENCH_THREADS=n sets the threads. The floor is the time to read 16 MB.
#include <string>

#include "benchmarks/kernels/kernel_benchmark.h"
#include "tests/kernels/cpu_levels.h"

namespace tinytorch {
namespace {

struct Shape {
  const char* name;
  int64_t outer, n, inner;  // summed along n
};
const Shape kShapes[] = {{"all", 1, 1 << 22, 1},
                         {"rows", 4096, 1024, 1},
                         {"columns", 1, 4096, 1024},
                         {"middle", 64, 64, 1024}};

void plain_sum(const Shape& s, const float* in, float* out) {
  for (int64_t o = 0; o < s.outer; ++o) {
    for (int64_t i = 0; i < s.inner; ++i) {
      float sum = 0;
      for (int64_t j = 0; j < s.n; ++j) sum += in[(o * s.n + j) * s.inner + i];
      out[o * s.inner + i] = sum;
    }
  }
}

void reduce(benchmark::State& state, const CpuLevel& level, const Shape& s, bool kernel) {
  const auto in = random_values<float>(static_cast<size_t>(s.outer * s.n * s.inner), 1);
  std::vector<float> out(static_cast<size_t>(s.outer * s.inner));
  const View from = dense_view(in, {s.outer, s.n, s.inner});
  View to = from;  // the input's shape, with stride 0 where it is summed
  to.data = out.data();
  to.contiguous = false;
  to.strides[0] = s.inner;
  to.strides[1] = 0;
  for (auto _ : state) {
    if (kernel) {
      level.table().reduce(test_context(), ReduceOp::sum, to, from, ReduceParams{});
    } else {
      plain_sum(s, in.data(), out.data());
    }
    benchmark::ClobberMemory();
  }
  state.counters["GB/s"] = benchmark::Counter(4e-9 * static_cast<double>(in.size()),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void add_benchmarks() {
  for (const CpuLevel& level : cpu_levels()) {
    for (const Shape& s : kShapes) {
      benchmark::RegisterBenchmark(
          (std::string(level.name) + "/sum_" + s.name).c_str(),
          [level, s](benchmark::State& state) { reduce(state, level, s, true); });
    }
  }
  for (const Shape& s : kShapes) {
    benchmark::RegisterBenchmark(
        (std::string("plain/sum_") + s.name).c_str(),
        [s](benchmark::State& state) { reduce(state, cpu_levels().front(), s, false); });
  }
}

}  // namespace
}  // namespace tinytorch

int main(int argc, char** argv) {
  return tinytorch::run_kernel_benchmarks(argc, argv, tinytorch::add_benchmarks);
}
