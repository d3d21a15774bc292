// How grids run on the twin: indices, orders, shared memory, limits, faults and what they leave
// behind, use from several threads.
#include "tests/cuda_twin/shim_support.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace tinytorch {
namespace {

using cuda::kAllLanes;
using testing::HasSubstr;

__device__ int thread() { return static_cast<int>(threadIdx.x); }

// ---- indices and orders

TEST(Shim, EveryThreadRunsOnceWithItsIndices) {
  in_every_order([] {
    std::vector<unsigned> y(4 * 3 * 2 * 8 * 3 * 2);
    run(
        [](unsigned* y) {
          const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
          const unsigned t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
          const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
          y[block * threads + t] += gridDim.x * 1000 + blockDim.x * 10 + 1 + warpSize - 32;
        },
        {4, 3, 2}, {8, 3, 2}, y.data());
    EXPECT_EQ(y, std::vector<unsigned>(y.size(), 4081));
  });
}

std::vector<int> arrivals(uint32_t blocks, uint32_t threads) {
  std::vector<int> order(blocks * threads, -1);
  unsigned count = 0;
  run(
      [](int* order, unsigned* count) {
        order[atomicAdd(count, 1u)] = static_cast<int>(cuda::thread_number());
      },
      {blocks}, {threads}, order.data(), &count);
  return order;
}

TEST(Shim, OrdersAreWhatTheySay) {
  const std::vector<int> forward = arrivals(5, 64);
  EXPECT_TRUE(std::is_sorted(forward.begin(), forward.end()));
  const InOrder reverse(twin::ThreadOrder::reverse);
  std::vector<int> backward = arrivals(5, 64);
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(backward, forward);
}

TEST(Shim, RandomOrdersFollowTheSeed) {
  std::vector<std::vector<int>> seen;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const InOrder random(twin::ThreadOrder::random, seed);
    const std::vector<int> order = arrivals(5, 64);
    EXPECT_EQ(order, arrivals(5, 64));
    for (const auto& other : seen) EXPECT_NE(order, other);
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    seen.push_back(order);
  }
}

TEST(Shim, RandomOrderVisitsEveryBlock) {
  for (uint32_t blocks = 1; blocks < (TT_TWIN_TSAN ? 30 : 200); ++blocks) {
    const InOrder random(twin::ThreadOrder::random, blocks * 7);
    std::vector<int> order = arrivals(blocks, 1);
    std::sort(order.begin(), order.end());
    for (uint32_t i = 0; i < blocks; ++i) ASSERT_EQ(order[i], static_cast<int>(i));
  }
}

// Between barriers a warp may be as far ahead of another one as can be.
TEST(Shim, WarpsGetAheadOfEachOther) {
  std::vector<int> order(64);
  unsigned count = 0;
  run(
      [](int* order, unsigned* count) {
        for (int round = 0; round < 32; ++round) {
          __syncwarp();
          if (thread() % 32 == 0) order[atomicAdd(count, 1u)] = thread() / 32;
        }
      },
      {1}, {64}, order.data(), &count);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Shim, ManyThreadsAndBarriers) {
  constexpr int kRounds = TT_TWIN_TSAN ? 2 : 20;
  in_every_order([] {
    std::vector<int> y(1024);
    run(
        [](int* y) {
          TT_SHARED(int, s, 1024);
          int v = thread();
          for (int round = 0; round < kRounds; ++round) {
            s[thread()] = v;
            __syncthreads();
            v = s[(thread() + 1) % 1024];
            __syncthreads();
          }
          y[thread()] = v;
        },
        {1}, {1024}, y.data());
    for (size_t i = 0; i < 1024; ++i) ASSERT_EQ(y[i], static_cast<int>((i + kRounds) % 1024));
  });
}

// ---- shared memory

