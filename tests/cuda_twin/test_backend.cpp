// The streams of the CUDA backend, on the twin: copies, markers, bad values, captures, several
// devices. What depends on the order of execution runs under many seeds.
#include <cmath>
#include <thread>

#include "tests/cuda_twin/backend_fixture.h"
#include "tests/testing.h"

namespace tinytorch::twin {
namespace {

using testing::expect_error;

class CudaBackend : public OnTwin {};

TEST_F(CudaBackend, SaysWhatItIs) {
  const DeviceInfo info = twin_backend().info(0);
  EXPECT_EQ(twin_backend().name(), "cudatwin");
  EXPECT_FALSE(info.host_memory);
  EXPECT_FALSE(info.synchronous);
  EXPECT_TRUE(info.test_only);
  EXPECT_GT(info.total_bytes, 0);
  EXPECT_NE(info.description.find("compute capability 9.0"), std::string::npos);
  const std::string details = backend_status("cudatwin").details;
  for (const char* part : {"driver", "cudatwin:0", "cudatwin:1", "matrix products"})
    EXPECT_NE(details.find(part), std::string::npos) << part << " in " << details;
}

TEST_F(CudaBackend, EveryRowIsThere) {
  const Device device("cudatwin");
#define TT_KERNEL(name, layout, need, args, flops, bytes) \
  EXPECT_TRUE(device.has_kernel(#name)) << #name;
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL
}

// ---- copies

TEST_F(CudaBackend, CopiesTakeAndBringTheirBytesAtTheCall) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const auto s = another();
    const MemoryBlock a = floats(*s), b = floats(*s);
    Floats host(kLength, 4);
    s->copy(a.data, host.data(), a.bytes, CopyKind::host_to_device);
    host.assign(kLength, 5);
    s->copy(b.data, a.data, a.bytes, CopyKind::device_to_device);
    fill(*s, a, 6);
    EXPECT_TRUE(all_equal(read(*s, b), 4));
    EXPECT_TRUE(all_equal(read(*s, a), 6));
    s->copy(b.data, host.data(), 0, CopyKind::host_to_device);
    release(a, *s);
    release(b, *s);
  }
}

TEST_F(CudaBackend, NothingRunsBeforeItIsWaitedFor) {
  const MemoryBlock a = floats(stream());
  const uint64_t waits = control_->counters().waits, copies = control_->counters().device_to_host;
  for (int i = 0; i < 10; ++i) fill(stream(), a, 1);
  EXPECT_EQ(control_->counters().waits, waits);
  stream().synchronize();
  EXPECT_EQ(control_->counters().waits, waits + 1);
  EXPECT_EQ(control_->counters().device_to_host, copies) << "no word is read without a flag";
  release(a, stream());
}

// ---- markers

TEST_F(CudaBackend, MarkersOrderTwoStreamsAndAMissingWaitShows) {
  int right_without = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    for (bool wait : {true, false}) {
      control_->set_seed(static_cast<uint64_t>(seed));
      const auto producer = another(), consumer = another();
      const MemoryBlock a = floats(*producer), b = floats(*consumer);
      for (int i = 0; i < 5; ++i) fill(*producer, a, 3);
      const Marker done = producer->mark();
      if (wait) consumer->wait(done);
      add(*consumer, b, a, a);
      const bool right = all_equal(read(*consumer, b), 6);
      if (wait)
        EXPECT_TRUE(right) << "seed " << seed;
      else
        right_without += right;
      producer->synchronize();
      release(a, *producer);
      release(b, *consumer);
    }
  }
  EXPECT_LT(right_without, kSeeds) << "no seed found the missing wait";
}

TEST_F(CudaBackend, MarkersAreAskedForAndTimed) {
  const MemoryBlock a = floats(stream());
  EXPECT_TRUE(stream().query(Marker{}));
  stream().wait(Marker{});
  const Marker before = stream().mark();
  for (int i = 0; i < 20; ++i) fill(stream(), a, 1);
  const Marker after = stream().mark();
  while (!stream().query(after)) {
  }
  EXPECT_TRUE(stream().query(before));
  EXPECT_GE(stream().elapsed_us(before, after), 0);
  EXPECT_LE(stream().elapsed_us(after, before), 0);
  release(a, stream());
}

TEST_F(CudaBackend, OldMarkersArePlacesStillButHaveNoTime) {
  const auto s = another(), other = another();
  const MemoryBlock a = floats(*s);
  const Marker first = s->mark();
  fill(*s, a, 1);
  const Marker second = s->mark();
  for (int i = 0; i < 6000; ++i) s->mark();
  other->wait(second);
  EXPECT_TRUE(all_equal(read(*other, a), 1));
  s->synchronize();
  EXPECT_TRUE(other->query(first));
  EXPECT_THROW(s->elapsed_us(first, second), Error);
  const Marker late = s->mark(), later = s->mark();
  EXPECT_GE(s->elapsed_us(late, later), 0);
  release(a, *s);
}

TEST_F(CudaBackend, MarkersOfClosedStreamsArePassedAndForgedOnesRefused) {
  auto other = another();
  const MemoryBlock a = floats(*other);
  fill(*other, a, 5);
  const Marker done = other->mark();
  EXPECT_THROW(stream().elapsed_us(done, done), Error) << "not of this stream";
  other.reset();
  stream().wait(done);
  EXPECT_TRUE(stream().query(done));
  EXPECT_TRUE(all_equal(read(stream(), a), 5));
  const Marker last = stream().mark();
  EXPECT_THROW(stream().wait(Marker{last.id + 1}), Error);
  EXPECT_THROW(stream().wait(Marker{7}), Error);
  EXPECT_THROW(stream().wait(Marker{~uint64_t{0}}), Error);
  EXPECT_THROW(stream().query(Marker{~uint64_t{0}}), Error);
  release(a, stream());
}

TEST_F(CudaBackend, ThreadsHaveStreamsOfTheirOwn) {
  std::vector<std::thread> threads;
  std::vector<int> right(4);
  for (size_t t = 0; t < right.size(); ++t)
    threads.emplace_back([&right, t] {
      const auto mine = another(static_cast<int>(t % 2));
      for (int i = 0; i < 25; ++i) {
        const MemoryBlock a = floats(*mine), b = floats(*mine);
        fill(*mine, a, static_cast<float>(i));
        fill(*mine, b, static_cast<float>(t));
        add(*mine, a, a, b);
        right[t] += all_equal(read(*mine, a), static_cast<float>(i) + static_cast<float>(t));
        release(a, *mine);
        release(b, *mine);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (int count : right) EXPECT_EQ(count, 25);
}

// ---- devices

TEST_F(CudaBackend, DevicesWaitForEachOther) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const MemoryBlock a = floats(stream(0)), b = floats(stream(1));
    fill(stream(0), a, 2);
    stream(1).wait(stream(0).mark());
    fill(stream(1), b, 3);
    stream(0).wait(stream(1).mark());
    EXPECT_TRUE(all_equal(read(stream(1), b), 3));
    EXPECT_TRUE(all_equal(read(stream(0), a), 2));
    release(a, stream(0));
    release(b, stream(1));
  }
}

// Operands of 10 bits, only where asked for and only in f32; a captured product keeps its
// precision.
TEST_F(CudaBackend, Tf32IsUsedOnRequest) {
  const Device device("cudatwin");
  const DeviceGuard guard(device);
  // 1 + 2^-12 is a number of f32 and rounds to 1 in TF32. Large enough not to be a small product.
  const int64_t n = 128;
  const Tensor a = full({n, n}, 1 + 0x1p-12), b = ones({n, n});
  const auto first = [&](const Tensor& x, const Tensor& y) {
    return matmul(x, y).to_vector<double>()[0];
  };
  const double exact = n * (1 + 0x1p-12);
  EXPECT_EQ(matmul_precision(), MatmulPrecision::f32);
  EXPECT_EQ(first(a, b), exact);
  set_matmul_precision(MatmulPrecision::tf32);
  EXPECT_EQ(matmul_precision(), MatmulPrecision::tf32);
  EXPECT_EQ(first(a, b), n);
  EXPECT_EQ(first(a.to(Dtype::f64), b.to(Dtype::f64)), exact);
  EXPECT_EQ(first(a.cpu(), b.cpu()), exact) << "the CPU has no faster form";
  Tensor out;
  Graph graph = capture(device, [&] { out = matmul(a, b); });
  set_matmul_precision(MatmulPrecision::f32);
  EXPECT_EQ(first(a, b), exact);
  graph.replay();
  EXPECT_EQ(out.to_vector<double>()[0], n);
}

TEST_F(CudaBackend, TensorsMoveBetweenDevices) {
  const Tensor a = tensor({1, 2, 3}, {}, {.device = Device("cudatwin:0")});
  const Tensor b = a.to(Device("cudatwin:1"));
  EXPECT_EQ(b.device().name(), "cudatwin:1");
  EXPECT_EQ(b.add(b).to_vector<float>(), (Floats{2, 4, 6}));
  EXPECT_THROW(a.add(b), DeviceError);
}

// ---- bad values

class BadValues : public OnTwin {
 protected:
  // Selects rows 0 and `index` of 4: a kernel that reports if that is out of range.
  void select(Stream& s, const char* op, int64_t index) {
    const MemoryBlock x = floats(s, 4), out = floats(s, 2);
    const MemoryBlock at = s.context().allocator->allocate(16, s);
    const int64_t host[] = {0, index};
    fill(s, x, 1);
    s.copy(at.data, host, sizeof host, CopyKind::host_to_device);
    select(s, op, x, at, out);
    for (const MemoryBlock& block : {x, out, at}) release(block, s);
  }
  static void select(Stream& s, const char* op, const MemoryBlock& x, const MemoryBlock& at,
                     const MemoryBlock& out) {
    View index = view_of(at);
    index.dtype = Dtype::i64;
    index.numel = index.shape[0] = 2;
    const auto cube = [](View v, int64_t rows) {
      v.rank = 3;
      v.shape[0] = v.shape[2] = 1, v.shape[1] = rows;
      v.strides[0] = rows, v.strides[1] = v.strides[2] = 1;
      return v;
    };
    launch(s, op, &KernelTable::index_select, cube(view_of(out), 2), cube(view_of(x), 4), index);
  }
  static ErrorWord take(Stream& s) {
    const ErrorWord word = *s.context().error;
    *s.context().error = {};
    return word;
  }
};

TEST_F(BadValues, ArriveAtSynchronisationWithTheOpOfTheirLaunch) {
  const auto s = another();
  select(*s, "embedding", 4);
  s->context().op = "something later";
  EXPECT_EQ(s->context().error->kind, 0u);
  s->synchronize();
  const ErrorWord word = take(*s);
  EXPECT_EQ(word.kind, static_cast<uint32_t>(ValueErrorKind::index_out_of_range));
  EXPECT_STREQ(word.op, "embedding");
  EXPECT_EQ(word.position, 1);
  EXPECT_EQ(word.value, 4);
  EXPECT_EQ(word.limit, 4);
  select(*s, "embedding", 3);
  s->synchronize();
  EXPECT_EQ(take(*s).kind, 0u) << "the report was cleared";
}

TEST_F(BadValues, StayWithTheirStream) {
  const auto good = another(), bad = another();
  select(*bad, "embedding", -1);
  select(*good, "embedding", 1);
  good->synchronize();
  bad->synchronize();
  EXPECT_EQ(take(*good).kind, 0u);
  EXPECT_EQ(take(*bad).value, -1);
}

TEST_F(BadValues, ThrowFromCoreAndTheDeviceStaysUsable) {
  const Device device("cudatwin");
  const DeviceGuard guard(device);
  const Tensor x = full({4, 2}, 1.0);
  const Tensor index = tensor({0, 7}, {}, {.dtype = Dtype::i64});
  for (int i = 0; i < 3; ++i) {
    const Tensor rows = index_select(x, 0, index);
    expect_error<IndexError>([&] { device.synchronize(); }, {"7", "position 1", "index < 4"});
    EXPECT_EQ(x.sum().item(), 8);
  }
}

// A graph reports to the stream on which it ran, also when it is gone by then.
TEST_F(BadValues, OfReplayedGraphsArrive) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const auto recorder = another(), runner = another();
    const MemoryBlock x = floats(*runner, 4), out = floats(*runner, 2);
    const MemoryBlock at = allocator().allocate(16, *runner);
    recorder->begin_capture();
    select(*recorder, "recorded", x, at, out);
    std::unique_ptr<RecordedGraph> graph = recorder->end_capture();
    recorder->synchronize();
    fill(*runner, x, 1);
    for (int64_t index : {3, 9, 2}) {
      const int64_t host[] = {0, index};
      runner->copy(at.data, host, sizeof host, CopyKind::host_to_device);
      graph->replay(*runner);
      if (index == 2) graph.reset();
      runner->synchronize();
      const ErrorWord word = take(*runner);
      EXPECT_EQ(word.kind != 0, index == 9) << "seed " << seed;
      if (index == 9) {
        EXPECT_STREQ(word.op, "recorded");
        EXPECT_EQ(word.value, 9);
      }
    }
    recorder->synchronize();
    EXPECT_EQ(take(*recorder).kind, 0u);
    for (const MemoryBlock& block : {x, out, at}) release(block, *runner);
  }
}

