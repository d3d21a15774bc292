// Life and death: tensors that outlive main(), forked children, the host's own BLAS, and process
// state that the library must leave alone.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <thread>

#include "tests/testing.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

extern char** environ;

namespace tinytorch::testing {
namespace {

// A global of every kind, destroyed after main() and after the library's own statics: the process
// must still end with status 0.
struct Globals {
  std::map<std::string, Tensor> leaves, results;
  std::map<std::string, Generator> generators;
  std::map<std::string, std::shared_ptr<Stream>> streams;
};
Globals globals;
thread_local Tensor thread_local_tensor;

std::vector<double> train(const Device& device, int steps) {
  const DeviceGuard guard(device);
  const Generator g(5, device);
  const Tensor x = randn({64, 20}, {.generator = g}), y = randint(0, 4, {64}, {.generator = g});
  Tensor w1 = mul(randn({20, 48}, {.generator = g}), 0.2),
         w2 = mul(randn({48, 4}, {.generator = g}), 0.2);
  std::vector<double> losses;
  for (int s = 0; s < steps; ++s) {
    for (Tensor* w : {&w1, &w2}) {
      *w = w->detach();
      w->requires_grad_();
    }
    const Tensor loss = cross_entropy(matmul(tanh(matmul(x, w1)), w2), y);
    loss.backward();
    losses.push_back(loss.item());
    const NoGrad off;
    for (Tensor* w : {&w1, &w2}) w->add_(w->grad(), -0.5);
  }
  return losses;
}

class Lifetime : public OnDevice {};
TT_ON_EVERY_DEVICE(Lifetime);

TEST_P(Lifetime, GlobalsOutliveMain) {
  Tensor x = ones({1000});
  x.requires_grad_();
  const Tensor y = sum(exp(mul(x, 0.5)));
  globals.leaves[device_.name()] = x;
  globals.results[device_.name()] = y;  // with its whole graph
  globals.generators.emplace(device_.name(), Generator(3, device_));
  globals.streams[device_.name()] = create_stream(device_);
  thread_local_tensor = y;
  std::thread([&] { thread_local_tensor = x.clone(); }).join();  // dies with its thread
}

TEST_P(Lifetime, TensorsFromAThreadThatEnded) {
  const NothingLeaks leaks(device_);
  Tensor t;
  std::thread([&] {
    const DeviceGuard guard(device_);
    t = arange(1000, {.dtype = Dtype::f32});
    t = add(t, 1);
  }).join();
  EXPECT_EQ(sum(t).item(), 500500);
}

#if !defined( \
    __SANITIZE_THREAD__)  // a thread sanitizer does not follow a fork of a process with threads

// Runs f in a forked child; its status, or -1 if it died.
int in_child(const std::function<int()>& f) {
  const pid_t child = fork();
  if (child == 0) {
    int status = 99;
    try {
      status = f();
    } catch (...) {
    }
    _exit(status);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST_P(Lifetime, TrainForkTrain) {
  if (!device_.info().host_memory)
    GTEST_SKIP() << "the memory of " << device_.name() << " does not survive a fork";
  const ThreadsGuard threads(2);
  const std::vector<double> before = train(device_, 5);
  const Tensor kept = arange(100, {.dtype = Dtype::f32});
  EXPECT_EQ(in_child([&] {
              if (train(device_, 5) != before) return 1;
              if (sum(kept).item() != 4950) return 2;
              std::vector<double> inside;  // threads of the child's own
              std::thread([&] { inside = train(device_, 5); }).join();
              return inside == before ? 0 : 3;
            }),
            0);
  EXPECT_EQ(in_child([&] {
              return in_child([&] { return train(device_, 3) == train(device_, 3) ? 0 : 1; });
            }),
            0);
  EXPECT_EQ(train(device_, 5), before);
}

TEST_P(Lifetime, AForkFromAThreadWhileOthersWork) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer's own allocator stays locked in the child";
#endif
  if (!device_.info().host_memory) GTEST_SKIP();
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) train(device_, 1);
  });
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(in_child([&] { return train(device_, 2).size() == 2 ? 0 : 1; }), 0);
  stop = true;
  busy.join();
}

