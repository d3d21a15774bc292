// Every state in which the CUDA backend cannot be used, made by the twin's environment in a process
// of its own: it has its Why, a reason that says what was found and a fix that says what to do, and
// the CPU goes on.
#include <unistd.h>

#include <array>
#include <cstdio>

#include "tests/cuda_twin/backend_fixture.h"

namespace tinytorch::twin {
namespace {

// Not a test: what the processes of the tests below run.
TEST(DISABLED_Probe, PrintsTheStatus) {
  const BackendStatus status = backend_status("cudatwin");
  std::printf("why=%d\nreason=%s\nfix=%s\ndevices=%d\n", static_cast<int>(status.unusable.why),
              status.unusable.reason.c_str(), status.unusable.fix.c_str(), status.devices);
  try {
    const Device device("cudatwin");
    std::printf("quoted=none, sum %g\n", full({4}, 1.0, {.device = device}).sum().item());
  } catch (const DeviceError& error) {
    const std::string message = error.what();
    const bool whole = message.find(status.unusable.reason) != std::string::npos &&
                       message.find(status.unusable.fix) != std::string::npos;
    std::printf("quoted=%s\n", whole ? "whole" : "in part");
  }
  std::printf("cpu=%g\nbest=%s\n", full({4}, 1.0, {.device = Device("cpu")}).sum().item(),
              Device::best().backend().c_str());
  std::printf("second=");
  try {
    const Device second("cudatwin:1");
    std::printf("sum %g\n", full({4}, 1.0, {.device = second}).sum().item());
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
  }
}

struct State {
  const char* name;
  const char* environment;
  Why why;
  std::vector<std::string> reason, fix;  // parts of them
};
void PrintTo(const State& state, std::ostream* out) { *out << state.name; }

const State kStates[] = {
    {"NoDriver", "TINYTORCH_TWIN_DRIVER=0", Why::no_driver, {"no NVIDIA driver"}, {"580"}},
    {"NoDriverByError",
     "TINYTORCH_TWIN_FAIL=driver_version:1:999",
     Why::no_driver,
     {"no NVIDIA driver", "999"},
     {"580"}},
    {"OldDriver",
     "TINYTORCH_TWIN_DRIVER=12040",
     Why::driver_too_old,
     {"12.4", "13.0"},
     {"580 or newer"}},
    {"OldDriverByError",
     "TINYTORCH_TWIN_FAIL=device_count:1:35",
     Why::driver_too_old,
     {"too old", "35"},
     {"580 or newer"}},
    {"NoDevice", "TINYTORCH_TWIN_DEVICES=0", Why::no_device, {"no CUDA device"}, {"nvidia-smi"}},
    {"NoDeviceByError",
     "TINYTORCH_TWIN_FAIL=device_count:1:100",
     Why::no_device,
     {"no CUDA device"},
     {"nvidia-smi"}},
    {"HiddenByEmpty",
     "TINYTORCH_TWIN_DEVICES=0 CUDA_VISIBLE_DEVICES=",
     Why::hidden,
     {"CUDA_VISIBLE_DEVICES", "\"\""},
     {"unset CUDA_VISIBLE_DEVICES"}},
    {"HiddenByMinusOne",
     "TINYTORCH_TWIN_DEVICES=0 CUDA_VISIBLE_DEVICES=-1",
     Why::hidden,
     {"\"-1\""},
     {"unset CUDA_VISIBLE_DEVICES"}},
    {"CountingFails",
     "TINYTORCH_TWIN_FAIL=device_count:1:999",
     Why::failed,
     {"counting the devices", "cudaErrorUnknown", "999"},
     {"nvidia-smi"}},
    {"Architecture",
     "TINYTORCH_TWIN_FAIL=check_kernel_image:1:209",
     Why::architecture,
     {"compute capability 9.0", "kernels for"},
     {"TINYTORCH_CUDA_ARCHITECTURES"}},
    {"OutOfMemory",
     "TINYTORCH_TWIN_FAIL=set_device:1:2",
     Why::out_of_memory,
     {"no memory for a context", "cudaErrorMemoryAllocation"},
     {"nvidia-smi"}},
    {"OutOfMemoryForAStream",
     "TINYTORCH_TWIN_FAIL=stream_create:1:2",
     Why::out_of_memory,
     {"rt::stream_create"},
     {"nvidia-smi"}},
    {"OutOfMemoryForTheErrorWords",
     "TINYTORCH_TWIN_FAIL=allocate:1:2",
     Why::out_of_memory,
     {"rt::allocate"},
     {"nvidia-smi"}},
    {"OutOfPinnedMemory",
     "TINYTORCH_TWIN_FAIL=allocate_pinned:1:2",
     Why::out_of_memory,
     {"rt::allocate_pinned"},
     {"nvidia-smi"}},
    {"Lost",
     "TINYTORCH_TWIN_FAIL=set_device:1:719",
     Why::device_lost,
     {"cudaErrorLaunchFailure", "719"},
     {"restart the process"}},
    {"LostWhileItIsOpened",
     "TINYTORCH_TWIN_FAIL=fill_bytes:1:700",
     Why::device_lost,
     {"rt::fill_bytes", "700"},
     {"restart the process"}},
    {"Broken",
     "TINYTORCH_TWIN_FAIL=device_facts:1:999",
     Why::failed,
     {"rt::device_facts", "cudaErrorUnknown"},
     {"nvidia-smi"}},
};

std::string probe(const std::string& environment) {
  const std::string self = "/proc/" + std::to_string(getpid()) + "/exe";
  const std::string command = "env -u CUDA_VISIBLE_DEVICES " + environment + " " + self +
                              " --gtest_filter=DISABLED_Probe.* --gtest_also_run_disabled_tests";
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> part;
  while (const size_t n = fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), n);
  return text + "status=" + std::to_string(pclose(pipe)) + "\n";
}
std::string line(const std::string& text, const std::string& key) {
  const size_t at = text.find("\n" + key + "=");
  if (at == std::string::npos) return "(no " + key + " in " + text + ")";
  const size_t begin = at + key.size() + 2;
  return text.substr(begin, text.find('\n', begin) - begin);
}

class Loading : public ::testing::TestWithParam<State> {};

TEST_P(Loading, IsAValueWithReasonAndFix) {
  const State& expected = GetParam();
  const std::string text = probe(expected.environment);
  EXPECT_EQ(line(text, "status"), "0") << text;
  EXPECT_EQ(line(text, "why"), std::to_string(static_cast<int>(expected.why))) << text;
  for (const std::string& part : expected.reason)
    EXPECT_NE(line(text, "reason").find(part), std::string::npos) << part << " in " << text;
  for (const std::string& part : expected.fix)
    EXPECT_NE(line(text, "fix").find(part), std::string::npos) << part << " in " << text;
  EXPECT_EQ(line(text, "devices"), "0");
  EXPECT_EQ(line(text, "quoted"), "whole");
  EXPECT_EQ(line(text, "cpu"), "4");
  EXPECT_EQ(line(text, "best"), "cpu");
}

INSTANTIATE_TEST_SUITE_P(States, Loading, ::testing::ValuesIn(kStates),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(LoadedDevice, AUsableDeviceIsUsedOnlyWhenNamed) {
  const std::string text = probe("CUDA_VISIBLE_DEVICES=0");
  EXPECT_EQ(line(text, "status"), "0") << text;
  EXPECT_EQ(line(text, "why"), "0") << text;
  EXPECT_EQ(line(text, "devices"), "1");
  EXPECT_EQ(line(text, "quoted"), "none, sum 4");
  EXPECT_EQ(line(text, "best"), "cpu");
  EXPECT_NE(line(text, "second").find("needed: an index below"), std::string::npos) << text;
}

// A further device is opened when it is first used, and what is wrong with it is told then.
TEST(LoadedDevice, AFurtherDeviceFailsAlone) {
  const std::string works = probe("TINYTORCH_TWIN_DEVICES=2");
  EXPECT_EQ(line(works, "devices"), "2");
  EXPECT_EQ(line(works, "second"), "sum 4") << works;
  const std::string text =
      probe("TINYTORCH_TWIN_DEVICES=2 TINYTORCH_TWIN_FAIL=check_kernel_image:2:209");
  EXPECT_EQ(line(text, "why"), "0") << text;
  EXPECT_EQ(line(text, "quoted"), "none, sum 4");
  EXPECT_NE(line(text, "second").find("cudatwin:1"), std::string::npos) << text;
  EXPECT_NE(line(text, "second").find("compute capability"), std::string::npos) << text;
}

}  // namespace
}  // namespace tinytorch::twin
