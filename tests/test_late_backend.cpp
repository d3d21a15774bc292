// The streams of the backend `late`: what they promise, and that a program which relies on more
// than the interface promises is caught. A test that depends on the order runs under many seeds.
#include <cstdio>
#include <thread>

#include "tests/late/late_fixture.h"

namespace tinytorch::late {
namespace {

// ---- order

TEST_F(Late, SaysWhatItIs) {
  const DeviceInfo info = late_backend().info(0);
  EXPECT_EQ(late_backend().name(), "late");
  EXPECT_FALSE(info.host_memory);
  EXPECT_FALSE(info.synchronous);
  EXPECT_TRUE(info.test_only);
}

// What is recorded does not run; a block that was freed meanwhile is the graph's until it goes.
TEST_F(Late, RecordsAndReplays) {
  const auto recorder = another();
  const MemoryBlock a = floats(stream());
  fill(stream(), a, 1);
  stream().synchronize();
  ASSERT_TRUE(recorder->begin_capture());
  const MemoryBlock temporary = floats(*recorder);
  add(*recorder, temporary, a, a);
  add(*recorder, a, temporary, a);
  allocator().free(temporary, *recorder);
  std::unique_ptr<RecordedGraph> graph = recorder->end_capture();
  EXPECT_TRUE(all_equal(read(stream(), a), 1));
  for (int i = 0; i < 2; ++i) graph->replay(stream());
  const MemoryBlock other = floats(*recorder);
  fill(*recorder, other, 5);
  EXPECT_TRUE(all_equal(read(stream(), a), 9));
  graph->replay(stream());
  graph.reset();  // before its last replay has run
  EXPECT_TRUE(all_equal(read(stream(), a), 27));
  allocator().free(a, stream());
  allocator().free(other, *recorder);
}

TEST_F(Late, NothingRunsBeforeItIsAskedFor) {
  const MemoryBlock a = floats(stream());
  control_->reset_counters();
  for (int i = 0; i < 10; ++i) fill(stream(), a, 1);
  EXPECT_EQ(control_->counters().items_run, 0u);
  stream().synchronize();
  EXPECT_EQ(control_->counters().items_run, 10u);
  allocator().free(a, stream());
}

TEST_F(Late, OrderInsideAStreamHolds) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const auto noise = another();
    const MemoryBlock a = floats(stream()), b = floats(*noise);
    fill(stream(), a, 1);
    for (int i = 0; i < 5; ++i) {
      fill(*noise, b, 7);
      add(stream(), a, a, a);
    }
    EXPECT_TRUE(all_equal(read(stream(), a), 32)) << "seed " << seed;
    allocator().free(a, stream());
    allocator().free(b, *noise);
  }
}

// b = 2 a on another stream; with or without waiting for a.
bool product_is_right(Stream& producer, Stream& consumer, bool wait, const MemoryBlock& a,
                      const MemoryBlock& b) {
  KernelContext context = producer.context();
  const View va = view_of(a.data, {kLength}), vb = view_of(b.data, {kLength});
  const KernelTable& rows = late_backend().kernels();
  rows.fill(context, va, {3, 3});
  const Marker done = producer.mark();
  context = consumer.context();
  if (wait) consumer.wait(done);
  rows.binary(context, BinaryOp::add, vb, va, va);
  Floats host(kLength);
  consumer.copy(host.data(), b.data, b.bytes, CopyKind::device_to_host);
  for (float v : host)
    if (v != 6) return false;
  return true;
}

TEST_F(Late, MarkersOrderTwoStreamsAndAMissingWaitShows) {
  int right_without = 0;
  control_->reset_counters();
  for (int seed = 0; seed < kSeeds; ++seed) {
    for (bool wait : {true, false}) {
      control_->set_seed(static_cast<uint64_t>(seed));
      const auto producer = another(), consumer = another();
      const MemoryBlock a = floats(*producer), b = floats(*consumer);
      const bool right = product_is_right(*producer, *consumer, wait, a, b);
      if (wait)
        EXPECT_TRUE(right) << "seed " << seed;
      else
        right_without += right;
      allocator().free(a, *producer);
      allocator().free(b, *consumer);
    }
  }
  EXPECT_GT(right_without, 0) << "no seed ran the producer early";
  EXPECT_LT(right_without, kSeeds) << "no seed found the missing wait";
  EXPECT_GT(control_->counters().out_of_order, 0u);
}

