// The caching allocator of the CUDA backend, on the twin: reuse inside a stream and between
// streams, limits, statistics, threads, memory of graphs. Freed memory is spoiled in the order of
// its stream, so a block that is given out too early shows as a wrong value under some seed.
#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "tests/cuda_twin/backend_fixture.h"

namespace tinytorch::twin {
namespace {

using DeviceAllocator = OnTwin;

constexpr size_t kKilo = 1024, kMega = 1024 * kKilo;

TEST_F(DeviceAllocator, AStreamTakesBackAtOnceWhatItFreed) {
  const MemoryBlock a = floats(stream());
  fill(stream(), a, 1);
  release(a, stream());
  const MemoryBlock b = floats(stream());
  EXPECT_EQ(b.data, a.data);
  fill(stream(), b, 2);
  EXPECT_TRUE(all_equal(read(stream(), b), 2));
  release(b, stream());
}

TEST_F(DeviceAllocator, ChunksAreCutAndMerged) {
  std::vector<MemoryBlock> blocks;
  for (size_t bytes : {300 * kKilo, 500 * kKilo, 300 * kKilo, 700 * kKilo})
    blocks.push_back(allocator().allocate(bytes, stream()));
  EXPECT_EQ(allocator().stats().raw_allocs - before_.raw_allocs, 1) << "one small segment";
  for (size_t i : {1u, 3u, 0u, 2u}) release(blocks[i], stream());
  const MemoryBlock whole = allocator().allocate(kMega, stream());
  const MemoryBlock rest = allocator().allocate(kMega, stream());
  EXPECT_EQ(allocator().stats().raw_allocs - before_.raw_allocs, 1);
  EXPECT_EQ(whole.data, blocks[0].data);
  release(whole, stream());
  release(rest, stream());
}

TEST_F(DeviceAllocator, TheSmallestPieceThatFitsIsTaken) {
  std::vector<MemoryBlock> blocks;
  for (size_t kilos : {64, 1, 16, 1, 32, 1}) {
    blocks.push_back(allocator().allocate(kilos * kKilo, stream()));
  }
  for (size_t i : {0u, 2u, 4u}) release(blocks[i], stream());
  const MemoryBlock a = allocator().allocate(15 * kKilo, stream());
  const MemoryBlock b = allocator().allocate(20 * kKilo, stream());
  EXPECT_EQ(a.data, blocks[2].data);
  EXPECT_EQ(b.data, blocks[4].data);
  for (const MemoryBlock& block : {blocks[1], blocks[3], blocks[5], a, b}) release(block, stream());
}

TEST_F(DeviceAllocator, ReservesBySize) {
  const std::pair<size_t, size_t> cases[] = {
      {1, 2 * kMega},           {kMega, 2 * kMega},       {kMega + 1, 20 * kMega},
      {10 * kMega, 10 * kMega}, {11 * kMega, 12 * kMega},
  };
  for (const auto& [asked, taken] : cases) {
    const MemoryBlock a = allocator().allocate(asked, stream());
    EXPECT_EQ(allocator().stats().reserved, static_cast<int64_t>(taken)) << asked;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a.data) % 256, 0u);
    release(a, stream());
    allocator().trim(0);
  }
}

// ---- against a model

// Live blocks never overlap, whatever is asked for and freed, and the figures fit.
TEST_F(DeviceAllocator, RandomRequestsAgreeWithAModel) {
  std::mt19937 random(7);
  const auto other = another();
  std::map<char*, std::pair<MemoryBlock, Stream*>> live;
  int64_t in_use = 0;
  for (int i = 0; i < 4000; ++i) {
    if (live.size() < 60 && random() % 5 != 0) {
      Stream& s = random() % 4 ? stream() : *other;
      const size_t most = random() % 20 ? 200 * kKilo : 4 * kMega;
      const MemoryBlock block = allocator().allocate(random() % most, s);
      char* begin = static_cast<char*>(block.data);
      const auto after = live.upper_bound(begin);
      if (after != live.end()) {
        ASSERT_LE(begin + block.bytes, after->first);
      }
      if (after != live.begin()) {
        const auto before = std::prev(after);
        ASSERT_LE(before->first + before->second.first.bytes, begin);
        ASSERT_NE(before->first, begin);
      }
      live[begin] = {block, &s};
      in_use += static_cast<int64_t>(block.bytes);
    } else if (!live.empty()) {
      auto it = std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
      in_use -= static_cast<int64_t>(it->second.first.bytes);
      release(it->second.first, *it->second.second);
      live.erase(it);
    }
    const MemoryStats now = allocator().stats();
    ASSERT_EQ(now.in_use, in_use);
    ASSERT_EQ(now.reserved, now.given + now.cached);
    ASSERT_GE(now.given, now.in_use);
    if (i % 1000 == 999) allocator().trim(0);
  }
  for (const auto& [begin, block] : live) release(block.first, *block.second);
}