TEST(Shim, SharedMemoryIsPoisonedForEveryBlock) {
  std::vector<float> y(2 * 4 * 32);
  run_shared(
      [](float* y) {
        TT_SHARED(float, s, 32);
        TT_DYN_SHARED(float, dynamic);
        const int64_t i = cuda::thread_number();
        y[2 * i] = s[thread()];
        y[2 * i + 1] = dynamic[thread()];
        s[thread()] = dynamic[thread()] = 1.0f;
      },
      {4}, {32}, 32 * sizeof(float), y.data());
  for (const float v : y) EXPECT_TRUE(std::isnan(v));
}

template <class T>
__device__ T* own_array() {
  TT_SHARED(T, s, 8);
  return s;
}
TEST(Shim, SharedArraysOverlapNothing) {
  std::vector<uintptr_t> y(64 * 6);
  run_shared(
      [](uintptr_t* y) {
        TT_DYN_SHARED(double, dynamic);
        TT_SHARED(uint4, packs, 2);
        TT_SHARED(char, bytes, 3);
        const void* all[] = {
            own_array<float>(), own_array<double>(), own_array<float>(), packs, bytes, dynamic};
        for (int i = 0; i < 6; ++i) y[6 * thread() + i] = reinterpret_cast<uintptr_t>(all[i]);
      },
      {1}, {64}, 100, y.data());
  for (size_t i = 6; i < y.size(); ++i) EXPECT_EQ(y[i], y[i - 6]);  // the same for all threads
  EXPECT_EQ(y[0], y[2]);
  EXPECT_EQ(y[0] % 8, 4u);  // aligned as its type asks for, not better
  EXPECT_EQ(y[1] % 16, 8u);
  EXPECT_EQ(y[3] % 32, 16u);
  EXPECT_EQ(y[5] % 32, 16u);
  std::vector<std::pair<uintptr_t, size_t>> areas = {
      {y[0], 32}, {y[1], 64}, {y[3], 32}, {y[4], 3}, {y[5], 100}};
  std::sort(areas.begin(), areas.end());
  for (size_t i = 1; i < areas.size(); ++i)
    EXPECT_GE(areas[i].first, areas[i - 1].first + areas[i - 1].second + 32);
}

TEST(Shim, SharedMemoryUpToTheLimits) {
  float y = 0;
  const auto most = [](float* y) {
    TT_SHARED(float, s, 48 << 8);
    TT_DYN_SHARED(char, dynamic);
    s[(48 << 8) - 1] = 1.0f;
    dynamic[(179 << 10) - 1] = 1;
    *y = s[(48 << 8) - 1];
  };
  run_shared(most, {1}, {1}, 179 << 10, &y);
  EXPECT_EQ(y, 1.0f);
  EXPECT_THAT(fault_of([&] { run_shared(most, {1}, {1}, (179 << 10) + 1, &y); }),
              HasSubstr("the limit is 232448"));
}

// ---- limits

TEST(Shim, LimitsOfLaunches) {
  const auto nothing = [] {};
  const auto fault = [&](cuda::Dim3 grid, cuda::Dim3 block) {
    return fault_of([&] { run(nothing, grid, block); });
  };
  EXPECT_THAT(fault({1, 1, 65536}, {1}), HasSubstr("[test] invalid launch of grid (1,1,65536)"));
  EXPECT_THAT(fault({0x80000000u}, {1}), HasSubstr("2147483647"));
  EXPECT_THAT(fault({1}, {1, 1, 65}), HasSubstr("64 in z"));
  EXPECT_THAT(fault({1}, {512, 4}), HasSubstr("at most 1024 threads"));
  EXPECT_THAT(fault({1}, {0}), HasSubstr("a size is 0"));
  constexpr uint32_t kMany = TT_TWIN_TSAN ? 100 : 65535;  // each block takes long there
  EXPECT_EQ(fault({1, kMany}, {1}), "");
  EXPECT_EQ(fault({1}, {8, 2, 64}), "");
  struct Big {
    char bytes[4096];
  };
  EXPECT_EQ(fault_of([] { run([](Big) {}, {1}, {32}, Big{}); }), "");
  EXPECT_THAT(fault_of([] { run([](Big, char) {}, {1}, {32}, Big{}, 'a'); }),
              HasSubstr("4097 bytes of arguments"));
}

