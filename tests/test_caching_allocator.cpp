// The caching allocator of host memory: sizes and alignment, statistics, limits, trimming, threads,
// forks.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <tinytorch/error.h>

#include "backends/common/caching_allocator.h"
#include "tests/kernels/test_stream.h"

namespace tinytorch {
namespace {

Allocator& allocator() { return CachingAllocator::host(); }
Stream& stream() { return *test_context().stream; }
MemoryBlock take(size_t bytes) { return allocator().allocate(bytes, stream()); }
void give(MemoryBlock block) { allocator().free(block, stream()); }
MemoryStats stats() { return allocator().stats(); }

#define NEEDS_CACHES() \
  if (kPlainAlloc) GTEST_SKIP() << "nothing is cached in this build"

TEST(SizeClasses, WasteIsAtMostAnEighth) {
  for (size_t bytes = kSmallMax + 1; bytes < size_t{1} << 33; bytes += bytes / 97 + 1) {
    const SizeClass c = size_class(bytes);
    ASSERT_GE(c.bytes, bytes);
    ASSERT_LE(c.bytes - bytes, c.bytes / 8) << bytes;
    ASSERT_LT(c.index, kSizeClasses);
    ASSERT_EQ(size_class(c.bytes).index, c.index);          // a class holds its own size
    ASSERT_EQ(size_class(c.bytes + 1).index, c.index + 1);  // and the next byte is the next class
  }
  for (size_t bytes = 0; bytes <= kSmallMax; ++bytes)
    ASSERT_GE(small_bytes(small_bin(bytes)), std::max<size_t>(bytes, 1));
}

TEST(CachingAllocator, BlocksAreAlignedAndApart) {
  std::vector<MemoryBlock> blocks;
  std::mt19937 generator(3);
  for (size_t bytes : {0, 1, 64, 65, 1000, 1024, 1025, 5000, 100000, 3 << 20}) {
    for (int i = 0; i < 40; ++i) blocks.push_back(take(bytes));
  }
  std::shuffle(blocks.begin(), blocks.end(), generator);
  for (size_t i = 0; i < blocks.size(); ++i) {
    ASSERT_NE(blocks[i].data, nullptr);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(blocks[i].data) % 64, 0u);
    std::memset(blocks[i].data, static_cast<int>(i % 251), std::min<size_t>(blocks[i].bytes, 4096));
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto* bytes = static_cast<const unsigned char*>(blocks[i].data);
    for (size_t k = 0; k < std::min<size_t>(blocks[i].bytes, 4096); ++k)
      ASSERT_EQ(bytes[k], i % 251);
  }
  for (const MemoryBlock& b : blocks) give(b);
}

TEST(CachingAllocator, CountsRequestedBytes) {
  const MemoryStats before = stats();
  allocator().reset_peak();
  const MemoryBlock a = take(100), b = take(5000);
  MemoryStats s = stats();
  EXPECT_EQ(s.in_use, before.in_use + 5100);
  EXPECT_EQ(s.peak, before.in_use + 5100);
  EXPECT_GE(s.given - before.given, 5100);
  EXPECT_EQ(s.allocs, before.allocs + 2);
  EXPECT_GE(s.reserved, s.given);
  EXPECT_EQ(s.cached, s.reserved - s.given);
  give(b);
  const MemoryBlock c = take(200);
  s = stats();
  EXPECT_EQ(s.in_use, before.in_use + 300);
  EXPECT_EQ(s.peak, before.in_use + 5100) << "the peak of one thread is exact";
  give(a);
  give(c);
  s = stats();
  EXPECT_EQ(s.in_use, before.in_use);
  EXPECT_EQ(s.given, before.given);
  EXPECT_EQ(s.frees, before.frees + 3);
  allocator().reset_peak();
  EXPECT_EQ(stats().peak, before.in_use);
}

TEST(CachingAllocator, SteadyStepTakesNothingFromTheSystem) {
  NEEDS_CACHES();
  const auto step = [] {
    std::vector<MemoryBlock> blocks;
    for (size_t bytes : {64, 4, 700, 2000, 40000, 1 << 20, 5 << 20, 40000, 16, 300000}) {
      for (int i = 0; i < 30; ++i) blocks.push_back(take(bytes));
    }
    for (const MemoryBlock& b : blocks) give(b);
  };
  step();
  const MemoryStats before = stats();
  for (int i = 0; i < 20; ++i) step();
  const MemoryStats after = stats();
  EXPECT_EQ(after.raw_allocs, before.raw_allocs);
  EXPECT_EQ(after.raw_frees, before.raw_frees);
  EXPECT_EQ(after.cache_hits - before.cache_hits, after.allocs - before.allocs);
}

TEST(CachingAllocator, TrimGivesBack) {
  NEEDS_CACHES();
  std::vector<MemoryBlock> blocks;
  for (int i = 0; i < 500; ++i) blocks.push_back(take(static_cast<size_t>(i * 37 % 1025)));
  for (int i = 0; i < 8; ++i) blocks.push_back(take(1 << 20));
  for (const MemoryBlock& b : blocks) give(b);
  allocator().trim(6 << 20);
  EXPECT_LE(stats().cached, 6 << 20);
  EXPECT_GT(stats().cached, 4 << 20) << "more was given back than asked";
  allocator().trim(0);
  const MemoryStats s = stats();
  EXPECT_EQ(s.cached, s.reserved - s.given);
  if (s.in_use == 0) {
    EXPECT_EQ(s.reserved, 0);
  }
  const MemoryBlock again = take(64);  // and it still works
  std::memset(again.data, 1, 64);
  give(again);
}

TEST(CachingAllocator, CacheIsBounded) {
  NEEDS_CACHES();
  allocator().trim(0);
  for (int i = 1; i <= 64; ++i)
    give(take((size_t{4} << 20) * static_cast<size_t>(i)));  // 64 sizes, one block alive at a time
  EXPECT_LE(stats().cached, (int64_t{64} << 20) + 2 * (int64_t{256} << 20));
  allocator().trim(0);
}

TEST(CachingAllocator, LimitThrowsAndTheProgramGoesOn) {
  allocator().trim(0);
  const MemoryBlock kept = take(10000);
  const MemoryStats before = stats();
  allocator().set_limit(static_cast<size_t>(before.reserved) + (4 << 20));
  std::string message;
  try {
    give(take(8 << 20));
  } catch (const OutOfMemoryError& e) {
    message = e.what();
  }
  EXPECT_NE(message.find("8388608"), std::string::npos) << message;
  EXPECT_NE(message.find("limit"), std::string::npos) << message;
  EXPECT_EQ(stats().in_use, before.in_use);
  EXPECT_EQ(stats().allocs, before.allocs) << "a request that failed is none";
  // What is cached is given back before a request fails.
  give(take(3 << 20));
  give(take((3 << 20) + (1 << 19)));
  EXPECT_LE(stats().reserved, before.reserved + (4 << 20));
  allocator().set_limit(0);
  give(take(8 << 20));
  give(kept);
}

TEST(CachingAllocator, ImpossibleRequestsThrow) {
  const int64_t allocs = stats().allocs;
  EXPECT_THROW(take(SIZE_MAX), OutOfMemoryError);
  EXPECT_THROW(take(SIZE_MAX / 2), OutOfMemoryError);
  EXPECT_THROW(take(size_t{1} << 46), OutOfMemoryError);
  EXPECT_EQ(stats().allocs, allocs);
}

// One thread takes, another frees: in_use is exact afterwards, and memory stays bounded.
TEST(CachingAllocator, ProducerAndConsumer) {
  const MemoryStats before = stats();
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<MemoryBlock> queue;
  constexpr int kBlocks = 100000;
  std::thread consumer([&] {
    for (int i = 0; i < kBlocks; ++i) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !queue.empty(); });
      const MemoryBlock b = queue.front();
      queue.pop_front();
      lock.unlock();
      changed.notify_all();
      give(b);
    }
  });
  for (int i = 0; i < kBlocks; ++i) {
    const MemoryBlock b = take(static_cast<size_t>(i * 131 % 1500));
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return queue.size() < 100; });
    queue.push_back(b);
    lock.unlock();
    changed.notify_all();
  }
  consumer.join();
  const MemoryStats after = stats();
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.given, before.given);
  EXPECT_EQ(after.allocs - before.allocs, kBlocks);
  EXPECT_EQ(after.frees - before.frees, kBlocks);
  EXPECT_LT(after.reserved - before.reserved, 8 << 20);
}