TEST_F(Late, WaitsChainOverManyStreams) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 8; ++i) streams.push_back(another());
    const MemoryBlock a = floats(*streams[0]);
    fill(*streams[0], a, 1);
    for (size_t i = 1; i < streams.size(); ++i) {
      streams[i]->wait(streams[i - 1]->mark());
      add(*streams[i], a, a, a);
    }
    EXPECT_TRUE(all_equal(read(*streams.back(), a), 128)) << "seed " << seed;
    allocator().free(a, *streams.back());
  }
}

TEST_F(Late, QueryLetsTimePassAndMarkersAreTimed) {
  const MemoryBlock a = floats(stream());
  const Marker before = stream().mark();
  for (int i = 0; i < 20; ++i) fill(stream(), a, 1);
  const Marker after = stream().mark();
  EXPECT_TRUE(stream().query(Marker{}));
  int questions = 0;
  while (!stream().query(after)) ++questions;
  EXPECT_GT(questions, 0);
  EXPECT_TRUE(stream().query(before));
  EXPECT_GE(stream().elapsed_us(before, after), 0);
  allocator().free(a, stream());
}

TEST_F(Late, MarkersOfClosedStreamsArePassedAndForgedOnesRefused) {
  auto other = another();
  const MemoryBlock a = floats(*other);
  fill(*other, a, 5);
  const Marker done = other->mark();
  other.reset();
  stream().wait(done);
  EXPECT_TRUE(stream().query(done));
  EXPECT_TRUE(all_equal(read(stream(), a), 5));
  EXPECT_THROW(stream().wait(Marker{stream().mark().id + 1}), Error);
  EXPECT_THROW(stream().wait(Marker{~uint64_t{0}}), Error);
  allocator().free(a, stream());
}

TEST_F(Late, QueuesAreBounded) {
  const MemoryBlock a = floats(stream());
  control_->reset_counters();
  for (int i = 0; i < 10000; ++i) fill(stream(), a, static_cast<float>(i));
  EXPECT_GT(control_->counters().items_run, 0u);
  EXPECT_LT(control_->counters().longest_queue, 5000u);
  EXPECT_TRUE(all_equal(read(stream(), a), 9999));
  allocator().free(a, stream());
}

