// What this machine can do at most, for the floors that compare.py prints: fused multiply-adds of
// f32 in registers and bytes through memory, per thread and together; and the class of machine that
// follows (benchmarks/results/README.md). One JSON line.
//   bench_machine [--threads N]
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "benchmarks/measure.h"

namespace {

constexpr int64_t kCalls = 4000000;

#if defined(__x86_64__)
// Twelve chains hide the latency of a multiply-add; their sum keeps them from being removed.
#define TT_FMA_CHAINS(Vector, set, fma, add, first)                          \
  const Vector x = set(0.999f), y = set(1e-3f);                              \
  Vector sums[12];                                                           \
  for (Vector & sum : sums) sum = y;                                         \
  for (int64_t i = 0; i < kCalls; ++i) {                                     \
    _Pragma("GCC unroll 12") for (Vector & sum : sums) sum = fma(sum, x, y); \
  }                                                                          \
  for (const Vector& sum : sums) sums[0] = add(sums[0], sum);                \
  return first(sums[0])

__attribute__((target("avx512f"))) float fma_avx512() {
  TT_FMA_CHAINS(__m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_cvtss_f32);
}
__attribute__((target("avx2,fma"))) float fma_avx2() {
  TT_FMA_CHAINS(__m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_cvtss_f32);
}
#endif

// The time of the slowest of `threads` threads that run f together, the best of a few tries.
double best_seconds(int threads, const std::function<void(int)>& f) {
  double best = 1e9;
  for (int attempt = 0; attempt < 5; ++attempt) {
    std::vector<std::thread> others;
    const double start = bench::now();
    for (int t = 1; t < threads; ++t) others.emplace_back(f, t);
    f(0);
    for (std::thread& other : others) other.join();
    best = std::min(best, bench::now() - start);
  }
  return best;
}

double fma_gflops(int threads, int lanes, float (*f)()) {
  const auto run = [f](int) {
    volatile float sink = f();
    (void)sink;
  };
  return threads * kCalls * 12 * lanes * 2e-9 / best_seconds(threads, run);
}

// c = a + b over arrays that no cache holds, 12 bytes an element.
double add_gigabytes(int threads) {
  constexpr size_t kElements = size_t{1} << 24;
  std::vector<float> a(kElements, 1), b(kElements, 2), c(kElements, 3);
  const double seconds = best_seconds(threads, [&](int t) {
    const size_t n = kElements / static_cast<size_t>(threads), first = n * static_cast<size_t>(t);
    for (size_t i = first; i < first + n; ++i) c[i] = a[i] + b[i];
    asm volatile("" : : "r"(c.data()) : "memory");
  });
  return 12e-9 * static_cast<double>(kElements) / seconds;
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown";
}

// Of one thread, in GF/s; the two classes that goals are stated for.
const char* machine_class(double avx2, double avx512) {
  if (avx512 >= 220) return "B";
  if (avx512 >= 90 && avx512 <= 135 && avx512 < 1.25 * avx2) return "A";
  return "neither";
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1;
  if (argc == 3 && !std::strcmp(argv[1], "--threads")) threads = std::atoi(argv[2]);
  if ((argc != 1 && argc != 3) || threads < 1) {
    std::cerr << "usage: bench_machine [--threads N]\n";
    return 2;
  }
  double avx2 = 0, avx512 = 0, fma = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    avx2 = fma_gflops(1, 8, fma_avx2);
    fma = fma_gflops(threads, 8, fma_avx2);
  }
  if (__builtin_cpu_supports("avx512f")) {
    avx512 = fma_gflops(1, 16, fma_avx512);
    fma = std::max(fma, fma_gflops(threads, 16, fma_avx512));
  }
#endif
  bench::JsonLine line;
  line.text("processor", processor()).text("class", machine_class(avx2, avx512));
  line.number("fma_avx2_gflops", avx2, "%.0f").number("fma_avx512_gflops", avx512, "%.0f");
  line.number("threads", threads, "%.0f").number("fma_gflops", fma, "%.0f");
  line.number("add_gigabytes_per_second", add_gigabytes(threads), "%.1f");
  std::cout << line.str() << '\n';
  return 0;
}