TEST(Fork, AChildMayOpenWhatItsParentDidNot) {
  EXPECT_EQ(
      in_child([] {  // in a child, so that the parent does not open it
        return in_child([] { return backend_status("late").unusable.why == Why::usable ? 0 : 1; });
      }),
      0);
}

TEST_P(Lifetime, AnOrdinaryExitOfTheChild) {
  if (!device_.info().host_memory) GTEST_SKIP();
  const pid_t child = fork();
  if (child == 0) {
    train(device_, 2);
    std::exit(0);  // runs destructors of statics
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

#endif

// ---- what belongs to the host program

TEST_P(Lifetime, ProcessStateIsLeftAlone) {
  std::vector<std::string> environment;
  for (char** e = environ; *e; ++e) environment.emplace_back(*e);
  std::map<int, struct sigaction> handlers;
  for (int s : {SIGSEGV, SIGFPE, SIGABRT, SIGINT, SIGTERM, SIGPIPE, SIGCHLD, SIGILL, SIGBUS})
    sigaction(s, nullptr, &handlers[s]);
  ASSERT_EQ(fesetround(FE_TOWARDZERO), 0);
#if defined(__x86_64__)
  const unsigned csr = _mm_getcsr() & ~0x3fu;  // without the sticky flags
#endif
  train(device_, 2);
#if defined(__x86_64__)
  EXPECT_EQ(_mm_getcsr() & ~0x3fu, csr);
#endif
  EXPECT_EQ(fegetround(), FE_TOWARDZERO);
  fesetround(FE_TONEAREST);
  for (auto& [s, before] : handlers) {
    struct sigaction now;
    sigaction(s, nullptr, &now);
    EXPECT_EQ(std::memcmp(&now.sa_handler, &before.sa_handler, sizeof(now.sa_handler)), 0)
        << "signal " << s;
  }
  size_t i = 0;
  for (char** e = environ; *e; ++e, ++i) {
    ASSERT_LT(i, environment.size());
    EXPECT_EQ(environment[i], *e);
  }
  EXPECT_EQ(i, environment.size());
}

// The host has a BLAS of its own, perhaps threaded: its number of threads and its results stay as
// they were.
TEST_P(Lifetime, TheHostsBlasIsIntact) {
  void* blas = nullptr;
  for (const char* name : {"libopenblas.so.0", "libopenblas.so", "libblas.so.3"})
    if (!blas) blas = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!blas) GTEST_SKIP() << "no BLAS for the host on this machine";
  using Gemm = void (*)(const char*, const char*, const int*, const int*, const int*, const double*,
                        const double*, const int*, const double*, const int*, const double*,
                        double*, const int*);
  const Gemm dgemm = reinterpret_cast<Gemm>(dlsym(blas, "dgemm_"));
  ASSERT_TRUE(dgemm);
  const auto get = reinterpret_cast<int (*)()>(dlsym(blas, "openblas_get_num_threads"));
  const auto set = reinterpret_cast<void (*)(int)>(dlsym(blas, "openblas_set_num_threads"));
  if (set) set(2);
  const int threads = get ? get() : 0;
  const int n = 160;
  std::vector<double> a(static_cast<size_t>(n * n)), b(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<double>(i % 17) / 7 - 1;
    b[i] = static_cast<double>(i % 13) / 5 - 1;
  }
  const auto product = [&] {
    std::vector<double> c(a.size());
    const double one = 1, zero = 0;
    dgemm("N", "T", &n, &n, &n, &one, a.data(), &n, b.data(), &n, &zero, c.data(), &n);
    return c;
  };
  const std::vector<double> before = product(), losses = train(device_, 3);
  std::vector<double> meanwhile;
  std::thread host([&] {
    for (int i = 0; i < 20; ++i) meanwhile = product();
  });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(train(device_, 3), losses);
  host.join();
  EXPECT_EQ(meanwhile, before);
  EXPECT_EQ(product(), before);
  if (get) {
    EXPECT_EQ(get(), threads);
  }
}

}  // namespace
}  // namespace tinytorch::testing
