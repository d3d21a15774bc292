// Failing calls of the runtime, on the twin: every call that a small program makes fails once, at
// each of its uses; what comes is an exception of a type of ours, nothing leaks and the device goes
// on. And what cannot be made good: a lost device, a missing library, a forked child, each in a
// process of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <functional>

#include "tests/cuda_twin/backend_fixture.h"
#include "tests/testing.h"

namespace tinytorch::twin {
namespace {

using testing::expect_error;

constexpr int kLaunchFailure = 719;

// A step of training, on one stream and on two, eager and captured.
double small_program(const Device& device) {
  const DeviceGuard guard(device);
  const auto other = create_stream(device);
  const auto third = device.state()->backend->create_stream(device.index());
  Allocator& memory = *device.state()->allocator;
  const MemoryBlock megabyte = memory.allocate(size_t{1} << 20, *third);
  try {  // two of them need a segment of their own
    memory.free(memory.allocate(size_t{1} << 20, *third), *third);
  } catch (...) {
    memory.free(megabyte, *third);
    throw;
  }
  memory.free(megabyte, *third);
  Sequential model(Linear(4, 8), ReLU(), Linear(8, 2));
  Adam optimizer(model.parameters(), 0.01);
  const Tensor x = full({3, 4}, 0.5), y = full({3, 2}, 1.0);
  Tensor loss;
  const auto step = [&] {
    optimizer.zero_grad();
    loss = mse_loss(model.forward(x), y);
    loss.backward();
    optimizer.step();
  };
  step();
  other->wait(current_stream(device).mark());
  Tensor twice;
  {
    const StreamGuard on(device, *other);
    twice = loss.add(loss);
    current_stream(device).query(other->mark());
  }
  {
    EventLog log;
    const Subscription timed(log);
    step();
    device.synchronize();
  }
  Graph graph = capture(device, step);
  graph.replay();
  const Tensor wide = matmul(full({40, 300}, 1.0), full({300, 50}, 1.0));
  return loss.item() + wide.sum().item();
}

class Failures : public OnTwin {
 protected:
  void SetUp() override {
    twin_backend();
    for (int i = 0; i < 2; ++i) (void)small_program(Device("cudatwin"));
    OnTwin::SetUp();
  }
};

constexpr const char* kCalls[] = {
    "allocate",      "release",       "stream_create", "stream_destroy", "stream_synchronize",
    "stream_wait",   "event_create",  "event_record",  "event_query",    "event_synchronize",
    "event_elapsed", "copy",          "launch",        "begin_capture",  "end_capture",
    "graph_launch",  "graph_destroy", "gemm"};

TEST_F(Failures, OfAnyCallAreTypedAndLeakNothing) {
  const Device device("cudatwin");
  const double right = small_program(device);
  allocator().trim(0);
  const int64_t in_use = allocator().stats().in_use;
  const auto live = control_->counters();
  int thrown = 0;
  for (const char* call : kCalls) {
    control_->reset_counters();
    control_->reset();
    (void)small_program(device);
    allocator().trim(0);
    const uint64_t uses = control_->uses(call);
    EXPECT_GT(uses, 0u) << call;
    for (uint64_t k = 1; k <= uses; k += 1 + uses / 25) {
      for (int status : {kUnknown, kOutOfMemory}) {
        const std::string what = std::string(call) + ", use " + std::to_string(k) + " of " +
                                 std::to_string(uses) + ", status " + std::to_string(status);
        ASSERT_TRUE(control_->fail(call, k, status)) << what;
        try {
          EXPECT_NEAR(small_program(device), right, 10) << what;
          allocator().trim(0);
        } catch (const Error& error) {
          ++thrown;
          EXPECT_GT(std::string(error.what()).size(), 20u) << what;
        } catch (const std::exception& error) {
          ADD_FAILURE() << what << ": " << error.what();
        }
        control_->fail(call, 0, 0);
        device.synchronize();
        allocator().trim(0);
        ASSERT_EQ(allocator().stats().in_use, in_use) << what;
      }
    }
  }
  EXPECT_TRUE(std::isfinite(small_program(device)));
  allocator().trim(0);
  const auto now = control_->counters();
  EXPECT_EQ(now.live_bytes, live.live_bytes);
  EXPECT_EQ(now.live_graphs, live.live_graphs);
  EXPECT_GT(thrown, 50) << "the failures did not happen";
}

TEST_F(Failures, NameTheOpTheCallAndThePlace) {
  const Device device("cudatwin");
  const DeviceGuard guard(device);
  const Tensor a = full({8}, 1.0);
  control_->fail("launch", 1, 1);
  expect_error<DeviceError>([&] { (void)a.add(a); },
                            {"[add]", "cudatwin:0", "rt::launch", "cudaErrorInvalidValue",
                             "error 1", "at backends/cuda/launch.cpp:"});
  EXPECT_EQ(a.add(a).sum().item(), 16);
}

// ---- in processes of their own

// Runs f in a fresh process; it says what is wrong through its exit code and stderr.
#define TT_IN_A_PROCESS(statement) \
  EXPECT_EXIT(                     \
      {                            \
        statement;                 \
        std::_Exit(0);             \
      },                           \
      ::testing::ExitedWithCode(0), "")

void need(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::_Exit(1);
}
// The message of the E that f throws.
template <class E, class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    need(false, std::string("another type of error: ") + error.what());
  }
  need(false, "no error");
  return {};
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class InAProcess : public ::testing::Test {
 protected:
  void SetUp() override { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

// Everything alive at the moment goes without a word, and each later call repeats the first error.
void lose_the_device(const char* call, int status) {
  setenv("TINYTORCH_TWIN_DEVICES", "2", 1);
  const Device device("cudatwin"), second("cudatwin:1");
  (void)small_program(device);
  const auto* control = twin_control();
  {
    const DeviceGuard guard(device);
    Tensor a = full({1000}, 1.0);
    const auto stream = create_stream(device);
    Graph graph = capture(device, [&] { a.mul_(2.0); });
    control->fail(call, 1, status);
    std::string first;
    for (int i = 0; i < 10 && first.empty(); ++i) {
      try {
        (void)small_program(device);
      } catch (const DeviceError& error) {
        first = error.what();
      }
    }
    need(has(first, std::string("rt::") + call), "the first error lacks the call: " + first);
    control->reset();  // the runtime would work again; the backend does not try
    const size_t at = first.find("cudatwin:0: rt::");
    const std::string core = first.substr(at, first.find("; the fault") - at);
    need(has(core, "error " + std::to_string(status)), "the first error lacks the code: " + first);
    const std::function<void()> later[] = {
        [&] { (void)full({2}, 1.0); },
        [&] { (void)a.add(a); },
        [&] { device.synchronize(); },
        [&] { (void)a.to_vector<float>(); },
        [&] { graph.replay(); },
        [&] { trim_memory(device); },
        [&] { (void)stream->mark(); },
        [&] { (void)capture(device, [] {}); },
        [&] { (void)small_program(device); },
    };
    for (const auto& f : later) {
      const std::string message = message_of<DeviceError>(f);
      need(has(message, core), "another error than the first: " + message);
      need(has(message, "lost"), "does not say that the device is lost: " + message);
    }
    need(has(backend_status("cudatwin").details, "lost"), "details do not say it");
  }
  need(memory_stats(second).in_use == 0, "the second device has memory in use");
  (void)small_program(second);
}

using LostDevice = InAProcess;
TEST_F(LostDevice, ByALaunch) { TT_IN_A_PROCESS(lose_the_device("launch", kLaunchFailure)); }
TEST_F(LostDevice, ByACopy) { TT_IN_A_PROCESS(lose_the_device("copy", kIllegalAddress)); }
TEST_F(LostDevice, ByWaiting) {
  TT_IN_A_PROCESS(lose_the_device("stream_synchronize", kIllegalAddress));
}
TEST_F(LostDevice, ByAGraph) { TT_IN_A_PROCESS(lose_the_device("graph_launch", kLaunchFailure)); }
TEST_F(LostDevice, ByTheEndOfACapture) {
  TT_IN_A_PROCESS(lose_the_device("end_capture", kIllegalAddress));
}

// A device that is lost in a call that may not throw tells the next caller.
TEST_F(LostDevice, InAFree) {
  TT_IN_A_PROCESS({
    const Device device("cudatwin");
    Backend& backend = *device.state()->backend;
    const auto other = backend.create_stream(0);
    MemoryBlock block = backend.allocator(0).allocate(100, backend.stream(0));
    backend.allocator(0).record_use(block, *other);
    twin_control()->fail("event_record", 1, kIllegalAddress);
    backend.allocator(0).free(block, backend.stream(0));
    const std::string message = message_of<DeviceError>([&] { device.synchronize(); });
    need(has(message, "rt::event_record") && has(message, "700"), message);
  });
}

using MissingLibrary = InAProcess;
TEST_F(MissingLibrary, IsFoundAtTheFirstProduct) {
  TT_IN_A_PROCESS({
    const Device device("cudatwin");
    const DeviceGuard guard(device);
    twin_control()->fail("gemm_open", 0, kUnknown);
    const Tensor a = full({200, 200}, 1.0);
    need(a.sum().item() == 200 * 200, "other kernels do not need it");
    const std::string message = message_of<DeviceError>([&] { (void)matmul(a, a); });
    for (const char* part : {"[matmul]", "libcublasLt.so.13", "TINYTORCH_CUDA_LIBS"})
      need(has(message, part), message);
    need(a.sum().item() == 200 * 200, "the device goes on");
  });
}

// ---- forks

// What the child of a fork sees is told by its exit code.
template <class F>
int exit_code_of_child(const F& f) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    int code = 1;
    try {
      code = f();
    } catch (...) {
      code = 2;
    }
    std::_Exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class Forks : public OnTwin {};

TEST_F(Forks, LeaveTheChildWithAnErrorAndTheParentAlone) {
  const Device device("cudatwin");
  Tensor a = full({10}, 2.0, {.device = device});
  Stream& s = stream();
  const int code = exit_code_of_child([&] {
    const BackendStatus status = backend_status("cudatwin");
    if (status.unusable.why != Why::forked) return 10;
    const auto forked = [](const auto& f) {
      try {
        f();
      } catch (const DeviceError& error) {
        return has(error.what(), "fork");
      }
      return false;
    };
    if (!forked([&] { (void)Device("cudatwin"); })) return 11;
    if (!forked([&] { s.synchronize(); })) return 12;
    if (!forked([&] { (void)a.add(a); })) return 13;
    if (!forked([&] { (void)a.to_vector<float>(); })) return 14;
    a = Tensor();  // in silence
    return 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(a.add(a).sum().item(), 40);
}

}  // namespace
}  // namespace tinytorch::twin
