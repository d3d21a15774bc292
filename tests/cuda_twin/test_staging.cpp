// Copies from pageable memory through page-locked buffers: nobody waits, no byte is taken late, and
// what cannot be staged is copied all the same.
#include <cstring>
#include <thread>

#include "tests/cuda_twin/backend_fixture.h"
#include "tests/testing.h"

namespace tinytorch::twin {
namespace {

constexpr int64_t kLarge = 700 << 10;  // floats: two buffers and a part of one

class CudaStaging : public OnTwin {
 protected:
  static Floats numbers(int64_t n, int first) {
    Floats host(static_cast<size_t>(n));
    for (size_t i = 0; i < host.size(); ++i) host[i] = static_cast<float>(first + int(i % 1000));
    return host;
  }
  // The host forgets its bytes as soon as it may.
  static void send(Stream& s, const MemoryBlock& to, Floats host) {
    s.copy(to.data, host.data(), to.bytes, CopyKind::host_to_device);
    std::memset(host.data(), 0x7f, to.bytes);
  }
};

TEST_F(CudaStaging, NobodyWaitsAndTheBytesAreTaken) {
  for (int seed = 0; seed < 10; ++seed) {
    control_->set_seed(static_cast<uint64_t>(seed));
    const auto s = another();
    const MemoryBlock a = floats(*s, kLarge), b = floats(*s, kLarge);
    const uint64_t waits = control_->counters().waits;
    send(*s, a, numbers(kLarge, seed));
    send(*s, b, numbers(kLarge, seed + 1));
    add(*s, a, a, b);
    EXPECT_EQ(control_->counters().waits, waits);
    const Floats sum = read(*s, a);
    for (size_t i = 0; i < sum.size(); ++i)
      ASSERT_EQ(sum[i], static_cast<float>(2 * seed + 1 + 2 * int(i % 1000))) << i;
    release(a, *s);
    release(b, *s);
  }
}

TEST_F(CudaStaging, BuffersAreUsedAgain) {
  const MemoryBlock a = floats(stream(), kLarge);
  for (int i = 0; i < 40; ++i) {  // 107 MB, three times what is kept
    send(stream(), a, numbers(kLarge, i));
    if (i % 8 != 0) continue;
    ASSERT_EQ(read(stream(), a), numbers(kLarge, i));
  }
  EXPECT_EQ(read(stream(), a), numbers(kLarge, 39));
  EXPECT_LE(control_->counters().pinned_allocations, 33u);
  release(a, stream());
}

TEST_F(CudaStaging, WithoutBuffersTheRuntimeCopies) {
  const MemoryBlock a = floats(stream(1), kLarge);  // of a device that has no buffers yet
  control_->fail("allocate_pinned", 0, kOutOfMemory);
  send(stream(1), a, numbers(kLarge, 5));
  EXPECT_EQ(read(stream(1), a), numbers(kLarge, 5));
  control_->fail("allocate_pinned", 0, 0);
  release(a, stream(1));
}

TEST_F(CudaStaging, FailuresAreToldOrMended) {
  const MemoryBlock a = floats(stream(), kLarge);
  send(stream(), a, numbers(kLarge, 1));
  for (uint64_t k : {1, 2, 3}) {
    control_->fail("copy", k, kUnknown);
    testing::expect_error<DeviceError>([&] { send(stream(), a, numbers(kLarge, 2)); }, {"copy"});
  }
  for (const char* call : {"event_record", "event_query", "event_create", "event_synchronize"}) {
    control_->fail(call, 1, kUnknown);
    send(stream(), a, numbers(kLarge, 3));
    control_->fail(call, 1, 0);
    EXPECT_EQ(read(stream(), a), numbers(kLarge, 3)) << call;
  }
  release(a, stream());
}

TEST_F(CudaStaging, ThreadsShareTheBuffers) {
  std::vector<std::thread> threads;
  std::vector<int> right(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto s = another();
      const MemoryBlock a = floats(*s, kLarge);
      for (int i = 0; i < 6; ++i) {
        send(*s, a, numbers(kLarge, 10 * t + i));
        right[static_cast<size_t>(t)] += read(*s, a) == numbers(kLarge, 10 * t + i);
      }
      release(a, *s);
      s->synchronize();
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, std::vector<int>(4, 6));
}

}  // namespace
}  // namespace tinytorch::twin