TEST(CachingAllocator, ManyShortThreads) {
  const MemoryStats before = stats();
  for (int i = 0; i < 300; ++i) {
    std::thread([] {
      std::vector<MemoryBlock> blocks;
      for (size_t k = 0; k < 200; ++k) blocks.push_back(take(k * 7));
      for (const MemoryBlock& b : blocks) give(b);
    }).join();
  }
  const MemoryStats after = stats();
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.allocs - before.allocs, 300 * 200);
  EXPECT_LT(after.reserved - before.reserved, 8 << 20) << "a thread that ends hands its blocks on";
}

// Statics of a program die after thread-locals: blocks are still taken and freed then.
TEST(CachingAllocator, WorksAfterTheThreadsCacheIsGone) {
  const MemoryStats before = stats();
  struct Late {
    std::vector<MemoryBlock> blocks;
    ~Late() {
      for (const MemoryBlock& b : blocks) give(b);
      for (size_t k = 0; k < 100; ++k) {
        const MemoryBlock b = take(k * 30);
        std::memset(b.data, 1, b.bytes);
        give(b);
      }
    }
  };
  std::thread([] {
    static thread_local Late late;  // made before the cache, so destroyed after it
    for (size_t k = 0; k < 100; ++k) late.blocks.push_back(take(k * 30));
  }).join();
  EXPECT_EQ(stats().in_use, before.in_use);
  EXPECT_EQ(stats().given, before.given);
}

TEST(CachingAllocator, WorksInAForkedChild) {
  const MemoryBlock mine = take(128);
  bool stop = false;
  std::mutex mutex;
  std::thread busy([&] {  // often holds the allocator's lock
    for (;;) {
      {
        const std::lock_guard lock(mutex);
        if (stop) return;
      }
      give(take(5000));
    }
  });
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const int64_t in_use = stats().in_use;
      for (size_t k = 0; k < 2000; ++k) give(take(k));
      give(mine);
      _exit(stats().in_use == in_use - 128 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  {
    const std::lock_guard lock(mutex);
    stop = true;
  }
  busy.join();
  give(mine);
}

}  // namespace
}  // namespace tinytorch