TEST_F(DeviceAllocator, StatisticsAreThoseOfTheCpu) {
  Device cpu("cpu");
  Allocator& host = *cpu.state()->allocator;
  Stream& host_stream = *cpu.state()->stream;
  host.reset_peak();
  const MemoryStats host_before = host.stats();
  std::mt19937 random(3);
  std::vector<std::pair<MemoryBlock, MemoryBlock>> live;
  for (int i = 0; i < 500; ++i) {
    if (live.size() < 20 && random() % 3 != 0) {
      const size_t bytes = random() % 100000;
      live.emplace_back(host.allocate(bytes, host_stream), allocator().allocate(bytes, stream()));
    } else if (!live.empty()) {
      const size_t at = random() % live.size();
      host.free(live[at].first, host_stream);
      release(live[at].second, stream());
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
    }
    const MemoryStats a = host.stats(), b = allocator().stats();
    ASSERT_EQ(a.in_use - host_before.in_use, b.in_use - before_.in_use);
    ASSERT_EQ(a.peak - host_before.peak, b.peak - before_.peak);
    ASSERT_EQ(a.allocs - host_before.allocs, b.allocs - before_.allocs);
    ASSERT_EQ(a.frees - host_before.frees, b.frees - before_.frees);
    ASSERT_EQ(b.allocs - before_.allocs,
              b.cache_hits - before_.cache_hits + b.raw_allocs - before_.raw_allocs);
  }
  for (const auto& [a, b] : live) {
    host.free(a, host_stream);
    release(b, stream());
  }
}

// ---- between streams

TEST_F(DeviceAllocator, OthersGetABlockOnlyWhenItsWorkHasPassed) {
  int taken_over = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const auto owner = another(), other = another();
    const MemoryBlock a = floats(*owner);
    for (int i = 0; i < 20; ++i) fill(*owner, a, 1);
    release(a, *owner);
    const MemoryBlock b = floats(*other);
    taken_over += b.data == a.data;
    fill(*other, b, 2);
    EXPECT_TRUE(all_equal(read(*other, b), 2));
    owner->synchronize();
    EXPECT_TRUE(all_equal(read(*other, b), 2)) << "seed " << seed;
    release(b, *other);
  }
  EXPECT_LT(taken_over, kSeeds) << "no seed left work behind";
}

TEST_F(DeviceAllocator, WhatHasPassedIsSharedBetweenStreams) {
  const auto owner = another(), other = another();
  const MemoryBlock a = allocator().allocate(5 * kMega, *owner);
  release(a, *owner);
  owner->synchronize();
  const MemoryBlock b = allocator().allocate(5 * kMega, *other);
  EXPECT_EQ(b.data, a.data);
  release(b, *other);
}

// A consumer reads a block that its owner frees and takes again at once. Is what it reads right?
class Handing : public OnTwin {
 protected:
  bool reads_before_reuse(bool record_use) {
    const auto owner = another(), reader = another();
    MemoryBlock a = floats(*owner);
    const MemoryBlock sum = floats(*reader);
    fill(*owner, a, 1);
    reader->wait(owner->mark());
    if (record_use) allocator().record_use(a, *reader);
    add(*reader, sum, a, a);
    release(a, *owner);
    const MemoryBlock next = floats(*owner);
    fill(*owner, next, 5);
    const bool right = all_equal(read(*reader, sum), 2) && all_equal(read(*owner, next), 5);
    release(next, *owner);
    release(sum, *reader);
    return right;
  }
};

TEST_F(Handing, RecordUseKeepsABlockAndItsAbsenceShows) {
  int right_without = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    EXPECT_TRUE(reads_before_reuse(true)) << "seed " << seed;
    control_->set_seed(static_cast<uint64_t>(seed));
    right_without += reads_before_reuse(false);
  }
  EXPECT_LT(right_without, kSeeds) << "no seed found the missing record_use";
}

// A block that is freed by another stream than allocated it.
TEST_F(DeviceAllocator, AFreeByAnotherStreamWaitsForTheAllocating) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const auto owner = another(), other = another();
    const MemoryBlock a = floats(*owner);
    for (int i = 0; i < 10; ++i) fill(*owner, a, 1);
    release(a, *other);
    const MemoryBlock b = floats(*other);
    fill(*other, b, 2);
    other->synchronize();
    owner->synchronize();
    EXPECT_TRUE(all_equal(read(*other, b), 2)) << "seed " << seed;
    release(b, *other);
  }
}