// ---- capture

class Captures : public OnTwin {
 protected:
  void SetUp() override {
    twin_backend();
    (void)randn({1}, {.device = Device("cudatwin")});  // the generator's state stays
    OnTwin::SetUp();
  }
};

TEST_F(Captures, HaveNoMarkersAndOtherStreamsGoOn) {
  const auto recorder = another();
  const Marker before = stream().mark();
  const MemoryBlock a = floats(stream());
  recorder->begin_capture();
  EXPECT_THROW(recorder->mark(), Error);
  fill(stream(), a, 3);
  EXPECT_TRUE(all_equal(read(stream(), a), 3)) << "the thread may use other streams meanwhile";
  while (!stream().query(before)) {
  }
  recorder->wait(before);
  for (int i = 0; i < 50; ++i) fill(stream(), a, 3);
  EXPECT_THROW(recorder->wait(stream().mark()), Error) << "a replay would not wait again";
  fill(*recorder, a, 4);
  const auto graph = recorder->end_capture();
  EXPECT_TRUE(all_equal(read(stream(), a), 3)) << "what is recorded does not run";
  graph->replay(stream());
  EXPECT_TRUE(all_equal(read(stream(), a), 4));
  EXPECT_THROW(graph->replay(stream(1)), DeviceError);
  EXPECT_THROW(recorder->end_capture(), Error);
  release(a, stream());
}

