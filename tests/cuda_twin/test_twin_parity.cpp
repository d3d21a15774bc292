// The CUDA kernels on the twin, through core: every family of rows at odd sizes gives the same bits
// whatever order the threads and blocks of a grid take, and agrees with the reference backend. And
// a training step copies nothing to the host. Runs where libtinytorch_cudatwin.so is found.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/cuda_twin/parity_cases.h"
#include "tests/cuda_twin/runtime/twin_control.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

constexpr int64_t kSizes[] = {1, 31, 33, 257, 1025};

struct Order {
  const char* name;
  int order;
  uint64_t seed;
};
constexpr Order kOrders[] = {{"forward", 0, 1}, {"reverse", 1, 1}, {"random", 2, 17}};

const TinytorchTwinControl& control() {
  const Device loads("cudatwin");
  const TinytorchTwinControl* found = twin::twin_control();
  if (!found)
    throw Error("the twin's plugin has no control, or lies where the loader does not look");
  return *found;
}

// All results of a case in double, NaN as a number that compares.
std::vector<std::vector<double>> run(const ParityCase& c, const char* device, int64_t n) {
  const Device d(device);
  const DeviceGuard guard(d);
  Inputs in(d);
  std::vector<std::vector<double>> all;
  for (const Tensor& t : c.run(in, n)) all.push_back(t.to_vector<double>());
  return all;
}
bool same_bits(double a, double b) {
  return (a == b && std::signbit(a) == std::signbit(b)) || (a != a && b != b);
}

class TwinParity : public ::testing::TestWithParam<std::tuple<size_t, int64_t>> {
 protected:
  void TearDown() override { control().set_order(0, 1); }
};

TEST_P(TwinParity, EveryOrderAndTheReference) {
  const ParityCase& c = parity_cases()[std::get<0>(GetParam())];
  const int64_t n = std::get<1>(GetParam());
  const auto expected = run(c, "reference", n);
  std::vector<std::vector<double>> first;
  for (const Order& o : kOrders) {
    control().set_order(o.order, o.seed);
    control().set_seed(o.seed);
    const auto got = run(c, "cudatwin", n);
    ASSERT_EQ(got.size(), expected.size());
    if (first.empty()) first = got;
    for (size_t r = 0; r < got.size(); ++r) {
      ASSERT_EQ(got[r].size(), expected[r].size()) << "result " << r;
      double largest = 1;
      for (double v : expected[r])
        if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
      const double limit = c.tolerance * 0x1p-23 * largest;
      for (size_t i = 0; i < got[r].size(); ++i) {
        const double a = got[r][i], b = expected[r][i];
        ASSERT_TRUE(same_bits(a, first[r][i]))
            << "result " << r << ", element " << i << ": " << a << " in the order " << o.name
            << ", " << first[r][i] << " forward";
        ASSERT_TRUE(same_bits(a, b) || std::abs(a - b) <= limit)
            << "result " << r << ", element " << i << ": " << a << ", the reference has " << b;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, TwinParity,
                         ::testing::Combine(::testing::Range<size_t>(0, parity_cases().size()),
                                            ::testing::ValuesIn(kSizes)),
                         [](const ::testing::TestParamInfo<std::tuple<size_t, int64_t>>& info) {
                           return std::string(parity_cases()[std::get<0>(info.param)].name) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

// f32 sums at one index are a plain chain in the order of the indices, as on the CPU: equal bits.
TEST(TwinOrder, AdditionsAreThoseOfTheCpu) {
  for (const ParityCase& c : parity_cases()) {
    if (std::string(c.name).find("additions") == std::string::npos) continue;
    for (const int64_t n : kSizes)
      EXPECT_EQ(run(c, "cudatwin", n), run(c, "cpu", n)) << c.name << " " << n;
  }
}

TEST(TwinOrder, FirstBadIndexIsNamed) {
  const Device d("cudatwin");
  const DeviceGuard guard(d);
  for (const int64_t m : {40, 5000}) {
    std::vector<int64_t> at(static_cast<size_t>(m), 1);
    at[17] = -3;
    at[21] = 9;
    const Tensor index = tensor(at), base = ones({4, 2});
    const std::vector<std::string> parts = {"-3", "17"};
    expect_error<IndexError>(
        [&] {
          index_add(base, 0, index, ones({m, 2}));
          d.synchronize();
        },
        parts, "index_add");
    expect_error<IndexError>(
        [&] {
          scatter_add(ones({4}), 0, index, ones({m}));
          d.synchronize();
        },
        parts, "scatter_add");
    expect_error<IndexError>(
        [&] {
          index_select(base, 0, index);
          d.synchronize();
        },
        parts, "index_select");
    // What is in range was done all the same, and the device goes on.
    const Tensor sums = scatter_add(zeros({4}), 0, index, ones({m}));
    expect_error<IndexError>([&] { d.synchronize(); }, parts, "again");
    EXPECT_EQ(values(sums), (std::vector<double>{0, static_cast<double>(m - 2), 0, 0}));
  }
}

// A whole step: forward, loss, backward, clipping, Adam. Only the loss is read, afterwards.
TEST(TwinTraining, AStepCopiesNothingToTheHost) {
  const Device d("cudatwin");
  const DeviceGuard guard(d);
  manual_seed(3);
  Sequential net{Linear(20, 64), ReLU(), Linear(64, 64), Tanh(), Linear(64, 10)};
  Adam adam(net.parameters(), {.learning_rate = 1e-2});
  const Tensor x = randn({33, 20}), target = randint(0, 10, {33});
  Tensor loss;
  const auto step = [&] {
    adam.zero_grad();
    loss = cross_entropy(net.forward(x), target);
    loss.backward();
    clip_grad_norm_(net.parameters(), 0.5);
    adam.step();
  };
  step();  // makes the optimizer's state
  const double before = loss.item();
  control().reset_counters();
  for (int i = 0; i < 5; ++i) step();
  EXPECT_EQ(control().counters().device_to_host, 0u);
  EXPECT_EQ(control().counters().waits, 0u) << "the host waited for the device";
  EXPECT_GT(control().counters().launches, 0u);
  EXPECT_LT(loss.item(), before);
  EXPECT_GT(control().counters().device_to_host, 0u) << "the counter does count";
}

}  // namespace
}  // namespace tinytorch::testing