// ---- faults

TEST(Shim, FaultsNameOperationBlockThreadAndLane) {
  const std::string text = fault_of([] {
    run(
        [](int) {
          if (blockIdx.y == 2 && threadIdx.y == 3 && thread() == 5) __shfl_sync(1u, 0, 0);
        },
        {1, 4}, {16, 4}, 0);
  });
  EXPECT_THAT(text, HasSubstr("[test] block (0,2,0) thread (5,3,0) lane 21: __shfl_sync ("));
  EXPECT_THAT(text, HasSubstr("test_shim.cpp:"));
  EXPECT_THAT(text, HasSubstr("mask 0x00000001 lacks the calling lane"));
}

TEST(Shim, DeadlocksSayWhoWaitsWhere) {
  const std::string text = fault_of([] {
    run(
        [](int) {
          if (thread() != 9) __syncthreads();
          if (thread() == 9) __shfl_sync(kAllLanes, 0, 0);
        },
        {1}, {64}, 0);
  });
  EXPECT_THAT(text, HasSubstr("thread (9,0,0) lane 9: deadlock: __shfl_sync"));
  EXPECT_THAT(text, HasSubstr("lane 0: thread (0,0,0) waits in __syncthreads"));
}

// Whatever a fault leaves standing, the next launch starts clean.
TEST(Shim, UsableAfterFaults) {
  in_every_order([] {
    for (int round = 0; round < 4; ++round) {
      EXPECT_NE(fault_of([] {
                  run(
                      [](int) {
                        TT_SHARED(float, s, 256);
                        s[thread()] = 0;
                        if (thread() % 40 != 39) __syncthreads();
                        if (thread() % 32 < 16) __syncwarp();
                      },
                      {2}, {256}, 0);
                }),
                "");
      std::vector<int> y(256);
      run([](int* y) { y[thread()] = __syncthreads_count(1); }, {1}, {256}, y.data());
      EXPECT_EQ(y, std::vector<int>(256, 256));
    }
  });
}

TEST(Shim, ExceptionsOfKernelsArrive) {
  for (int round = 0; round < 5; ++round) {
    try {
      run(
          [](int) {
            __syncthreads();
            if (thread() == 40) throw std::out_of_range("from thread 40");
            __syncthreads();
          },
          {1}, {64}, 0);
      FAIL();
    } catch (const std::out_of_range& e) {
      EXPECT_STREQ(e.what(), "from thread 40");
    }
    int y = 0;
    run([](int* y) { atomicAdd(y, 1); }, {3}, {32}, &y);
    EXPECT_EQ(y, 96);
  }
}

// ---- launching threads

TEST(Shim, LaunchesFromSeveralThreads) {
  std::vector<std::vector<float>> y(4, std::vector<float>(256));
  std::vector<std::thread> threads;
  for (auto& mine : y)
    threads.emplace_back([&mine] {
      for (int round = 0; round < 20; ++round)
        run(
            [](float* y) {
              y[cuda::thread_number()] += cuda::block_reduce<cuda::SumOf>(1.0f, 0.0f);
            },
            {4}, {64}, mine.data());
    });
  for (auto& t : threads) t.join();
  for (const auto& mine : y) EXPECT_EQ(mine, std::vector<float>(256, 64.0f * 20));
}

TEST(Shim, FaultsFromSeveralThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([] {
      for (int round = 0; round < 5; ++round)
        EXPECT_NE(fault_of([] { run([](int) { __syncwarp(1u); }, {1}, {32}, 0); }), "");
    });
  for (auto& t : threads) t.join();
}

}  // namespace
}  // namespace tinytorch