// Tensors on several streams, made, added and dropped at random, with every wait that is needed.
TEST_F(DeviceAllocator, RandomProgramsOverStreamsAreRight) {
  const Device device("cudatwin");
  const DeviceGuard guard(device);
  struct Value {
    Tensor tensor;
    Marker made;
    double expected;
  };
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(seed);
    std::mt19937 random(seed);
    std::vector<std::shared_ptr<Stream>> streams;
    for (int i = 0; i < 4; ++i) streams.push_back(create_stream(device));
    std::vector<Value> values;
    for (int step = 0; step < 120; ++step) {
      Stream& s = *streams[random() % streams.size()];
      const StreamGuard on(device, s);
      const int64_t n = 1 + static_cast<int64_t>(random() % 3) * 3000;
      if (values.size() < 4 || random() % 4 == 0) {
        const double x = static_cast<double>(random() % 100);
        values.push_back({full({n}, x), {}, x});
      } else if (random() % 2 == 0) {
        const Value& from = values[random() % values.size()];
        s.wait(from.made);
        Tensor sum = from.tensor.add(from.tensor);
        values.push_back({std::move(sum), {}, 2 * from.expected});
      } else {
        values.erase(values.begin() + static_cast<std::ptrdiff_t>(random() % values.size()));
        continue;
      }
      values.back().made = s.mark();
    }
    for (const Value& value : values) {
      current_stream(device).wait(value.made);
      const Floats host = value.tensor.to_vector<float>();
      EXPECT_EQ(std::count(host.begin(), host.end(), static_cast<float>(value.expected)),
                static_cast<std::ptrdiff_t>(host.size()))
          << "seed " << seed;
    }
  }
}

// A capture may not take what has not passed; with more such pieces than an allocation looks at, it
// still finds the segment that was taken for it.
TEST_F(DeviceAllocator, ManyPiecesThatWaitHideNoNewSegment) {
  const auto recorder = another();
  std::vector<MemoryBlock> pieces;
  for (int i = 0; i < 200; ++i) pieces.push_back(floats(*recorder));
  for (const MemoryBlock& piece : pieces) fill(*recorder, piece, 1);
  for (size_t i = 0; i < pieces.size(); i += 2) release(pieces[i], *recorder);
  ASSERT_TRUE(recorder->begin_capture());
  const MemoryBlock inside = floats(*recorder);
  fill(*recorder, inside, 2);
  const auto graph = recorder->end_capture();
  graph->replay(*recorder);
  EXPECT_TRUE(all_equal(read(*recorder, inside), 2));
  for (size_t i = 1; i < pieces.size(); i += 2) release(pieces[i], *recorder);
  release(inside, *recorder);
}

TEST_F(DeviceAllocator, UsesOfOtherDevicesAndOfDeadBlocksAreRefused) {
  MemoryBlock a = floats(stream());
  EXPECT_THROW(allocator().record_use(a, stream(1)), DeviceError);
  release(a, stream());
  EXPECT_THROW(allocator().record_use(a, stream()), DeviceError);
  release(a, stream());  // a second free is ignored
  EXPECT_EQ(allocator().stats().in_use, before_.in_use);
}

TEST_F(DeviceAllocator, MemoryOfAClosedStreamIsUsedAgain) {
  auto owner = another();
  const MemoryBlock a = allocator().allocate(3 * kMega, *owner);
  fill(*owner, a, 1);
  release(a, *owner);
  owner.reset();
  const MemoryBlock b = allocator().allocate(3 * kMega, stream());
  EXPECT_EQ(b.data, a.data);
  release(b, stream());
}

// ---- threads

TEST_F(DeviceAllocator, ThreadsAllocateAndFreeEachOthersBlocks) {
  constexpr size_t kThreads = 4;
  std::mutex mutex;
  std::vector<std::pair<MemoryBlock, float>> shared;
  std::vector<int> wrong(kThreads);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      const auto mine = another();
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < 100; ++i) {
        const float x = static_cast<float>(random() % 1000);
        MemoryBlock block = floats(*mine, 1 + static_cast<int64_t>(random() % 2000));
        fill(*mine, block, x);
        mine->synchronize();
        std::pair<MemoryBlock, float> other{block, x};
        {
          const std::lock_guard lock(mutex);
          shared.push_back(other);
          std::swap(shared[random() % shared.size()], shared.back());
          other = shared.back();
          shared.pop_back();
        }
        wrong[t] += !all_equal(read(*mine, other.first), other.second);
        release(other.first, *mine);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (int count : wrong) EXPECT_EQ(count, 0);
}

}  // namespace
}  // namespace tinytorch::twin