TEST_F(Captures, OfATrainingStepAreTheEagerStepsBits) {
  const Device device("cudatwin");
  const DeviceGuard guard(device);
  const auto train = [&](bool captured) {
    manual_seed(3);
    Sequential model(Linear(6, 16), ReLU(), Linear(16, 3));
    Adam optimizer(model.parameters(), 0.01);
    const Tensor x = randn({8, 6}), y = randn({8, 3});
    Tensor loss;
    const auto step = [&] {
      optimizer.zero_grad();
      loss = mse_loss(model.forward(x), y);
      loss.backward();
      optimizer.step();
    };
    step();
    step();
    if (captured) {
      Graph graph = capture(device, step);
      for (int i = 0; i < 5; ++i) graph.replay();
    } else {
      for (int i = 0; i < 6; ++i) step();
    }
    Floats all = loss.to_vector<float>();
    for (const Tensor& p : model.parameters())
      for (float v : p.to_vector<float>()) all.push_back(v);
    return all;
  };
  const Floats eager = train(false), captured = train(true);
  EXPECT_EQ(eager, captured);
  EXPECT_TRUE(std::isfinite(eager[0]));
  EXPECT_GT(control_->counters().graph_launches, 5u);
}

}  // namespace
}  // namespace tinytorch::twin
