// The words of the device language on the twin against what they should be: shuffles, votes,
// reductions, atomics, bits and arithmetic.
#include "tests/cuda_twin/shim_support.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace tinytorch {
namespace {

using cuda::kAllLanes;

__device__ int thread() { return static_cast<int>(threadIdx.x); }

TEST(ShimWords, Shuffles) {
  in_every_order([] {
    for (int width = 1; width <= 32; width *= 2) {
      for (int by = 0; by < 34; by += TT_TWIN_TSAN ? 11 : 1) {
        std::vector<int> y(4 * 64);
        run(
            [](int* y, int by, int width) {
              const int i = thread(), v = 100 + i;
              y[4 * i] = __shfl_sync(kAllLanes, v, by, width);
              y[4 * i + 1] = __shfl_up_sync(kAllLanes, v, static_cast<unsigned>(by), width);
              y[4 * i + 2] = __shfl_down_sync(kAllLanes, v, static_cast<unsigned>(by), width);
              y[4 * i + 3] = __shfl_xor_sync(kAllLanes, v, by & 31, width);
            },
            {1}, {64}, y.data(), by, width);
        for (int i = 0; i < 64; ++i) {
          const int part = i / width * width;  // 32 is a multiple of every width
          const size_t at = 4 * static_cast<size_t>(i);
          EXPECT_EQ(y[at], 100 + part + by % width);
          EXPECT_EQ(y[at + 1], 100 + (i - by >= part ? i - by : i));
          EXPECT_EQ(y[at + 2], 100 + (i + by < part + width ? i + by : i));
          const int other = i ^ (by & 31);
          EXPECT_EQ(y[at + 3], 100 + (other < part + width ? other : i));
        }
      }
    }
  });
}

template <class T>
void check_shuffle(T scale) {
  std::vector<T> y(32);
  run(
      [](T* y, T scale) {
        y[thread()] = __shfl_sync(kAllLanes, static_cast<T>(thread() * scale), 31 - thread());
      },
      {1}, {32}, y.data(), scale);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(y[static_cast<size_t>(i)], static_cast<T>((31 - i) * scale));
}
TEST(ShimWords, ShufflesOfEveryType) {
  check_shuffle<int>(-3);
  check_shuffle<unsigned>(0x7000000u);
  check_shuffle<long>(-(1l << 40));
  check_shuffle<unsigned long long>(1ull << 58);
  check_shuffle<float>(0.1f);
  check_shuffle<double>(1e-300);
}

TEST(ShimWords, Votes) {
  in_every_order([] {
    std::vector<unsigned> y(3 * 32);
    run(
        [](unsigned* y) {
          const int i = thread();
          const unsigned mask = i % 4 == 0 ? 0x11111111u : 0xeeeeeeeeu;
          y[3 * i] = __ballot_sync(mask, i > 9);
          y[3 * i + 1] = static_cast<unsigned>(__any_sync(mask, i == 4));
          y[3 * i + 2] = static_cast<unsigned>(__all_sync(mask, i != 5));
        },
        {1}, {32}, y.data());
    for (size_t i = 0; i < 32; ++i) {
      EXPECT_EQ(y[3 * i], 0xfffffc00u & (i % 4 == 0 ? 0x11111111u : 0xeeeeeeeeu));
      EXPECT_EQ(y[3 * i + 1], i % 4 == 0);
      EXPECT_EQ(y[3 * i + 2], i % 4 == 0);
    }
  });
}

TEST(ShimWords, WarpReductions) {
  std::vector<int> y(5);
  run(
      [](int* y) {
        const int v = thread() - 20;
        const int sum = __reduce_add_sync(kAllLanes, v), low = __reduce_min_sync(kAllLanes, v),
                  high = __reduce_max_sync(kAllLanes, v);
        const unsigned u = static_cast<unsigned>(v);
        const unsigned least = __reduce_min_sync(kAllLanes, u),
                       most = __reduce_max_sync(kAllLanes, u);
        if (thread() != 31) return;
        y[0] = sum;
        y[1] = low;
        y[2] = high;
        y[3] = static_cast<int>(least);
        y[4] = static_cast<int>(most);
      },
      {1}, {32}, y.data());
  EXPECT_EQ(y, (std::vector<int>{496 - 640, -20, 11, 0, -1}));
}

TEST(ShimWords, BarriersCount) {
  in_every_order([] {
    std::vector<int> y(5);
    run(
        [](int* y) {
          const int some = __syncthreads_or(thread() == 70), none = __syncthreads_or(0);
          const int all = __syncthreads_and(thread() < 96), not_all = __syncthreads_and(thread());
          const int count = __syncthreads_count(thread() % 3 == 0);
          if (thread() != 50) return;
          y[0] = some;
          y[1] = none;
          y[2] = all;
          y[3] = not_all;
          y[4] = count;
        },
        {1}, {96}, y.data());
    EXPECT_EQ(y, (std::vector<int>{1, 0, 1, 0, 32}));
  });
}

// Parts of a warp with masks of their own may get ahead of each other.
TEST(ShimWords, PartsOfAWarp) {
  in_every_order([] {
    std::vector<int> y(32);
    run(
        [](int* y) {
          const int part = thread() / 8;
          const unsigned mask = 0xffu << (8 * part);
          int v = 1;
          for (int round = 0; round < 3 * part; ++round)
            v += __shfl_xor_sync(mask, v, round % 3 == 0 ? 1 : round % 3 == 1 ? 2 : 4);
          __syncwarp();
          y[thread()] = v;
        },
        {1}, {32}, y.data());
    for (size_t i = 0; i < 32; ++i) EXPECT_EQ(y[i], 1 << (3 * (i / 8)));
  });
}

// ---- atomics

template <class T>
void check_atomics() {
  T cells[] = {5, 1000, 3, static_cast<T>(~T(0)), 0, 0, 7};
  std::vector<T> olds(128);
  run(
      [](T* cells, T* olds) {
        const T v = static_cast<T>(cuda::thread_number());
        olds[v] = atomicAdd(&cells[0], T(2));
        atomicMin(&cells[1], v + 10);
        atomicMax(&cells[2], v);
        atomicAnd(&cells[3], static_cast<T>(~(T(1) << (v % 16))));
        atomicOr(&cells[4], static_cast<T>(T(1) << (v % 16)));
        atomicXor(&cells[5], v);
        T seen = atomicAdd(&cells[6], T(0)), before;
        do {
          before = seen;
          seen = atomicCAS(&cells[6], before, before + 1);
        } while (seen != before);
      },
      {2}, {64}, &cells[0], olds.data());
  EXPECT_EQ(cells[0], T(5 + 256));
  EXPECT_EQ(cells[1], T(10));
  EXPECT_EQ(cells[2], T(127));
  EXPECT_EQ(cells[3], static_cast<T>(~T(0xffff)));
  EXPECT_EQ(cells[4], T(0xffff));
  EXPECT_EQ(cells[5], T(0));
  EXPECT_EQ(cells[6], T(7 + 128));
  std::sort(olds.begin(), olds.end());
  for (size_t i = 0; i < olds.size(); ++i) EXPECT_EQ(olds[i], static_cast<T>(5 + 2 * i));
}
TEST(ShimWords, Atomics) {
  in_every_order([] {
    check_atomics<int>();
    check_atomics<unsigned>();
    check_atomics<unsigned long long>();
  });
}

TEST(ShimWords, Exchange) {
  unsigned cell = 99;
  std::vector<unsigned> olds(32);
  run([](unsigned* cell, unsigned* olds) { olds[thread()] = atomicExch(cell, threadIdx.x); }, {1},
      {32}, &cell, olds.data());
  olds.push_back(cell);
  std::sort(olds.begin(), olds.end());
  EXPECT_EQ(olds.back(), 99u);
  for (unsigned i = 0; i < 32; ++i) EXPECT_EQ(olds[i], i);
}

// ---- arithmetic

TEST(ShimWords, Bits) {
  EXPECT_EQ(__popc(0xf0f0u), 8);
  EXPECT_EQ(__popcll(~0ull), 64);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__ffsll(1ll << 40), 41);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clzll(0), 64);
  EXPECT_EQ(__clzll(-1), 0);
  EXPECT_EQ(__brev(1u), 0x80000000u);
  EXPECT_EQ(__brevll(0x10ull), 1ull << 59);
  EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x7250u), 0x77225500u);
  EXPECT_EQ(__byte_perm(0x00008000u, 0u, 0x9999u), 0xffffffffu);
  EXPECT_EQ(__funnelshift_l(0x80000000u, 1u, 1), 3u);
  EXPECT_EQ(__funnelshift_r(0x80000000u, 1u, 31), 3u);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
  EXPECT_EQ(__uint_as_float(0x40000000u), 2.0f);
  EXPECT_EQ(__int_as_float(__float_as_int(-0.5f)), -0.5f);
  EXPECT_EQ(__longlong_as_double(__double_as_longlong(1e300)), 1e300);
}