TEST_F(Late, ThreadsHaveStreamsOfTheirOwn) {
  std::vector<std::thread> threads;
  std::vector<int> right(4);
  for (size_t t = 0; t < right.size(); ++t)
    threads.emplace_back([&right, t] {
      const auto mine = another();
      for (int i = 0; i < 50; ++i) {
        const MemoryBlock a = floats(*mine), b = floats(*mine);
        fill(*mine, a, static_cast<float>(i));
        fill(*mine, b, static_cast<float>(t));
        add(*mine, a, a, b);
        right[t] += all_equal(read(*mine, a), static_cast<float>(i) + static_cast<float>(t));
        allocator().free(a, *mine);
        allocator().free(b, *mine);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (int count : right) EXPECT_EQ(count, 50);
}

// ---- what a launch and a copy take with them

TEST_F(Late, CopiesFromTheHostTakeTheBytesAtTheCall) {
  const MemoryBlock a = floats(stream());
  Floats host(kLength, 4);
  give(stream(), a, host.data());
  host.assign(kLength, 5);
  EXPECT_TRUE(all_equal(read(stream(), a), 4));
  allocator().free(a, stream());
}

TEST_F(Late, ArgumentsMayDieAfterTheCall) {
  const MemoryBlock x = floats(stream(), 3), w = floats(stream(), 1), b = floats(stream(), 1);
  const MemoryBlock out = floats(stream(), 3);
  const Floats values = {1, 2, 3};
  give(stream(), x, values.data());
  fill(stream(), view_of(w.data, {1}), 10);
  fill(stream(), view_of(b.data, {1}), 5);
  {
    View vx = view_of(x.data, {1, 1, 1, 3}), vw = view_of(w.data, {1, 1, 1, 1});
    View vb = view_of(b.data, {1}), vo = view_of(out.data, {1, 1, 1, 3});
    Conv2dParams p{{1, 1}, {0, 0}, {1, 1}, 1};
    launch(stream(), "conv2d", &KernelTable::conv2d, vo, vx, vw, &vb, p);
    vx = vw = vb = vo = View{};
    p = {};
  }
  EXPECT_EQ(read(stream(), out), (Floats{15, 25, 35}));
  for (const MemoryBlock& block : {x, w, b, out}) allocator().free(block, stream());
}

TEST_F(Late, ForeignPointersAreRefusedAtTheLaunch) {
  const MemoryBlock a = floats(stream());
  Floats host(kLength);
  const MemoryBlock mine{host.data(), 4 * kLength};
  EXPECT_THROW(fill(stream(), mine, 1), DeviceError);
  EXPECT_THROW(fill(stream(), view_of(a.data, {kLength + 1}), 1), DeviceError);
  EXPECT_THROW(stream().copy(host.data(), host.data(), 4, CopyKind::host_to_device), DeviceError);
  EXPECT_THROW(stream().copy(host.data(), a.data, 4 * kLength + 1, CopyKind::device_to_host),
               DeviceError);
  View strided = view_of(a.data, {10, 10});
  strided.contiguous = false;
  strided.strides[0] = 11;
  EXPECT_THROW(launch(stream(), "fill", &KernelTable::fill, strided, ScalarValue{1, 1}),
               DeviceError);
  strided.strides[0] = 0;
  EXPECT_NO_THROW(launch(stream(), "fill", &KernelTable::fill, strided, ScalarValue{1, 1}));
  allocator().free(a, stream());
  EXPECT_THROW(fill(stream(), a, 1), DeviceError) << "the block was given back";
}

TEST_F(Late, TheHostCannotReadDeviceMemory) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const MemoryBlock a = floats(stream());
  stream().synchronize();
  EXPECT_DEATH(
      std::fprintf(stderr, "%f", static_cast<double>(*static_cast<volatile float*>(a.data))), "");
  allocator().free(a, stream());
}

// ---- values

TEST_F(Late, ValueErrorsComeLateWithTheOpOfTheirLaunch) {
  const MemoryBlock x = floats(stream(), 4), out = floats(stream(), 2),
                    index = allocator().allocate(16, stream());
  const Floats values = {1, 2, 3, 4};
  const int64_t bad[] = {3, 4};
  give(stream(), x, values.data());
  give(stream(), index, bad);
  ErrorWord& word = *stream().context().error;
  launch(stream(), "embedding", &KernelTable::index_select, view_of(out.data, {1, 2, 1}),
         view_of(x.data, {1, 4, 1}), view_of(index.data, {2}, Dtype::i64));
  stream().context().op = "something later";
  EXPECT_EQ(word.kind, 0u);
  stream().synchronize();
  EXPECT_EQ(word.kind, static_cast<uint32_t>(ValueErrorKind::index_out_of_range));
  EXPECT_STREQ(word.op, "embedding");
  EXPECT_EQ(word.position, 1);
  EXPECT_EQ(word.value, 4);
  EXPECT_EQ(word.limit, 4);
  word = {};
  fill(stream(), view_of(out.data, {2}), 1);
  EXPECT_EQ(read(stream(), out), (Floats{1, 1})) << "the stream stays usable";
  for (const MemoryBlock& block : {x, out, index}) allocator().free(block, stream());
}

}  // namespace
}  // namespace tinytorch::late
