// A device against the CPU twin of the CUDA backend: the cases of parity_cases.h, the same numbers
// in, results that agree within each case's tolerance. TINYTORCH_PARITY_DEVICE names the device
// ("cuda"), TINYTORCH_PARITY_WITH what it is compared with ("cudatwin"). Skipped where one of the
// two cannot be used. NVIDIA's checkers run this program too, as it touches every kernel.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "tests/cuda_twin/parity_cases.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

constexpr int64_t kSizes[] = {33, 1025};

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? value : otherwise;
}

std::vector<std::vector<double>> run(const ParityCase& c, const std::string& name, int64_t n) {
  const Device device(name);
  const DeviceGuard guard(device);
  Inputs in(device);
  std::vector<std::vector<double>> all;
  for (const Tensor& t : c.run(in, n)) all.push_back(t.to_vector<double>());
  device.synchronize();
  return all;
}

bool usable(const std::string& device) {
  return backend_status(device.substr(0, device.find(':'))).unusable.why == Why::usable;
}

class DeviceParity : public ::testing::TestWithParam<std::tuple<size_t, int64_t>> {};

TEST_P(DeviceParity, AgreesWithTheTwin) {
  const std::string device = variable("TINYTORCH_PARITY_DEVICE", "cuda"),
                    other = variable("TINYTORCH_PARITY_WITH", "cudatwin");
  for (const std::string& name : {device, other})
    if (!usable(name)) GTEST_SKIP() << name << " cannot be used here";
  const ParityCase& c = parity_cases()[std::get<0>(GetParam())];
  const int64_t n = std::get<1>(GetParam());
  const auto got = run(c, device, n), expected = run(c, other, n);
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(got, run(c, device, n)) << "another run has other bits";
  for (size_t r = 0; r < got.size(); ++r) {
    ASSERT_EQ(got[r].size(), expected[r].size()) << "result " << r;
    double largest = 1;
    for (const double v : expected[r])
      if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
    // Both may be off by the case's tolerance, to either side.
    const double limit = 2 * c.tolerance * 0x1p-23 * largest;
    for (size_t i = 0; i < got[r].size(); ++i) {
      const double a = got[r][i], b = expected[r][i];
      ASSERT_TRUE(a == b || (a != a && b != b) || std::abs(a - b) <= limit)
          << "result " << r << ", element " << i << ": " << a << " on " << device << ", " << b
          << " on " << other;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, DeviceParity,
                         ::testing::Combine(::testing::Range<size_t>(0, parity_cases().size()),
                                            ::testing::ValuesIn(kSizes)),
                         [](const ::testing::TestParamInfo<std::tuple<size_t, int64_t>>& info) {
                           return std::string(parity_cases()[std::get<0>(info.param)].name) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

}  // namespace
}  // namespace tinytorch::testing