TEST(ShimWords, Arithmetic) {
  EXPECT_EQ(__umulhi(0x80000000u, 6u), 3u);
  EXPECT_EQ(__mulhi(-(1 << 30), 8), -2);
  EXPECT_EQ(__umul64hi(1ull << 63, 6), 3ull);
  EXPECT_EQ(__mul64hi(-(1ll << 62), 8), -2);
  EXPECT_EQ(rsqrtf(0.25f), 2.0f);
  EXPECT_EQ(rsqrt(16.0), 0.25);
  EXPECT_EQ(__expf(0.0f), 1.0f);
  EXPECT_EQ(__saturatef(1.5f), 1.0f);
  EXPECT_EQ(__saturatef(std::numeric_limits<float>::quiet_NaN()), 0.0f);
  EXPECT_EQ(__fmaf_rn(0x1.001p0f, 0x1.001p0f, -0x1.002p0f), 0x1p-24f);
  EXPECT_EQ(max(2.0f, std::numeric_limits<float>::quiet_NaN()), 2.0f);
  EXPECT_EQ(min(-3, 4), -3);
  EXPECT_EQ(max(3u, 4u), 4u);
  const float x = 5.0f;
  EXPECT_EQ(__ldg(&x), 5.0f);
}

// ---- the project's own words, in device.cuh

