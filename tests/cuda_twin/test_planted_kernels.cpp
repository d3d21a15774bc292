// Every planted fault is caught by the means that its table names, under some order of threads and
// blocks, and the kernel without the fault passes the same checks under all of them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda_twin/planted.h"
#include "tests/cuda_twin/shim/grid.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#if defined(__SANITIZE_THREAD__)
#define TT_EXPORT extern "C" __attribute__((visibility("default")))
namespace {

int reports = 0;

// A report that no test has asked for fails the test.
struct ReportsFail : testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo&) override { EXPECT_EQ(std::exchange(reports, 0), 0); }
};
[[maybe_unused]] const bool listening = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new ReportsFail);
  return true;
}();

}  // namespace
// Not checked itself: a report within a report would wait for ever.
TT_EXPORT __attribute__((no_sanitize("thread"))) void __tsan_on_report(void*);
void __tsan_on_report(void*) { ++reports; }
TT_EXPORT const char* __tsan_default_options();
const char* __tsan_default_options() { return "exitcode=0:suppress_equal_addresses=0"; }
#endif

namespace tinytorch::planted {
namespace {

// Floats with a red zone before and behind them, aligned to 16 bytes.
class Zoned {
 public:
  Zoned(size_t size, float mark) : size_(size), mark_(mark), all_(size + 2 * kZone, mark) {
    poison(true);
    for (float* p = data(); p != data() + size; ++p) *p = NAN;
  }
  Zoned(const Zoned&) = delete;
  ~Zoned() { poison(false); }
  float* data() { return all_.data() + kZone; }
  std::vector<float> values() { return {data(), data() + size_}; }
  bool zones_broken() {
    poison(false);
    bool broken = false;
    for (size_t i = 0; i < kZone; ++i)
      broken = broken || all_[i] != mark_ || all_[kZone + size_ + i] != mark_;
    return broken;
  }

 private:
  static constexpr size_t kZone = 64;
  void poison([[maybe_unused]] bool on) {
#if defined(__SANITIZE_ADDRESS__)
    const size_t bytes = kZone * sizeof(float);
    for (float* p : {all_.data(), data() + size_})
      on ? __asan_poison_memory_region(p, bytes) : __asan_unpoison_memory_region(p, bytes);
#endif
  }
  size_t size_;
  float mark_;
  std::vector<float> all_;
};

std::vector<float> inputs(int n) {
  std::vector<float> x(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) x[static_cast<size_t>(i)] = static_cast<float>(i * 37 % 101 - 50);
  return x;
}

struct Seen {
  std::set<Caught> by;
  std::string words;  // of the faults
};

void run_once(const Plant& plant, bool faulty, Seen& seen, std::vector<float>& result) {
  const std::vector<float> x = inputs(plant.n), expected = plant.oracle(x);
  Zoned in(x.size(), -12345.0f), out(expected.size(), 54321.0f);
  std::copy(x.begin(), x.end(), in.data());
  std::vector<unsigned> counters(64);
  KernelContext context{};
  context.op = "planted";
  const Shape& shape = faulty ? plant.faulty_shape : plant.correct_shape;
  try {
    cuda::launch(faulty ? plant.faulty : plant.correct, shape.grid, shape.block, shape.shared_bytes,
                 context, in.data(), out.data(), counters.data(), plant.n);
  } catch (const twin::KernelFault& fault) {
    seen.by.insert(Caught::fault);
    seen.words += std::string(fault.what()) + "\n";
    return;
  }
  if (in.zones_broken() || out.zones_broken()) seen.by.insert(Caught::red_zone);
  result = out.values();
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(result[i])) seen.by.insert(Caught::poison);
    if (std::memcmp(&result[i], &expected[i], sizeof(float)) != 0) seen.by.insert(Caught::wrong);
  }
}

std::vector<twin::GridOptions> orders() {
  std::vector<twin::GridOptions> all = {{twin::ThreadOrder::forward, 1},
                                        {twin::ThreadOrder::reverse, 1}};
  for (uint64_t seed = 1; seed <= 8; ++seed) all.push_back({twin::ThreadOrder::random, seed});
  return all;
}

Seen run(const Plant& plant, bool faulty) {
  Seen seen;
  std::vector<float> first;
  for (const twin::GridOptions& options : orders()) {
    twin::grid_options() = options;
    std::vector<float> result;
    run_once(plant, faulty, seen, result);
    if (result.empty()) continue;
    if (first.empty()) first = result;
    if (std::memcmp(first.data(), result.data(), first.size() * sizeof(float)) != 0)
      seen.by.insert(Caught::order);
  }
  twin::grid_options() = {};
  return seen;
}

void ignore_reports() {
#if defined(__SANITIZE_THREAD__)
  reports = 0;
#endif
}

class Planted : public testing::TestWithParam<Plant> {};

TEST_P(Planted, CorrectKernelPasses) {
  const Seen seen = run(GetParam(), false);
  EXPECT_TRUE(seen.by.empty()) << seen.words;
}

TEST_P(Planted, FaultIsCaught) {
  const Plant& plant = GetParam();
#if defined(__SANITIZE_ADDRESS__)
  if (plant.asan) {
    EXPECT_DEATH(run(plant, true), "AddressSanitizer.*poison");
    return;
  }
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  if (plant.words == std::string("stack")) GTEST_SKIP() << "stacks are larger here";
#endif
  const Seen seen = run(plant, true);
#if defined(__SANITIZE_THREAD__)
  if (plant.tsan) {
    EXPECT_GT(reports, 0);
  }
  ignore_reports();
#endif
  if (plant.caught == Caught::race) {
    EXPECT_TRUE(seen.by.empty()) << "there is another means now\n" << seen.words;
    return;
  }
  EXPECT_TRUE(seen.by.count(plant.caught)) << seen.words;
  EXPECT_NE(seen.words.find(plant.words), std::string::npos) << seen.words;
}

// A fault in one launch leaves nothing behind for the next.
TEST(PlantedFaults, AnyNumberOneAfterTheOther) {
  for (const Plant& plant : meetings()) {
    if (plant.caught != Caught::fault) continue;
    for (const bool faulty : {true, false}) {
      Seen seen;
      std::vector<float> result;
      run_once(plant, faulty, seen, result);
      EXPECT_EQ(seen.by.count(Caught::fault), faulty) << plant.name;
    }
  }
  ignore_reports();
}

std::string name_of(const testing::TestParamInfo<Plant>& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (c == ' ') c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Meetings, Planted, testing::ValuesIn(meetings()), name_of);
INSTANTIATE_TEST_SUITE_P(Memory, Planted, testing::ValuesIn(memory()), name_of);
INSTANTIATE_TEST_SUITE_P(Order, Planted, testing::ValuesIn(order()), name_of);

}  // namespace
}  // namespace tinytorch::planted