TEST(ShimWords, BlockReductionIsOneTree) {
  for (uint32_t threads = 32; threads <= 1024; threads += 96) {
    std::vector<float> x(threads), first;
    for (size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
    in_every_order([&] {
      std::vector<float> y(2 * threads);
      run(
          [](const float* x, float* y) {
            y[2 * thread()] = cuda::block_reduce<cuda::SumOf>(x[thread()], 0.0f);
            y[2 * thread() + 1] = cuda::block_reduce<cuda::MaxOf>(x[thread()], -INFINITY);
          },
          {1}, {threads}, static_cast<const float*>(x.data()), y.data());
      if (first.empty()) first = y;
      EXPECT_EQ(y, first);
      EXPECT_NEAR(y[0], std::accumulate(x.begin(), x.end(), 0.0), 1e-5);
      EXPECT_EQ(y[1], 1.0f);
    });
  }
}

TEST(ShimWords, SmallestBadPositionIsKept) {
  in_every_order([] {
    ErrorWord word{};
    volatile uint32_t flag = 0;
    run(
        [](cuda::ErrorSink sink) {
          const int64_t i = cuda::thread_number();
          if (i % 7 == 3)
            cuda::report_value_error(sink, ValueErrorKind::index_out_of_range, 1000 - i, i, 5);
        },
        {3}, {64}, cuda::ErrorSink{&word, &flag, "test"});
    EXPECT_EQ(flag, 1u);
    EXPECT_EQ(word.lock, 0u);
    EXPECT_EQ(word.position, 1000 - 185);
    EXPECT_EQ(word.value, 185);
  });
}

}  // namespace
}  // namespace tinytorch
